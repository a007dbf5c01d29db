"""The photos of a request, whichever of the three ways they come: multipart, a raw body, or JSON."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plant_disease.archives import is_zip, open_zip
from plant_disease.batch import Source
from plant_disease.errors import ArchiveRefused, EmptyImage
from plant_disease.service.forms import read_files
from plant_disease.service.problems import Problem, from_error
from plant_disease.service.uploads import owner_of, read_upload, unavailable
from plant_disease.settings import Settings

Model = TypeVar("Model", bound=BaseModel)

_RAW_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png", "image/webp"})
_ZIP_TYPES = frozenset({"application/zip", "application/x-zip-compressed"})
_LONGEST_NAME = 255
_DATA_URL = re.compile(r"^data:image/[a-z]+;base64,")
_FIELDS = ("image", "images")
_MANY = 1000
"""More parts than this in one form, or values in one JSON document, are not even counted."""

_UPLOADS_TIMEOUT_S = 20.0
"""Seconds for all the uploaded photos of one request."""


class JsonInput(BaseModel):
    """A request body in JSON: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(None, description="one photo, base64")
    images: list[str] | None = Field(None, description="several photos, base64 each", min_length=1)
    image_uri: str | None = Field(None, description="a photo that was uploaded before", examples=["gs://uploads/1.jpg"])
    image_uris: list[str] | None = Field(None, description="several of them", min_length=1)


