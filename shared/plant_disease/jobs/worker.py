"""Does one chunk of a job, brings a job to its end, cancels it.

The order in which things are written is what makes them right: the result of a chunk once, then its bill, which is made
from that result, then the note that it is billed. Whoever is killed in between leaves the rest to the next delivery.
"""

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from plant_disease.errors import WebhookRefused
from plant_disease.jobs.documents import End, Item, Job, Message, Settled, Status, Summary
from plant_disease.jobs.store import JobStore, Result
from plant_disease.jobs.webhooks import Webhooks
from plant_disease.usage import UsageEvent

MOST_DELIVERIES = 10
"""A chunk that comes once more is given up, so that its job ends: whoever tries it may be killed by it. A platform must
deliver it at least twice more than that before it puts it aside."""

_AT_ONCE = 16

_logger = logging.getLogger("plant_disease")


class Work(NamedTuple):
    """What became of the photos of a chunk, in order, and the version of the model that looked at them."""

    items: list[Item]
    model_version: str | None


class Office(Protocol):
    """What a worker needs of the service around it."""

    async def diagnose(self, job: Job, uris: Sequence[str], first: int) -> Work:
        """Diagnose photos, of which the first has this index. Raises whatever makes it worth while to try again."""
        ...

    async def bill(self, event: UsageEvent) -> None:
        """Have an event written before this returns."""
        ...

    async def give_back(self, job: Job, photos: int) -> None:
        """Return photos to the caller's quota. Raises nothing."""
        ...

    async def announce(self, job: Job, end: End) -> bytes:
        """The body of the webhook."""
        ...


