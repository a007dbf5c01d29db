"""Jobs over HTTP: thousands of photos are handed over, and their diagnoses fetched when they are done."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Literal, TypeVar, cast

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from plant_disease.errors import (
    NotFound,
    PreconditionFailed,
    QueueUnavailable,
    StorageError,
    WebhookFailed,
    WebhookRefused,
)
from plant_disease.jobs.documents import Job, Quota
from plant_disease.jobs.queues.pubsub import delivery
from plant_disease.service.auth import Caller, caller
from plant_disease.service.batches import Stream
from plant_disease.service.engine import Engine
from plant_disease.service.idempotency import Order
from plant_disease.service.inputs import deadline, limited, parsed
from plant_disease.service.jobs import JobAnswer, Jobs
from plant_disease.service.limits import Limiter, Standing
from plant_disease.service.limits.limiter import QUOTA
from plant_disease.service.negotiation import preferred
from plant_disease.service.problems import Problem, responses
from plant_disease.service.telemetry import logger, record
from plant_disease.service.uploads import name_of, open_uploads, owner_of, unavailable, uri_of
from plant_disease.settings import Settings

T = TypeVar("T")

JSON, LINES, TABLE = "application/json", "application/x-ndjson", "text/csv"

_MOST_CLASSES = 10
"""For each photo. All results of a job are put together in memory."""

_SIGNED_S = 3600
_TIMEOUT_S = 25.0
"""Seconds for what the store has to do for one request."""

_threads = ThreadPoolExecutor(8, thread_name_prefix="jobs")


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


class ResultsLink(BaseModel):
    """Where the results lie."""

    url: str = Field(description="to GET, without a key")
    expires_at: datetime


class ResultsQuery(BaseModel):
    """The query of the results."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["jsonl", "csv"] | None = Field(None, description="default: as Accept says, or else jsonl")


def add_jobs(app: FastAPI) -> Jobs:
    """Have an application that has these routes take jobs.

    Raises:
        ConfigurationError: the settings do not fit together.
    """
    engine: Engine = app.state.engine
    jobs = Jobs(engine.settings, engine, app.state.limiter, app.state.usage)
    app.state.jobs = jobs
    return jobs


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with cast("Jobs", app.state.jobs).running():
        yield


router = APIRouter(tags=["jobs"], lifespan=_lifespan)


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    if jobs.settings.jobs_uri is None:
        raise Problem(404, "jobs_off", "This service takes no jobs. Whoever runs it sets PLANT_JOBS_URI.")
    return jobs


# Looked at first: who may not ask is not told whether there is something to ask for.
_ALLOWED = Depends(caller("batch"))
_Caller = Annotated[Caller, _ALLOWED]
_Jobs = Annotated[Jobs, Depends(_jobs)]


async def _own(job_id: str, request: Request, jobs: _Jobs) -> Job:
    """The job of an address, if it is the caller's."""
    job = None
    if len(job_id) == 32 and set(job_id) <= set("0123456789abcdef"):
        job = await _ask(lambda: jobs.store().find(job_id))
    if job is None or job.owner != owner_of(request):
        raise Problem(404, "job_not_found", "You have no job of this id, or no longer.")
    record().fields["job"] = job.id
    return job


_Own = Annotated[Job, Depends(_own)]


@router.post(
    "/batch/jobs",
    status_code=202,
    openapi_extra={
        "requestBody": {"required": True, "content": {JSON: {"schema": JobRequest.model_json_schema()}}},
        "parameters": [
            {
                "in": "header",
                "name": "Idempotency-Key",
                "schema": {"type": "string", "maxLength": 255},
                "description": "sent again with the same one, the same order is the same job",
            }
        ],
    },
    responses=responses(400, 401, 402, 403, 404, 408, 413, 415, 422, 429, 503),
)
async def post_job(request: Request, response: Response, who: _Caller, jobs: _Jobs) -> JobAnswer:
    """Hand over up to 100,000 uploaded photos; each is diagnosed as a plant of its own.

    They are counted against the plan at once, and billed as they are done.
    """
    sent = await _sent(request, jobs.settings)
    order = _order(request, sent)
    job_id = _id(order) if order else secrets.token_hex(16)
    job = await _ask(lambda: jobs.store().find(job_id)) if order else None
    if job is None:
        job, standing = await _made(job_id, sent, order, request, who)
        response.headers.update(standing.headers() if standing else {})
    else:
        response.headers["Idempotency-Replayed"] = "true"
    if job.fingerprint != _fingerprint(sent):
        raise Problem(
            422, "idempotency_key_reused", "This Idempotency-Key was used for another request. Take a new one."
        )
    record().fields |= {"job": job.id, "photos": job.total}
    await _begin(job, jobs, may_come_again=order is not None)
    response.headers["Location"] = f"/batch/jobs/{job.id}"
    return await _ask(lambda: jobs.answer(job))


