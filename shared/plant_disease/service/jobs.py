"""Jobs of this service: where they lie, who works for them, and what reaches a worker."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial

from pydantic import BaseModel, Field

from plant_disease.batch import Outcome, Source
from plant_disease.errors import ConfigurationError, InvalidQuestion, StorageError
from plant_disease.jobs.documents import End, Item, Job, Message, Settled, Status
from plant_disease.jobs.queues import Delivery, Queue, open_queue
from plant_disease.jobs.queues.local import LocalQueue
from plant_disease.jobs.store import JobStore
from plant_disease.jobs.webhooks import Webhooks
from plant_disease.jobs.worker import Work, Worker
from plant_disease.service.engine import Engine
from plant_disease.service.limits import Limit, Limiter, Standing
from plant_disease.service.limits.limiter import QUOTA
from plant_disease.service.problems import Problem
from plant_disease.service.push import PushTokens
from plant_disease.service.telemetry import logger, task
from plant_disease.service.telemetry.process import is_lambda
from plant_disease.service.uploads import read_upload
from plant_disease.service.usage import UsageLog
from plant_disease.settings import Settings
from plant_disease.storage import Limits, check_uri, open_store
from plant_disease.usage import UsageEvent

_CHUNKS_AT_ONCE = 2
"""One reads and writes while the other computes. More would only take the time from each other that each has."""

_RESUME_S = 10.0
"""Seconds after which a store that was away at the start is asked again."""

_LIMITS = Limits(connect_s=2, read_s=10, attempt_s=10, attempts=3)


class JobCounts(BaseModel):
    """What has become of the photos of a job."""

    total: int
    succeeded: int
    failed: int
    remaining: int


class JobAnswer(BaseModel):
    """A job, as it stands."""

    id: str
    status: Status = Field(description="`failed` if no photo was diagnosed")
    created: datetime
    finished: datetime | None = Field(description="from here on nothing changes, and the results can be fetched")
    estimated_end: datetime | None = Field(description="if it goes on as it has so far; null before that is known")
    counts: JobCounts
    results: str | None = Field(description="where the results can be fetched, once the job is finished")

    @classmethod
    def of(cls, job: Job, settled: Sequence[Settled], *, end: End | None, is_cancelled: bool) -> "JobAnswer":
        """A job of which so much is done."""
        succeeded = end.succeeded if end else sum(each.succeeded for each in settled)
        failed = end.failed if end else sum(each.failed for each in settled)
        done = succeeded + failed
        now = datetime.now(UTC)
        status: Status = "cancelled" if is_cancelled else "running" if done else "queued"
        is_running = status == "running" and end is None
        return cls(
            id=job.id,
            status=end.status if end else status,
            created=job.created,
            finished=end.finished if end else None,
            estimated_end=now + (now - job.created) * ((job.total - done) / done) if is_running else None,
            counts=JobCounts(total=job.total, succeeded=succeeded, failed=failed, remaining=job.total - done),
            results=f"/batch/jobs/{job.id}/results" if end else None,
        )


@lru_cache(maxsize=4)
def open_jobs(uri: str) -> JobStore:
    """The one store, and with it the one client, of all jobs. Imports an SDK; not for event loops."""
    return JobStore(open_store(uri, limits=_LIMITS))


class Jobs:
    """All that this service does for jobs. It is the office of its workers; see `jobs.worker.Office`.

    Raises:
        ConfigurationError: the settings do not fit together.

    Attributes:
        webhooks: None if there are none.
        tokens: what deliveries of Pub/Sub carry; None if it delivers nothing.
    """

    def __init__(self, settings: Settings, engine: Engine, limiter: Limiter, usage: UsageLog) -> None:
        self.settings = settings
        self._engine = engine
        self._limiter = limiter
        self._usage = usage
        self.webhooks = _webhooks(settings)
        self.tokens: PushTokens | None = None
        self._check()
        self.worker = Worker(self.store, self, self.webhooks)
        self._places = asyncio.Semaphore(_CHUNKS_AT_ONCE)
        self._local = LocalQueue(self.work, workers=_CHUNKS_AT_ONCE)
        self.queue: Queue = self._local if settings.jobs_queue == "local" else open_queue(settings.jobs_queue)

    def _check(self) -> None:
        settings = self.settings
        if settings.jobs_uri is None:
            return
        try:
            check_uri(settings.jobs_uri)
        except ValueError as error:
            raise ConfigurationError(f"PLANT_JOBS_URI: {error}") from error
        if settings.uploads_uri is None:
            raise ConfigurationError("PLANT_JOBS_URI: jobs need PLANT_UPLOADS_URI too, where their photos lie.")
        if settings.jobs_queue == "local" and is_lambda():
            raise ConfigurationError("PLANT_JOBS_QUEUE: Lambda stops between requests, and so would a local queue.")
        if settings.jobs_queue.startswith("pubsub:"):
            if not (settings.jobs_push_audience and settings.jobs_push_account):
                raise ConfigurationError(
                    "PLANT_JOBS_QUEUE: Pub/Sub needs PLANT_JOBS_PUSH_AUDIENCE and PLANT_JOBS_PUSH_ACCOUNT, or anybody "
                    "could deliver."
                )
            self.tokens = PushTokens(settings.jobs_push_audience, settings.jobs_push_account)

    def store(self) -> JobStore:
        """Where the jobs lie. Not for event loops."""
        return open_jobs(str(self.settings.jobs_uri))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """The life of a server: with a local queue, jobs that have not come to their end go on."""
        is_local = self.settings.jobs_uri is not None and self.settings.jobs_queue == "local"
        resuming = asyncio.create_task(self._resume()) if is_local else None
        yield
        if resuming:
            resuming.cancel()
        await self._local.close()

    async def _resume(self) -> None:
        while True:
            try:
                for job in await asyncio.to_thread(lambda: list(self.store().unfinished())):
                    logger.info("job %s goes on", job.id)
                    await self.send(job)
            except StorageError as error:
                logger.error("jobs that were begun earlier cannot go on yet: %s", error)
                await asyncio.sleep(_RESUME_S)
            else:
                return

    async def send(self, job: Job) -> None:
        """Queue what is not settled of a job.

        Raises:
            QueueUnavailable, StorageError: some of it may be queued. To do so again is harmless.
        """
        settled = await asyncio.to_thread(lambda: self.store().settled(job))
        # All of them may be, and the end be missing.
        left = [chunk for chunk in range(job.chunks) if chunk not in settled] or [job.chunks - 1]
        await self.queue.send([Message(job=job.id, chunk=chunk) for chunk in left])

    async def work(self, message: Message, attempt: int) -> None:
        """Do a chunk. If this raises, the message must be delivered again."""
        with task("job_chunk") as noted:
            noted.request_id = message.job
            # Here they wait rather than come again: how often that may be is counted.
            async with self._places:
                await self.worker.work(message, attempt)

    async def take(self, delivery: Delivery) -> bool:
        """Take what a platform delivers; whether it need not be delivered again."""
        if delivery.message is None:
            logger.error("message %s is no chunk of a job, and is thrown away", delivery.id)
            return True
        try:
            await self.work(delivery.message, delivery.attempt)
        except Exception as error:
            logger.warning("chunk %d of job %s comes again: %s", delivery.message.chunk, delivery.message.job, error)
            return False
        return True

    def answer(self, job: Job) -> JobAnswer:
        """A job, as it stands. Takes the time of the store."""
        store = self.store()
        if end := store.end(job):
            return JobAnswer.of(job, (), end=end, is_cancelled=False)
        settled = list(store.settled(job).values())
        return JobAnswer.of(job, settled, end=None, is_cancelled=store.is_cancelled(job))

    async def diagnose(self, job: Job, photos: Mapping[int, str]) -> Work:
        """See `Office.diagnose`."""
        settings, loop = self.settings, asyncio.get_running_loop()
        classifier = await self._engine.classifier()
        outcomes: list[Outcome] = []
        try:
            classifier.check(job.top_k, job.crops)
        except InvalidQuestion as error:
            # Another model than the one that the order was checked with.
            outcomes = [Outcome(place, uri, error) for place, uri in enumerate(photos.values())]
        else:
            deadline = loop.time() + settings.batch_timeout_s
            while self._engine.is_full and loop.time() < deadline:
                # Whoever waits for an answer goes first. To be turned away would count as an attempt.
                await asyncio.sleep(0.1)
            running = self._engine.begin_batch(
                classifier,
                [
                    Source(uri, partial(read_upload, uri, settings, job.owner), is_remote=True)
                    for uri in photos.values()
                ],
                outcomes.append,
                top_k=job.top_k,
                crops=job.crops,
                deadline=deadline,
                is_bounded=False,
            )
            try:
                await running
            finally:
                running.cancel()
        return _work(outcomes, list(photos), classifier.manifest.version)

    async def have_told(self, job: Job) -> None:
        """See `Office.have_told`."""
        await self.queue.send([Message(job=job.id, chunk=job.chunks - 1)])

    async def bill(self, event: UsageEvent) -> None:
        """See `Office.bill`."""
        if event.key_id or self.settings.usage_uri:
            await asyncio.to_thread(self._usage.write, event)

    async def give_back(self, job: Job, photos: int) -> None:
        """See `Office.give_back`."""
        if job.quota and photos:
            quota = Limit(QUOTA, job.quota.most, job.quota.unit, job.quota.seconds, 0, job.quota.ends)
            await self._limiter.give_back(Standing(job.subject, (quota,), time.time()), photos)

    async def announce(self, job: Job, end: End) -> bytes:
        """See `Office.announce`."""
        data = JobAnswer.of(job, (), end=end, is_cancelled=False).model_dump(mode="json")
        return json.dumps({"type": "job.finished", "timestamp": end.finished.isoformat(), "data": data}).encode()


def _webhooks(settings: Settings) -> Webhooks | None:
    if not settings.webhook_hosts or settings.webhook_secret is None:
        return None
    return Webhooks(settings.webhook_hosts, settings.webhook_secret.get_secret_value())


def _work(outcomes: Sequence[Outcome], indices: Sequence[int], version: str) -> Work:
    """What is written about photos of which these are the indices in the job."""
    items: list[Item] = []
    trouble = None
    for outcome in sorted(outcomes, key=lambda each: each.index):
        if isinstance(outcome.result, Problem) and outcome.result.status == 503:
            trouble = outcome.result
            continue
        item = {**outcome.as_dict(), "index": indices[outcome.index]}
        items.append(item | ({"model_version": version} if item["status"] == "ok" else {}))
    return Work(items, trouble)