class Worker:
    """Works for the jobs of a store. What it does twice changes nothing.

    Args:
        store: opens the store of the jobs; called in a thread.
        office: see there.
        webhooks: None if there are none.
    """

    def __init__(self, store: Callable[[], JobStore], office: Office, webhooks: Webhooks | None) -> None:
        self._open = store
        self._office = office
        self._webhooks = webhooks

    async def work(self, message: Message, attempt: int) -> None:
        """Do a chunk. If this raises, the message must be delivered again.

        Args:
            message: which.
            attempt: how often it was delivered.
        """
        store = await asyncio.to_thread(self._open)
        job = await asyncio.to_thread(store.find, message.job)
        if job is None or message.chunk >= job.chunks:
            # Deleted by the lifecycle of the bucket, or never there.
            _logger.warning("there is no chunk %d of job %s", message.chunk, message.job)
            return
        settled = await asyncio.to_thread(store.settled, job)
        if message.chunk not in settled:
            await self._settle(store, job, message.chunk, await self._result(store, job, message.chunk, attempt))
            settled = await asyncio.to_thread(store.settled, job)
        if end := await self._finish(store, job, settled):
            await self._tell(store, job, end, attempt)

    async def cancel(self, job: Job) -> None:
        """Cancel a job: what is not done by now will not be, and the job comes to its end.

        Its messages still come. They find nothing left to do but to tell the caller of the end.
        """
        store = await asyncio.to_thread(self._open)
        await asyncio.to_thread(store.cancel, job)
        settled = await asyncio.to_thread(store.settled, job)
        places = asyncio.Semaphore(_AT_ONCE)

        async def drop(chunk: int) -> None:
            async with places:
                await self._settle(store, job, chunk, await self._result(store, job, chunk, 1))

        await asyncio.gather(*(drop(chunk) for chunk in range(job.chunks) if chunk not in settled))
        await self._finish(store, job, await asyncio.to_thread(store.settled, job))

    async def _result(self, store: JobStore, job: Job, chunk: int, attempt: int) -> Summary:
        """The result of a chunk: the one that lies there, or else what is made of it now."""
        if found := await asyncio.to_thread(store.result, job, chunk):
            return found.summary
        began = time.perf_counter()
        uris = await asyncio.to_thread(store.uris, job, chunk)
        first = job.photos_of(chunk).start
        if await asyncio.to_thread(store.is_cancelled, job):
            work = Work(
                _dropped(uris, first, "cancelled", "The job was cancelled before this photo was looked at."), None
            )
        elif attempt > MOST_DELIVERIES:
            _logger.error("chunk %d of job %s is given up after %d attempts", chunk, job.id, attempt - 1)
            detail = "This photo and those beside it could not be done, however often it was tried. Order them again."
            work = Work(_dropped(uris, first, "not_processed", detail), None)
        else:
            work = await self._office.diagnose(job, uris, first)
        summary = Summary.of(
            work.items,
            done=datetime.now(UTC),
            ms=round((time.perf_counter() - began) * 1000, 1),
            model_version=work.model_version,
        )
        kept = await asyncio.to_thread(store.keep, job, chunk, Result.of(summary, work.items))
        return kept.summary

    async def _settle(self, store: JobStore, job: Job, chunk: int, summary: Summary) -> None:
        if summary.succeeded:
            await self._office.bill(_event(job, chunk, summary))
        await asyncio.to_thread(store.settle, job, chunk, summary)

    async def _finish(self, store: JobStore, job: Job, settled: dict[int, Settled]) -> End | None:
        """Bring a job to its end if all of its chunks are settled."""
        if len(settled) < job.chunks:
            return None
        end = await asyncio.to_thread(store.end, job)
        if end is None:
            ours = await self._end(store, job, settled)
            end = await asyncio.to_thread(store.finish, job, ours)
            if end.by == ours.by:
                _logger.info("job %s has ended", job.id, extra={"fields": {"job": job.id, "status": end.status}})
                await self._office.give_back(job, end.failed)
        return end

    async def _end(self, store: JobStore, job: Job, settled: dict[int, Settled]) -> End:
        succeeded = sum(each.succeeded for each in settled.values())
        status: Status = "done" if succeeded else "failed"
        if await asyncio.to_thread(store.is_cancelled, job):
            status = "cancelled"
        return End(
            status=status,
            finished=datetime.now(UTC),
            succeeded=succeeded,
            failed=job.total - succeeded,
            by=uuid.uuid4().hex,
        )

    async def _tell(self, store: JobStore, job: Job, end: End, attempt: int) -> None:
        if job.webhook is None or await asyncio.to_thread(store.is_told, job):
            return
        body = await self._office.announce(job, end)
        try:
            if self._webhooks is None:
                raise WebhookRefused("This service has no webhooks any more.")
            await asyncio.to_thread(self._webhooks.send, job.webhook, f"job_{job.id}", body)
        except WebhookRefused as error:
            _logger.error("job %s: %s", job.id, error)
        except Exception as error:
            if attempt < MOST_DELIVERIES:
                raise
            _logger.error("job %s: nobody is told of its end: %s", job.id, error)
        await asyncio.to_thread(store.note_told, job)


def _dropped(uris: Sequence[str], first: int, code: str, detail: str) -> list[Item]:
    problem = {"code": code, "detail": detail}
    return [
        {"index": index, "name": uri, "status": "error", "problem": problem} for index, uri in enumerate(uris, first)
    ]


def _event(job: Job, chunk: int, summary: Summary) -> UsageEvent:
    """The bill for a chunk: the same whoever makes it, and whenever."""
    return UsageEvent(
        event_id=hashlib.sha256(f"{job.id}\n{chunk}".encode()).hexdigest()[:32],
        time=summary.done,
        key_id=job.key_id,
        endpoint="batch",
        photos=summary.succeeded,
        diagnosed=summary.diagnosed,
        uncertain=summary.uncertain,
        rejected=summary.rejected,
        model_version=str(summary.model_version),
        request_id=job.request_id,
        idempotency_key=job.idempotency_key,
        ms=summary.ms,
        outcome="partial" if summary.failed else "complete",
    )
