"""The photos of a request, whichever of the three ways they come: multipart, a raw body, or JSON."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from plant_disease.errors import NotFound, StorageError, TooLarge
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import logger
from plant_disease.settings import Settings
from plant_disease.storage import Store, open_store

_RAW_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png", "image/webp"})
_DATA_URL = re.compile(r"^data:image/[a-z]+;base64,")
_MANY = 1000
"""More parts than this in one form are not even counted."""


class JsonInput(BaseModel):
    """A request body in JSON: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(None, description="one photo, base64")
    images: list[str] | None = Field(None, description="several photos, base64 each", min_length=1)
    image_uri: str | None = Field(None, description="a photo that was uploaded before", examples=["gs://uploads/1.jpg"])
    image_uris: list[str] | None = Field(None, description="several of them", min_length=1)


async def read_photos(request: Request, settings: Settings, *, most: int) -> list[bytes]:
    """The encoded photos of a request, at least one and at most `most`, in order.

    Nothing is decoded here. The body is read no further than the limits of the settings allow.

    Raises:
        Problem: 400, 403, 408, 413, 415: see the message.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = _limited(request, settings)
    async with _deadline(settings.body_timeout_s):
        if media_type in _RAW_TYPES:
            photos = [await _joined(body)]
        elif media_type == "multipart/form-data":
            photos = await _from_form(request, body, most)
        elif media_type == "application/json":
            photos = await _from_json(await _joined(body), settings, most)
        else:
            raise Problem(
                415,
                "unsupported_media_type",
                "Send the photo as multipart/form-data (field image), as a raw image/jpeg, image/png or image/webp "
                "body, or as application/json.",
                headers={"Accept": "multipart/form-data, image/jpeg, image/png, image/webp, application/json"},
            )
    if not all(photos):
        raise Problem(400, "empty_image", "A photo is empty (0 bytes).")
    return photos


async def _limited(request: Request, settings: Settings) -> AsyncGenerator[bytes]:
    """The body in chunks, cut off at the limit: by what the header announces, and by what really comes."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > settings.max_body_bytes:
        raise _body_too_large(settings)
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
            headers={"Connection": "close"},
        ) from error


async def _joined(body: AsyncGenerator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in body])


async def _from_form(request: Request, body: AsyncGenerator[bytes], most: int) -> list[bytes]:
    try:
        form = await MultiPartParser(request.headers, body, max_files=_MANY, max_fields=_MANY).parse()
    except (MultiPartException, KeyError) as error:
        raise Problem(400, "invalid_form", f"The multipart/form-data body cannot be read: {error}") from error
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
    try:
        sent = JsonInput.model_validate_json(raw)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors())
        raise Problem(400, "invalid_json", f"The JSON body is not as described at /docs: {faults[:500]}") from error
    given = [name for name, value in sent if value is not None]
    if len(given) != 1:
        raise Problem(400, "no_image", "Give exactly one of image, images, image_uri and image_uris.")
    values = getattr(sent, given[0])
    values = [values] if isinstance(values, str) else values
    _check_count(len(values), most)
    if given[0].startswith("image_uri"):
        return [await asyncio.to_thread(_from_uri, uri, settings) for uri in values]
    return [_from_base64(value) for value in values]


def _from_base64(value: str) -> bytes:
    try:
        return base64.b64decode(_DATA_URL.sub("", value, count=1).replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, "invalid_base64", "A photo is not valid base64.") from error


def _from_uri(uri: str, settings: Settings) -> bytes:
    prefix = (settings.uploads_uri or "").rstrip("/") + "/"
    if settings.uploads_uri is None or not uri.startswith(prefix):
        raise Problem(403, "uri_not_allowed", "image_uri may only name a photo that was uploaded to this service.")
    try:
        return _uploads(settings.uploads_uri).read(uri.removeprefix(prefix), max_bytes=settings.max_image_bytes).data
    except ValueError as error:
        raise Problem(
            403, "uri_not_allowed", "image_uri may only name a photo that was uploaded to this service."
        ) from error
    except TooLarge as error:
        raise Problem(413, "image_too_large", f"A photo has more than {settings.max_image_bytes:,} bytes.") from error
    except NotFound as error:
        raise Problem(404, "image_not_found", "There is no uploaded photo at this image_uri, or no longer.") from error
    except StorageError as error:
        logger.warning("uploads cannot be read: %s", error)
        raise Problem(503, "uploads_unavailable", "Uploaded photos cannot be read now.", retry_after=5) from error


@lru_cache(maxsize=4)
def _uploads(uri: str) -> Store:
    return open_store(uri)


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise Problem(413, "too_many_images", f"At most {most} photos are accepted here; there are {count}.")


def _body_too_large(settings: Settings) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"The body has more than {settings.max_body_bytes:,} bytes. Send fewer or smaller photos.",
        headers={"Connection": "close"},
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