@router.get("/batch/jobs/{job_id}", dependencies=[_ALLOWED], responses=responses(400, 401, 403, 404, 503))
async def get_job(job: _Own, jobs: _Jobs) -> JobAnswer:
    """How far a job is."""
    return await _ask(lambda: jobs.answer(job))


@router.delete("/batch/jobs/{job_id}", dependencies=[_ALLOWED], responses=responses(400, 401, 403, 404, 503))
async def delete_job(job: _Own, jobs: _Jobs) -> JobAnswer:
    """Cancel a job: what is not done by now will not be, and goes back to the quota. Its results stay."""
    if await _ask(lambda: jobs.store().end(job)) is None:
        await _in_time(jobs.worker.cancel(job))
    return await _ask(lambda: jobs.answer(job))


@router.get(
    "/batch/jobs/{job_id}/results",
    dependencies=[_ALLOWED],
    response_model=ResultsLink,
    responses={
        200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in (LINES, TABLE)}},
        302: {"description": "the results lie there, for an hour; send no key along"},
        **responses(400, 401, 403, 404, 409, 422, 503),
    },
)
async def get_results(request: Request, query: Annotated[ResultsQuery, Query()], job: _Own, jobs: _Jobs) -> Response:
    """The diagnoses of a job that is finished: a line of JSON for each photo, or with `Accept: text/csv` a table.

    Where they lie in a bucket, this leads there; `Accept: application/json` tells the address instead.
    """
    store = await _ask(jobs.store)
    if await _ask(lambda: store.end(job)) is None:
        raise Problem(409, "job_not_finished", "The results can be fetched when the job is finished.", retry_after=10)
    accepted = preferred(request.headers.get("accept", ""), (LINES, TABLE, JSON))
    suffix = query.format or ("csv" if accepted == TABLE else "jsonl")
    media_type = TABLE if suffix == "csv" else LINES
    if store.signs:
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=_SIGNED_S)
        url = await _ask(lambda: store.sign(job, suffix, media_type=media_type, expires_s=_SIGNED_S))
        if accepted == JSON:
            return JSONResponse(ResultsLink(url=url, expires_at=expires_at).model_dump(mode="json"))
        return RedirectResponse(url, 302)
    lines: Iterator[bytes | str] = store.table(job) if suffix == "csv" else store.lines(job)
    return Stream(
        _streamed(lines),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="job-{job.id}.{suffix}"'},
    )


# Not in the document: nobody but Pub/Sub can use it.
@router.post("/jobs/work", status_code=204, include_in_schema=False)
async def post_work(request: Request) -> Response:
    """Take a chunk of a job from Pub/Sub. Any other answer than 2xx makes it come again."""
    jobs: Jobs = request.app.state.jobs
    tokens = jobs.tokens
    if tokens is None:
        raise Problem(404, "not_found", "Nothing is delivered here.")
    try:
        authorization = request.headers.get("authorization", "")
        is_valid = await asyncio.get_running_loop().run_in_executor(_threads, tokens.are_valid, authorization)
    except Exception as error:
        logger.error("the token of a delivery cannot be checked (%s)", type(error).__name__)
        raise Problem(503, "token_unchecked", "The token cannot be checked now.", retry_after=5) from error
    if not is_valid:
        raise Problem(401, "invalid_token", "Deliveries need a token of Pub/Sub.")
    async with deadline(jobs.settings.body_timeout_s):
        body = b"".join([chunk async for chunk in limited(request, jobs.settings)])
    try:
        arrived = delivery(body)
    except ValueError:
        logger.error("a push that is none of Pub/Sub's is thrown away")
        return Response(status_code=204)
    if not await jobs.take(arrived):
        raise Problem(503, "try_again", "The chunk could not be done now.", retry_after=5)
    return Response(status_code=204)


