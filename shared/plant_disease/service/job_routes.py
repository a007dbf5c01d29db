"""Jobs over HTTP: thousands of photos are handed over, and their diagnoses fetched when they are done."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeVar, cast

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from plant_disease.jobs.documents import Job
from plant_disease.jobs.queues.pubsub import delivery
from plant_disease.service.auth import Caller, caller
from plant_disease.service.batches import Stream
from plant_disease.service.engine import Engine
from plant_disease.service.inputs import deadline, limited
from plant_disease.service.job_orders import JSON, JobRequest, cancel, place, read
from plant_disease.service.job_threads import ask, in_thread
from plant_disease.service.jobs import JobAnswer, Jobs
from plant_disease.service.negotiation import preferred
from plant_disease.service.problems import Problem, responses
from plant_disease.service.telemetry import logger, record
from plant_disease.service.uploads import owner_of

T = TypeVar("T")

LINES, TABLE = "application/x-ndjson", "text/csv"

_SIGNED_S = 3600
_TOKEN_S = 10.0

# Of their own: while Google does not answer, jobs can still be ordered and looked at.
_tokens = ThreadPoolExecutor(4, thread_name_prefix="tokens")


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
        job = await ask(lambda: jobs.store().find(job_id))
    if job is None or job.owner != owner_of(request):
        raise Problem(404, "job_not_found", "You have no job of this id, or no longer.")
    record().fields["job"] = job.id
    return job


_Own = Annotated[Job, Depends(_own)]


@router.post(
    "/batch/jobs",
    status_code=202,
    openapi_extra={
        # For our page of documentation: an example would need photos that were uploaded.
        "x-sample": False,
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
    job, standing, is_new = await place(*await read(request, jobs.settings), request, who)
    response.headers.update(standing.headers() if standing else {})
    response.headers["Location"] = f"/batch/jobs/{job.id}"
    if is_new:
        # Not asked for: if the store failed now, the caller would not learn the name of its job.
        return JobAnswer.of(job, (), end=None, is_cancelled=False)
    response.headers["Idempotency-Replayed"] = "true"
    return await ask(lambda: jobs.answer(job))


@router.get("/batch/jobs/{job_id}", dependencies=[_ALLOWED], responses=responses(400, 401, 403, 404, 503))
async def get_job(job: _Own, jobs: _Jobs) -> JobAnswer:
    """How far a job is."""
    return await ask(lambda: jobs.answer(job))


@router.delete("/batch/jobs/{job_id}", dependencies=[_ALLOWED], responses=responses(400, 401, 403, 404, 503))
async def delete_job(job: _Own, jobs: _Jobs) -> JobAnswer:
    """Cancel a job: what is not done by now will not be, and goes back to the quota. Its results stay.

    The end of a large one may come after the answer: until then `finished` is null.
    """
    if await ask(lambda: jobs.store().end(job)) is None:
        await cancel(job, jobs)
    return await ask(lambda: jobs.answer(job))


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
    store = await ask(jobs.store)
    if await ask(lambda: store.end(job)) is None:
        raise Problem(409, "job_not_finished", "The results can be fetched when the job is finished.", retry_after=10)
    accepted = preferred(request.headers.get("accept", ""), (LINES, TABLE, JSON))
    suffix = query.format or ("csv" if accepted == TABLE else "jsonl")
    media_type = TABLE if suffix == "csv" else LINES
    if store.signs:
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=_SIGNED_S)
        url = await ask(lambda: store.sign(job, suffix, media_type=media_type, expires_s=_SIGNED_S))
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
        async with asyncio.timeout(_TOKEN_S):
            is_valid = await in_thread(lambda: tokens.are_valid(authorization), _tokens)
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


async def _streamed(lines: Iterator[T]) -> AsyncGenerator[T]:
    end = object()
    while (part := await in_thread(lambda: next(lines, end))) is not end:
        yield cast("T", part)
