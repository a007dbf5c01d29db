"""Photos that are too large for a request go to the bucket directly: POST /uploads says where to PUT them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from plant_disease.errors import PreconditionFailed, StorageError
from plant_disease.plans import Plan
from plant_disease.service.auth import Caller, caller
from plant_disease.service.inputs import deadline, parsed
from plant_disease.service.problems import Problem, responses
from plant_disease.service.telemetry import logger
from plant_disease.service.tickets import Ticket, Tickets
from plant_disease.service.uploads import SUFFIXES, new_name, open_uploads, owner_of, unavailable, uri_of
from plant_disease.settings import Settings
from plant_disease.storage import ABSENT, SignedPut, SignsPuts

T = TypeVar("T")

router = APIRouter(tags=["uploads"])

_MOST_OF_A_QUESTION = 4096
_TIMEOUT_S = 20.0

_tickets = Tickets()
_threads = ThreadPoolExecutor(8, thread_name_prefix="uploading")


class UploadRequest(BaseModel):
    """A photo that is to be uploaded."""

    model_config = ConfigDict(extra="forbid")

    content_type: str = Field(description="of the photo", examples=list(SUFFIXES))
    size: int = Field(description="of the photo, in bytes", ge=1, examples=[4_200_000])


class UploadAnswer(BaseModel):
    """Where to PUT the photo, and how to name it afterwards."""

    upload_url: str = Field(description="takes one PUT of exactly that type and size, without a key")
    headers: dict[str, str] = Field(description="to send with the PUT exactly so")
    image_uri: str = Field(description="for /predict, /batch and /explain; only you can use it")
    expires_at: datetime = Field(description="by then the PUT must have begun")


@router.post(
    "/uploads",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": UploadRequest.model_json_schema()}},
        }
    },
    responses=responses(400, 401, 403, 404, 408, 413, 415, 429, 503),
)
async def post_uploads(
    request: Request, who: Annotated[Caller, Depends(caller("predict", "batch", "explain"))]
) -> UploadAnswer:
    """Ask where to upload a photo that is too large to be sent with a request."""
    settings: Settings = request.app.state.engine.settings
    place = settings.uploads_uri
    if place is None:
        raise Problem(
            404,
            "uploads_off",
            "This service takes no uploads; send the photo itself. Whoever runs it sets PLANT_UPLOADS_URI.",
        )
    sent = await _question(request, settings)
    if who.plan and "uploads" in who.plan.rates:
        await request.app.state.limiter.take(who.subject, "uploads", Plan(rates=who.plan.rates), 1)
    seconds = settings.uploads_expire_s
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    name = new_name(owner_of(request), sent.content_type)

    def sign() -> SignedPut:
        store = open_uploads(place)
        if isinstance(store, SignsPuts):
            return store.presign_put(name, content_type=sent.content_type, size=sent.size, expires_s=seconds)
        ticket = Ticket(
            place=place, name=name, content_type=sent.content_type, size=sent.size, expires=expires_at.timestamp()
        )
        # This very address, which takes the PUT too.
        url = request.url.replace_query_params(ticket=_tickets.sign(ticket))
        return SignedPut(str(url), {"Content-Type": sent.content_type})

    signed = await _in_thread(sign, "signed")
    return UploadAnswer(
        upload_url=signed.url, headers=signed.headers, image_uri=uri_of(name, place), expires_at=expires_at
    )


# Not in the document: as with a bucket, all there is to know is that upload_url takes a PUT.
@router.put("/uploads", status_code=204, include_in_schema=False)
async def put_upload(request: Request, ticket: str = "") -> Response:
    """Take a photo for a folder, with the ticket in place of a key."""
    settings: Settings = request.app.state.engine.settings
    try:
        allowed = _tickets.check(ticket)
    except ValueError as error:
        raise _refused(f"This upload_url {error}") from error
    if request.headers.get("content-type") != allowed.content_type:
        raise _refused(f"The upload_url is for {allowed.content_type}")
    photo = await _body(request, settings, allowed.size)
    if len(photo) != allowed.size:
        raise _refused(f"The upload_url is for exactly {allowed.size:,} bytes")
    try:
        await _in_thread(lambda: open_uploads(allowed.place).write(allowed.name, photo, if_generation=ABSENT), "stored")
    except PreconditionFailed as error:
        raise Problem(
            412, "already_uploaded", "This upload_url was used before; each is good for one photo."
        ) from error
    return Response(status_code=204)


async def _question(request: Request, settings: Settings) -> UploadRequest:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(
            415,
            "unsupported_media_type",
            'Send application/json: {"content_type": "image/jpeg", "size": 4200000}',
            headers={"Accept": "application/json"},
        )
    raw = await _body(request, settings, _MOST_OF_A_QUESTION)
    if len(raw) > _MOST_OF_A_QUESTION:
        raise Problem(
            413, "body_too_large", f"The body has more than {_MOST_OF_A_QUESTION:,} bytes. The photo comes later."
        )
    sent = parsed(UploadRequest, raw)
    if sent.content_type not in SUFFIXES:
        raise Problem(415, "unsupported_format", f"The content_type may be {', '.join(SUFFIXES)}.")
    if sent.size > settings.max_image_bytes:
        raise Problem(413, "image_too_large", f"A photo may have {settings.max_image_bytes:,} bytes.")
    return sent


async def _body(request: Request, settings: Settings, most: int) -> bytes:
    """The body, or a part of it that is longer than `most`."""
    body = bytearray()
    async with deadline(settings.body_timeout_s):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
    return bytes(body)


async def _in_thread(work: Callable[[], T], done: str) -> T:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await asyncio.get_running_loop().run_in_executor(_threads, work)
    except PreconditionFailed:
        raise
    except (StorageError, ValueError, TimeoutError) as error:
        logger.error("uploads cannot be %s: %s", done, str(error) or type(error).__name__)
        raise unavailable(done) from error


def _refused(why: str) -> Problem:
    return Problem(403, "upload_refused", f"{why}. Ask POST /uploads for another.")