async def _made(
    job_id: str, sent: JobRequest, order: Order | None, request: Request, who: Caller
) -> tuple[Job, Standing | None]:
    """A new job, counted and written down; or the one of the same order that came at the same moment."""
    jobs: Jobs = request.app.state.jobs
    engine: Engine = request.app.state.engine
    await _check_webhook(sent.webhook, jobs)
    (await engine.classifier()).check(sent.top_k, sent.crop)
    owner = owner_of(request)
    uris = await _ask(lambda: _uris(sent, jobs.settings, owner))
    standing = await _take(request.app.state.limiter, who, len(uris))
    job = Job(
        id=job_id,
        owner=owner,
        subject=who.subject,
        key_id=who.key_id,
        created=datetime.now(UTC),
        fingerprint=_fingerprint(sent),
        total=len(uris),
        chunk=jobs.settings.jobs_chunk,
        lists=secrets.token_hex(8),
        top_k=sent.top_k,
        crops=tuple(sent.crop),
        webhook=sent.webhook,
        quota=_quota(standing),
        request_id=record().request_id,
        idempotency_key=order.key if order else None,
    )
    try:
        await _ask(lambda: jobs.store().create(job, uris))
    except (PreconditionFailed, Problem) as error:
        await jobs.give_back(job, job.total)
        if isinstance(error, Problem):
            raise
        return cast("Job", await _ask(lambda: jobs.store().find(job_id))), None
    return job, standing


async def _begin(job: Job, jobs: Jobs, *, may_come_again: bool) -> None:
    """Queue a job that is written down."""
    try:
        if await _ask(lambda: jobs.store().end(job)) is None:
            await _in_time(jobs.send(job))
    except Problem:
        if not may_come_again:
            # The caller has no name for it, and could neither go on with it nor cancel it.
            await _in_time(jobs.worker.cancel(job))
        raise


async def _sent(request: Request, settings: Settings) -> JobRequest:
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
    sent = await _in_thread(lambda: parsed(JobRequest, raw))
    if (sent.image_uris is None) == (sent.prefix is None):
        raise Problem(400, "no_image", "Give exactly one of image_uris and prefix.")
    return sent


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
        raise unavailable("listed") from error
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
        await _in_thread(lambda: webhooks.check(url))
    except (WebhookRefused, WebhookFailed) as error:
        raise Problem(422, "webhook_refused", str(error)) from error


async def _take(limiter: Limiter, who: Caller, photos: int) -> Standing | None:
    if who.plan is None:
        return None
    return await limiter.take(who.subject, "jobs" if "jobs" in who.plan.rates else "batch", who.plan, photos)


def _quota(standing: Standing | None) -> Quota | None:
    for limit in standing.limits if standing else ():
        if limit.name == QUOTA:
            return Quota(most=limit.most, unit=limit.unit, seconds=limit.seconds, ends=limit.ends)
    return None


def _order(request: Request, sent: JobRequest) -> Order | None:
    key = request.headers.get("idempotency-key")
    return None if key is None else Order(owner_of(request), key, _fingerprint(sent))


def _id(order: Order) -> str:
    return hashlib.sha256(f"job\n{order.subject}\n{order.key}".encode()).hexdigest()[:32]


def _fingerprint(sent: JobRequest) -> str:
    return hashlib.sha256(json.dumps(sent.model_dump(), sort_keys=True).encode()).hexdigest()


async def _streamed(lines: Iterator[T]) -> AsyncGenerator[T]:
    loop, end = asyncio.get_running_loop(), object()
    while (part := await loop.run_in_executor(_threads, next, lines, end)) is not end:
        yield cast("T", part)


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


async def _ask(question: Callable[[], T]) -> T:
    """What the store of the jobs says.

    Raises:
        PreconditionFailed: it does.
        Problem: 503, it does not answer.
    """
    return await _in_time(_in_thread(question))


async def _in_time(work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await work
    except PreconditionFailed:
        raise
    except (StorageError, QueueUnavailable, TimeoutError) as error:
        logger.error("jobs: %s", str(error) or type(error).__name__)
        raise Problem(503, "jobs_unavailable", "Jobs cannot be taken or looked at now.", retry_after=5) from error