async def read_sources(request: Request, settings: Settings, *, most: int, zips: bool = False) -> list[Source]:
    """The photos of a request, in order: at least one and at most `most`.

    The body is read no further than the limits of the settings allow. Uploaded photos are not read yet, base64 is not
    decoded and nothing is unpacked.

    Args:
        request: the request.
        settings: with the limits.
        most: how many photos are accepted.
        zips: whether a ZIP is accepted too, as the body or as a file of a form: its photos take its place.

    Raises:
        Problem: 400, 408, 413, 415: see the message. What is wrong with a single photo is raised when that is read.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    accepted = _RAW_TYPES | (_ZIP_TYPES if zips else set())
    body = limited(request, settings)
    async with deadline(settings.body_timeout_s):
        if media_type == "multipart/form-data":
            sources = await _from_form(request, body, settings, most, zips=zips)
        elif media_type == "application/json" or media_type in accepted:
            data = b"".join([chunk async for chunk in body])
            _note_content(request, [data])
        else:
            raise Problem(
                415,
                "unsupported_media_type",
                "Send the photo as multipart/form-data (field image), as a raw image/jpeg, image/png or image/webp "
                f"body, {'as a ZIP (application/zip), ' if zips else ''}or as application/json.",
                headers={"Accept": ", ".join(["multipart/form-data", "application/json", *sorted(accepted)])},
            )
    if media_type == "application/json":
        sources = _from_json(data, settings, most, owner_of(request))
    elif media_type in _ZIP_TYPES:
        sources = list(_from_zip(data, settings))
    elif media_type in _RAW_TYPES:
        sources = [_sent(None, data)]
    if not sources:
        raise Problem(400, "no_image", "The ZIP has no photo in it.")
    _check_count(len(sources), most)
    return sources


async def fetch_photos(sources: Sequence[Source], readers: Executor) -> list[bytes]:
    """The encoded photos of one plant, in order.

    Args:
        sources: at least one.
        readers: where uploaded photos are read.

    Raises:
        Problem: 400, 403, 404, 413, 503: see the message.
    """
    if any(source.is_remote for source in sources):
        loop = asyncio.get_running_loop()
        reading = [loop.run_in_executor(readers, copy_context().run, source.read) for source in sources]
        try:
            async with asyncio.timeout(_UPLOADS_TIMEOUT_S):
                photos = await asyncio.gather(*reading)
        except TimeoutError as error:
            raise unavailable("read") from error
    else:
        photos = [source.read() for source in sources]
    if not all(photos):
        raise from_error(EmptyImage("A photo is empty (0 bytes)."))
    return photos


def _note_content(request: Request, parts: Iterable[bytes]) -> None:
    """Leave a hash of what was sent in the state of a request that may come again; see `metering`.

    Of the photos of a form and not of its text: a client that tries again separates them by another boundary.
    """
    if "idempotency-key" not in request.headers:
        return
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    request.state.content_sha256 = digest.hexdigest()


def _sent(name: str | None, data: bytes) -> Source:
    return Source(name and name[-_LONGEST_NAME:], lambda: data)


async def limited(request: Request, settings: Settings) -> AsyncGenerator[bytes]:
    """The body in chunks, cut off at the limit. `RefuseTooLarge` has looked at what its header announces."""
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > settings.max_body_bytes:
            raise body_too_large(settings)
        yield chunk


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Around reading a body.

    Raises:
        Problem: 408, it took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Problem(
            408,
            "body_timeout",
            f"The body did not arrive within {seconds:g} seconds. Send a smaller photo or use a faster line.",
        ) from error


async def _from_form(
    request: Request, body: AsyncGenerator[bytes], settings: Settings, most: int, *, zips: bool
) -> list[Source]:
    sent = await read_files(request.headers["content-type"], body, fields=_FIELDS, most=_MANY)
    _check_count(len(sent), most)
    _note_content(request, [data for _, data in sent])
    if not zips:
        return [_sent(name, data) for name, data in sent]
    return [
        source for name, data in sent for source in (_from_zip(data, settings) if is_zip(data) else [_sent(name, data)])
    ]


def _from_zip(data: bytes, settings: Settings) -> Iterator[Source]:
    try:
        entries = open_zip(data, max_bytes=settings.max_image_bytes, max_total_bytes=settings.max_batch_bytes)
    except ArchiveRefused as error:
        raise from_error(error) from error
    for name, unpack in entries:
        yield Source(name[-_LONGEST_NAME:], unpack)


def _from_json(raw: bytes, settings: Settings, most: int, owner: str) -> list[Source]:
    if sum(map(raw.count, (b",", b"[", b"{"))) > _MANY:
        # Each of these takes 1 byte here, and a hundred once parsed; base64 has none.
        raise Problem(400, "invalid_json", "The JSON body has more values than any that is described at /docs.")
    sent = parsed(JsonInput, raw)
    given = [name for name, value in sent if value is not None]
    if len(given) != 1:
        raise Problem(400, "no_image", "Give exactly one of image, images, image_uri and image_uris.")
    values = getattr(sent, given[0])
    values = [values] if isinstance(values, str) else values
    _check_count(len(values), most)
    if given[0].startswith("image_uri"):
        return [Source(uri, partial(read_upload, uri, settings, owner), is_remote=True) for uri in values]
    return [Source(None, partial(_from_base64, value)) for value in values]


def parsed(model: type[Model], raw: bytes) -> Model:
    """A body in JSON.

    Raises:
        Problem: 400, it is none, or not as the model says.
    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise Problem(400, "invalid_json", f"The JSON body is not as described at /docs: {faults[:500]}") from error


def _from_base64(value: str) -> bytes:
    try:
        return base64.b64decode(_DATA_URL.sub("", value, count=1).replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, "invalid_base64", "A photo is not valid base64.") from error


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise Problem(413, "too_many_images", f"At most {most} photos are accepted here; there are {count}.")


def body_too_large(settings: Settings) -> Problem:
    """The problem for more bytes than any request may have."""
    return Problem(
        413,
        "body_too_large",
        f"The body has more than {settings.max_body_bytes:,} bytes. Send fewer or smaller photos.",
    )


def request_body(*, field: str = "image", zips: bool = False) -> dict[str, Any]:
    """The OpenAPI description of the three ways.

    Args:
        field: of a form.
        zips: whether a ZIP is accepted too.
    """
    photo = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": {field: {"type": "array", "items": photo, "minItems": 1}},
        "required": [field],
        "additionalProperties": False,
    }
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            **{media_type: {"schema": photo} for media_type in ("image/jpeg", "image/png", "image/webp")},
            **({"application/zip": {"schema": photo}} if zips else {}),
            "application/json": {"schema": JsonInput.model_json_schema()},
        },
    }
