"""Orders of jobs: read, counted, written down and queued, each once however often it comes; and cancelled."""

import asyncio
import contextlib
import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, NamedTuple

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from plant_disease.errors import NotFound, StorageError, WebhookFailed, WebhookRefused
from plant_disease.jobs.documents import Job, Quota
from plant_disease.plans import Plan
from plant_disease.service.auth import Caller
from plant_disease.service.engine import Engine
from plant_disease.service.idempotency import Order
from plant_disease.service.inputs import deadline, limited, parsed
from plant_disease.service.job_threads import ask, in_thread, in_time, unavailable
from plant_disease.service.jobs import Jobs
from plant_disease.service.limits import Standing
from plant_disease.service.limits.limiter import QUOTA
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import logger, record
from plant_disease.service.uploads import name_of, open_uploads, owner_of, uri_of
from plant_disease.service.uploads import unavailable as uploads_unavailable
from plant_disease.settings import Settings

JSON = "application/json"

_MOST_CLASSES = 10
"""For each photo. All results of a job are put together in memory."""

_DROP_S = 10.0
"""Seconds for which whoever cancels a job waits for its end."""

# Of their own: a name server that hangs is not to stop those who ask the store.
_lookups = ThreadPoolExecutor(4, thread_name_prefix="webhooks")

_dropping: dict[str, asyncio.Task[None]] = {}
"""For jobs that are cancelled: what brings them to their end."""


class JobRequest(BaseModel):
    """What a job is to do: exactly one of image_uris and prefix."""

    model_config = ConfigDict(extra="forbid")

    image_uris: list[Annotated[str, StringConstraints(max_length=2000)]] | None = Field(
        None, description="photos that were uploaded before", min_length=1, examples=[["gs://uploads/in/1.jpg"]]
    )
    prefix: str | None = Field(
        None, max_length=2000, description="or all that was uploaded under this address", examples=["gs://uploads/in/"]
    )
    top_k: int = Field(3, ge=1, le=_MOST_CLASSES, description="how many classes to name for each photo")
    crop: list[Annotated[str, StringConstraints(max_length=100)]] = Field(
        [], max_length=20, description="all plants are of these: only their classes are considered, and renormalised"
    )
    webhook: str | None = Field(
        None, max_length=2000, description="who is told of the end", examples=["https://hooks.example.com/plants"]
    )


class Placed(NamedTuple):
    """An order that was taken.

    Attributes:
        job: what became of it.
        standing: how the caller stands to its plan now; None if it has none.
        is_new: whether it came for the first time.
    """

    job: Job
    standing: Standing | None
    is_new: bool


