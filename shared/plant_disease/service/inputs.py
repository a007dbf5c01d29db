"""The photos of a request, whichever of the three ways they come: multipart, a raw body, or JSON."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from plant_disease.errors import NotFound, StorageError, TooLarge
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import logger
from plant_disease.settings import Settings
from plant_disease.storage import Limits, Store, check_name, open_store

_RAW_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png", "image/webp"})
_DATA_URL = re.compile(r"^data:image/[a-z]+;base64,")
_NUMBER = re.compile(r"[0-9]{1,18}")
_BOUNDARY = re.compile(r"[ !#-\[\]-~]{1,256}")
_MANY = 1000
"""More parts than this in one form, or values in one JSON document, are not even counted."""

_UPLOADS_LIMITS = Limits(connect_s=2, read_s=5, attempt_s=10, attempts=2)
_UPLOADS_TIMEOUT_S = 20.0
"""Seconds for all the uploaded photos of one request."""

_readers = ThreadPoolExecutor(16, thread_name_prefix="uploads")
"""A pool of its own: hanging reads must not take the threads of others."""


class JsonInput(BaseModel):
    """A request body in JSON: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(None, description="one photo, base64")
    images: list[str] | None = Field(None, description="several photos, base64 each", min_length=1)
    image_uri: str | None = Field(None, description="a photo that was uploaded before", examples=["gs://uploads/1.jpg"])
    image_uris: list[str] | None = Field(None, description="several of them", min_length=1)


def refuse_announced(request: Request, settings: Settings) -> None:
    """Turn a request away that says itself that it is too large, before anything is done for it.

    Raises:
        Problem: 413.
    """
    announced = request.headers.get("content-length", "")
    if _NUMBER.fullmatch(announced) and int(announced) > settings.max_body_bytes:
        raise _body_too_large(settings)


