"""Does one chunk of a job, brings a job to its end, cancels it.

The order in which things are written is what makes them right: the result of a chunk once, then its bill, which is made
from that result, then the note that it is billed. Whoever is killed in between leaves the rest to the next delivery.
"""

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
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


_TELL_S = 15.0
"""Seconds that a receiver of the webhook has, however slowly it drips. The next delivery tries again."""


class Work(NamedTuple):
    """What became of photos.

    Attributes:
        items: of those of which there is something to say.
        trouble: why there is nothing to say yet of the others; None if there are none.
    """

    items: list[Item]
    trouble: Exception | None


class Office(Protocol):
    """What a worker needs of the service around it."""

    async def diagnose(self, job: Job, photos: Mapping[int, str]) -> Work:
        """Diagnose photos, by their indices. Raises what keeps it from all of them, and may be otherwise later."""
        ...

    async def bill(self, event: UsageEvent) -> None:
        """Have an event written before this returns."""
        ...

    async def give_back(self, job: Job, photos: int) -> None:
        """Return photos to the caller's quota. Raises nothing."""
        ...

    async def have_told(self, job: Job) -> None:
        """Have the last chunk delivered once more."""
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
        end, is_ours = await self._finish(store, job, settled)
        # Of a job that was cancelled all messages still come, and one of them is enough.
        if end and (end.status != "cancelled" or is_ours or attempt > 1 or message.chunk == job.chunks - 1):
            await self._tell(store, job, end, attempt)

    async def cancel(self, job: Job) -> None:
        """Cancel a job: what is not done by now will not be, and the job comes to its end.

        Its messages still come, and find nothing left to do. What this does not come to, they do.
        """
        store = await asyncio.to_thread(self._open)
        await asyncio.to_thread(store.cancel, job)
        settled = await asyncio.to_thread(store.settled, job)
        places = asyncio.Semaphore(_AT_ONCE)

        async def drop(chunk: int) -> None:
            async with places:
                await self._settle(store, job, chunk, await self._result(store, job, chunk, 1))

        await asyncio.gather(*(drop(chunk) for chunk in range(job.chunks) if chunk not in settled))
        end, _ = await self._finish(store, job, await asyncio.to_thread(store.settled, job))
        if end and job.webhook:
            await self._office.have_told(job)

    async def _result(self, store: JobStore, job: Job, chunk: int, attempt: int) -> Summary:
        """The result of a chunk: the one that lies there, or else what is made of it now."""
        if found := await asyncio.to_thread(store.result, job, chunk):
            return found.summary
        began = time.perf_counter()
        photos = dict(zip(job.photos_of(chunk), await asyncio.to_thread(store.uris, job, chunk), strict=True))
        done = {item["index"]: item for item in await asyncio.to_thread(store.part, job, chunk)}
        left = {index: uri for index, uri in photos.items() if index not in done}
        if await asyncio.to_thread(store.is_cancelled, job):
            items = _dropped(left, "cancelled", "The job was cancelled before this photo was looked at.")
        elif attempt > MOST_DELIVERIES:
            _logger.error("chunk %d of job %s is given up after %d attempts", chunk, job.id, attempt - 1)
            items = _dropped(left, "not_processed", "This photo could not be done in many attempts. Order it again.")
        else:
            items, trouble = await self._office.diagnose(job, left)
            if trouble:
                if items:
                    await asyncio.to_thread(store.keep_part, job, chunk, [*done.values(), *items])
                raise trouble
        done |= {item["index"]: item for item in items}
        whole = [done[index] for index in photos]
        summary = Summary.of(whole, done=datetime.now(UTC), ms=round((time.perf_counter() - began) * 1000, 1))
        kept = await asyncio.to_thread(store.keep, job, chunk, Result.of(summary, whole))
        return kept.summary

    async def _settle(self, store: JobStore, job: Job, chunk: int, summary: Summary) -> None:
        if summary.succeeded:
            await self._office.bill(_event(job, chunk, summary))
        await asyncio.to_thread(store.settle, job, chunk, summary)

    async def _finish(self, store: JobStore, job: Job, settled: dict[int, Settled]) -> tuple[End | None, bool]:
        """Bring a job to its end if all of its chunks are settled; the end, and whether it is ours."""
        if len(settled) < job.chunks:
            return None, False
        end = await asyncio.to_thread(store.end, job)
        if end is None:
            ours = await self._end(store, job, settled)
            end = await asyncio.to_thread(store.finish, job, ours)
            if end.by == ours.by:
                _logger.info("job %s has ended", job.id, extra={"fields": {"job": job.id, "status": end.status}})
                await self._office.give_back(job, end.failed)
                return end, True
        return end, False

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
            async with asyncio.timeout(_TELL_S):
                await asyncio.to_thread(self._webhooks.send, job.webhook, f"job_{job.id}", body)
        except WebhookRefused as error:
            _logger.error("job %s: %s", job.id, error)
        except Exception as error:
            if attempt < MOST_DELIVERIES:
                raise
            _logger.error("job %s: nobody is told of its end: %s", job.id, error)
        await asyncio.to_thread(store.note_told, job)


def _dropped(photos: Mapping[int, str], code: str, detail: str) -> list[Item]:
    problem = {"code": code, "detail": detail}
    return [{"index": index, "name": uri, "status": "error", "problem": problem} for index, uri in photos.items()]


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