async def read(request: Request, settings: Settings) -> tuple[JobRequest, str]:
    """An order, and its fingerprint: another one under the same `Idempotency-Key` has another.

    Raises:
        Problem: 400, 408, 413, 415: see the message.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Problem(
            415,
            "unsupported_media_type",
            'Send application/json: {"image_uris": […]} or {"prefix": "…"}. The photos are uploaded before.',
            headers={"Accept": JSON},
        )
    async with deadline(settings.body_timeout_s):
        raw = b"".join([chunk async for chunk in limited(request, settings)])
    # Each takes 1 byte here, and a hundred once parsed. Names may have some too.
    if sum(map(raw.count, (b",", b"[", b"{"))) > 2 * settings.max_job_images + 100:
        raise _too_many(settings)

    def understand() -> tuple[JobRequest, str]:
        sent = parsed(JobRequest, raw)
        return sent, _fingerprint(sent)

    sent, fingerprint = await in_thread(understand)
    if (sent.image_uris is None) == (sent.prefix is None):
        raise Problem(400, "no_image", "Give exactly one of image_uris and prefix.")
    return sent, fingerprint


async def place(sent: JobRequest, fingerprint: str, request: Request, who: Caller) -> Placed:
    """Take an order: a new job, or if it came before under its `Idempotency-Key`, that one.

    Raises:
        Problem: 400, 402, 403, 413, 422, 429, 503: see the message.
    """
    jobs: Jobs = request.app.state.jobs
    key = request.headers.get("idempotency-key")
    order = None if key is None else Order(owner_of(request), key, fingerprint)
    job_id = _id(order) if order else secrets.token_hex(16)
    job = await ask(lambda: jobs.store().find(job_id)) if order else None
    placed = Placed(job, None, is_new=False) if job else await _made(job_id, sent, fingerprint, request, who)
    job = placed.job
    if job.fingerprint != fingerprint:
        raise Problem(
            422, "idempotency_key_reused", "This Idempotency-Key was used for another request. Take a new one."
        )
    record().fields |= {"job": job.id, "photos": job.total}
    if not placed.is_new:
        return placed._replace(standing=await _again(job, request, who))
    try:
        await in_time(jobs.send(job))
    except Problem:
        await _undo(job, jobs)
        raise
    return placed


async def cancel(job: Job, jobs: Jobs) -> None:
    """Cancel a job: once this is done, no other chunk of it is begun. Its end may come later.

    Raises:
        Problem: 503, it is not cancelled.
    """
    await ask(lambda: jobs.store().cancel(job))
    task = _dropping.get(job.id)
    if task is None:
        task = _dropping[job.id] = asyncio.create_task(jobs.worker.cancel(job))
        task.add_done_callback(lambda done: _dropped(job, done))
    # It goes on: stopped between the end and what then goes back to the quota, that would be lost. What a platform
    # stops all the same, the messages of the job do.
    await asyncio.wait({task}, timeout=_DROP_S)


def _dropped(job: Job, task: asyncio.Task[None]) -> None:
    del _dropping[job.id]
    if not task.cancelled() and (error := task.exception()):
        logger.error("job %s is cancelled, and not at its end: %s", job.id, error)


async def _made(job_id: str, sent: JobRequest, fingerprint: str, request: Request, who: Caller) -> Placed:
    """A new job, counted and written down; or the one of the same order that came at the same moment."""
    jobs: Jobs = request.app.state.jobs
    engine: Engine = request.app.state.engine
    await _check_webhook(sent.webhook, jobs)
    (await engine.classifier()).check(sent.top_k, sent.crop)
    owner = owner_of(request)
    uris = await ask(lambda: _uris(sent, jobs.settings, owner))
    standing = await _take(request, who, who.plan, len(uris))
    job = Job(
        id=job_id,
        owner=owner,
        subject=who.subject,
        key_id=who.key_id,
        created=datetime.now(UTC),
        fingerprint=fingerprint,
        total=len(uris),
        chunk=jobs.settings.jobs_chunk,
        folder=secrets.token_hex(8),
        top_k=sent.top_k,
        crops=tuple(sent.crop),
        webhook=sent.webhook,
        quota=_quota(standing),
        request_id=record().request_id,
        idempotency_key=request.headers.get("idempotency-key"),
    )
    written = await _written(job, uris, jobs)
    return Placed(written, standing, is_new=written.folder == job.folder)


async def _written(job: Job, uris: list[str], jobs: Jobs) -> Job:
    """The job of this id that is written down: this one, or another. What was counted for nothing goes back.

    Raises:
        Problem: 503, there is none, or that cannot be told.
    """
    try:
        # Not given up while it goes on: then nobody would know what came of it. The store has its own limits.
        await in_thread(lambda: jobs.store().create(job, uris))
        return job
    except StorageError as error:
        # Even so it may be there: what was lost may be the answer of the store.
        logger.warning("job %s may not be written: %s", job.id, error)
    try:
        found = await ask(lambda: jobs.store().find(job.id))
    except Problem:
        # What was counted stays so: it could come back a second time, at the end of the job.
        await _undo(job, jobs)
        raise
    if found is None or found.folder != job.folder:
        await jobs.give_back(job, job.total)
    if found is None:
        raise unavailable()
    return found


async def _undo(job: Job, jobs: Jobs) -> None:
    """Cancel a job whose caller has no name for it, and could neither go on with it nor cancel it."""
    if job.idempotency_key is None:
        with contextlib.suppress(Problem):
            await cancel(job, jobs)


async def _again(job: Job, request: Request, who: Caller) -> Standing | None:
    """Go on with a job whose order has come again: it may never have been queued, or only some of it."""
    jobs: Jobs = request.app.state.jobs
    is_over = await ask(lambda: jobs.store().end(job)) is not None
    # It costs no photo, and is not to be had without end: each message counts as a photo, against the rate alone.
    plan = Plan(rates=who.plan.rates) if who.plan else None
    standing = await _take(request, who, plan, 1 if is_over else job.chunks)
    if not is_over:
        await in_time(jobs.send(job))
    return standing


def _uris(sent: JobRequest, settings: Settings, owner: str) -> list[str]:
    """The photos of an order.

    Raises:
        Problem: 400, 403, 413, 503: see the message.
    """
    if sent.image_uris is not None:
        if len(sent.image_uris) > settings.max_job_images:
            raise _too_many(settings)
        for uri in sent.image_uris:
            name_of(uri, settings, owner)
        return sent.image_uris
    place = str(settings.uploads_uri)
    # As a folder: what merely begins alike is somebody else's.
    folder = f"{sent.prefix}".rstrip("/") + "/"
    try:
        prefix = name_of(f"{folder}x", settings, owner).removesuffix("x")
        found = islice(open_uploads(place).list(prefix), settings.max_job_images + 1)
        uris = [uri_of(entry.name, place) for entry in found]
    except NotFound:
        uris = []
    except StorageError as error:
        logger.error("uploads cannot be listed: %s", error)
        raise uploads_unavailable("listed") from error
    if not uris:
        raise Problem(400, "no_image", "Nothing was uploaded under this prefix.")
    if len(uris) > settings.max_job_images:
        raise _too_many(settings)
    return uris


def _too_many(settings: Settings) -> Problem:
    return Problem(413, "too_many_images", f"At most {settings.max_job_images:,} photos are accepted in a job.")


async def _check_webhook(url: str | None, jobs: Jobs) -> None:
    webhooks = jobs.webhooks
    if url is None:
        return
    if webhooks is None:
        raise Problem(422, "webhook_refused", "This service calls no webhooks; ask for the job's status instead.")
    try:
        await in_time(in_thread(lambda: webhooks.check(url), _lookups))
    except (WebhookRefused, WebhookFailed) as error:
        raise Problem(422, "webhook_refused", str(error)) from error


async def _take(request: Request, who: Caller, plan: Plan | None, photos: int) -> Standing | None:
    if plan is None:
        return None
    standing: Standing = await request.app.state.limiter.take(
        who.subject, "jobs" if "jobs" in plan.rates else "batch", plan, photos
    )
    return standing


def _quota(standing: Standing | None) -> Quota | None:
    for limit in standing.limits if standing else ():
        if limit.name == QUOTA:
            return Quota(most=limit.most, unit=limit.unit, seconds=limit.seconds, ends=limit.ends)
    return None


def _id(order: Order) -> str:
    return hashlib.sha256(f"job\n{order.subject}\n{order.key}".encode()).hexdigest()[:32]


def _fingerprint(sent: JobRequest) -> str:
    return hashlib.sha256(json.dumps(sent.model_dump(), sort_keys=True).encode()).hexdigest()