async def read_photos(request: Request, settings: Settings, *, most: int) -> list[bytes]:
    """The encoded photos of a request, at least one and at most `most`, in order.

    Nothing is decoded here. The body is read no further than the limits of the settings allow.

    Raises:
        Problem: 400, 403, 408, 413, 415: see the message.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = _limited(request, settings)
    async with _deadline(settings.body_timeout_s):
        if media_type == "multipart/form-data":
            photos = await _from_form(request, body, settings, most)
        elif media_type == "application/json" or media_type in _RAW_TYPES:
            photos = [b"".join([chunk async for chunk in body])]
        else:
            raise Problem(
                415,
                "unsupported_media_type",
                "Send the photo as multipart/form-data (field image), as a raw image/jpeg, image/png or image/webp "
                "body, or as application/json.",
                headers={"Accept": "multipart/form-data, image/jpeg, image/png, image/webp, application/json"},
            )
    if media_type == "application/json":
        photos = await _from_json(photos[0], settings, most)
    if not all(photos):
        raise Problem(400, "empty_image", "A photo is empty (0 bytes).")
    return photos


async def _limited(request: Request, settings: Settings) -> AsyncGenerator[bytes]:
    """The body in chunks, cut off at the limit."""
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > settings.max_body_bytes:
            raise _body_too_large(settings)
        yield chunk


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Problem(
            408,
            "body_timeout",
            f"The body did not arrive within {seconds:g} seconds. Send a smaller photo or use a faster line.",
        ) from error


async def _from_form(request: Request, body: AsyncGenerator[bytes], settings: Settings, most: int) -> list[bytes]:
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary", b"").decode("latin-1")
    if not _BOUNDARY.fullmatch(boundary):
        raise Problem(400, "invalid_form", "The Content-Type has no boundary, or none that is allowed.")
    # The boundary only: under its charset the parser would decode with any codec of Python's, the slow ones included.
    parser = MultiPartParser(
        Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'}),
        body,
        max_files=_MANY,
        max_fields=_MANY,
    )
    # The body is small enough for memory, and /tmp of most serverless platforms is memory as well.
    parser.spool_max_size = settings.max_body_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, "invalid_form", f"The multipart/form-data body cannot be read: {error.message}") from error
    async with AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        parts = form.multi_items()
        unknown = {name for name, _ in parts} - {"image", "images"}
        if unknown:
            raise Problem(
                400, "unknown_field", "The form has a field that is not known; send the photo as field image."
            )
        files = [part for _, part in parts if isinstance(part, UploadFile)]
        if len(files) < len(parts) or not files:
            raise Problem(400, "no_image", "The form has no file in its field image. With curl: -F image=@leaf.jpg")
        _check_count(len(files), most)
        return [await file.read() for file in files]


async def _from_json(raw: bytes, settings: Settings, most: int) -> list[bytes]:
    if sum(map(raw.count, (b",", b"[", b"{"))) > _MANY:
        # Each of these takes 1 byte here, and a hundred once parsed; base64 has none.
        raise Problem(400, "invalid_json", "The JSON body has more values than any that is described at /docs.")
    try:
        sent = JsonInput.model_validate_json(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise Problem(400, "invalid_json", f"The JSON body is not as described at /docs: {faults[:500]}") from error
    given = [name for name, value in sent if value is not None]
    if len(given) != 1:
        raise Problem(400, "no_image", "Give exactly one of image, images, image_uri and image_uris.")
    values = getattr(sent, given[0])
    values = [values] if isinstance(values, str) else values
    _check_count(len(values), most)
    if given[0].startswith("image_uri"):
        return await _from_uris(values, settings)
    return [_from_base64(value) for value in values]


def _from_base64(value: str) -> bytes:
    try:
        return base64.b64decode(_DATA_URL.sub("", value, count=1).replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, "invalid_base64", "A photo is not valid base64.") from error


async def _from_uris(uris: Sequence[str], settings: Settings) -> list[bytes]:
    prefix = (settings.uploads_uri or "").rstrip("/") + "/"
    if settings.uploads_uri is None or not all(uri.startswith(prefix) for uri in uris):
        raise _uri_not_allowed()
    loop = asyncio.get_running_loop()
    names = [uri.removeprefix(prefix) for uri in uris]
    reading = [loop.run_in_executor(_readers, _read_upload, name, settings) for name in names]
    try:
        async with asyncio.timeout(_UPLOADS_TIMEOUT_S):
            return await asyncio.gather(*reading)
    except TimeoutError as error:
        raise _uploads_unavailable() from error


def _read_upload(name: str, settings: Settings) -> bytes:
    assert settings.uploads_uri  # noqa: S101 - for the type checker
    try:
        check_name(name)
    except ValueError as error:
        raise _uri_not_allowed() from error
    try:
        return _uploads(settings.uploads_uri).read(name, max_bytes=settings.max_image_bytes).data
    except TooLarge as error:
        raise Problem(413, "image_too_large", f"A photo has more than {settings.max_image_bytes:,} bytes.") from error
    except NotFound as error:
        raise Problem(404, "image_not_found", "There is no uploaded photo at this image_uri, or no longer.") from error
    except (StorageError, ValueError) as error:
        logger.error("uploads cannot be read: %s", error)
        raise _uploads_unavailable() from error


@lru_cache(maxsize=4)
def _uploads(uri: str) -> Store:
    return open_store(uri, limits=_UPLOADS_LIMITS)


def _uri_not_allowed() -> Problem:
    return Problem(403, "uri_not_allowed", "image_uri may only name a photo that was uploaded to this service.")


def _uploads_unavailable() -> Problem:
    return Problem(503, "uploads_unavailable", "Uploaded photos cannot be read now.", retry_after=5)


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise Problem(413, "too_many_images", f"At most {most} photos are accepted here; there are {count}.")


def _body_too_large(settings: Settings) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"The body has more than {settings.max_body_bytes:,} bytes. Send fewer or smaller photos.",
    )


def request_body() -> dict[str, Any]:
    """The OpenAPI description of the three ways."""
    photo = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": {"image": {"type": "array", "items": photo, "minItems": 1}},
        "required": ["image"],
        "additionalProperties": False,
    }
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            **{media_type: {"schema": photo} for media_type in ("image/jpeg", "image/png", "image/webp")},
            "application/json": {"schema": JsonInput.model_json_schema()},
        },
    }
