"""The photos that were uploaded before: whose they are, and how they are read.

Whose a photo is stands in its name, `<owner>/<random>.jpg`. No list is kept of them.
"""

import hashlib
import secrets
from functools import lru_cache
from typing import Final

from fastapi import Request

from plant_disease.errors import NotFound, StorageError, TooLarge
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import logger, timed
from plant_disease.settings import Settings
from plant_disease.storage import Limits, Store, is_name, open_store

SUFFIXES: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
"""What may be uploaded."""

_LIMITS = Limits(connect_s=2, read_s=5, attempt_s=10, attempts=2)
_OPEN = "open"
_RANDOM_BYTES = 24


def owner_of(request: Request) -> str:
    """Whose the photos are that this caller uploads, as the first segment of their names."""
    if request.app.state.engine.settings.auth == "off":
        return _OPEN
    # A hash: a subject may hold what no name can.
    return hashlib.sha256(request.state.caller.subject.encode()).hexdigest()[:32]


def new_name(owner: str, content_type: str) -> str:
    """A name that nobody can guess."""
    return f"{owner}/{secrets.token_urlsafe(_RANDOM_BYTES)}{SUFFIXES[content_type]}"


def name_of(uri: str, settings: Settings, owner: str) -> str:
    """The object that a caller names.

    Args:
        uri: as sent.
        settings: with the place of all uploads.
        owner: the caller, see `owner_of`. Without keys, whatever lies there may be read.

    Raises:
        Problem: 403, it lies elsewhere, or is somebody else's.
    """
    refusal = Problem(403, "uri_not_allowed", "image_uri may only name a photo that you have uploaded to this service.")
    if settings.uploads_uri is None:
        raise refusal
    everything = uri_of("", settings.uploads_uri)
    own = everything if settings.auth == "off" else f"{everything}{owner}/"
    name = uri.removeprefix(everything)
    # The check is needed besides: from <owner>/../ it is not far to the others.
    if not (uri.startswith(own) and is_name(name)):
        raise refusal
    return name


def uri_of(name: str, uploads_uri: str) -> str:
    """How a caller names an object."""
    return f"{uploads_uri.rstrip('/')}/{name}"


def read_upload(uri: str, settings: Settings, owner: str) -> bytes:
    """An uploaded photo.

    Raises:
        Problem: 403, see `name_of`; 404, 413, 503.
    """
    name = name_of(uri, settings, owner)
    assert settings.uploads_uri  # noqa: S101 - for the type checker: there would be no name
    try:
        with timed("storage_read"):
            return open_uploads(settings.uploads_uri).read(name, max_bytes=settings.max_image_bytes).data
    except TooLarge as error:
        raise Problem(413, "image_too_large", f"A photo has more than {settings.max_image_bytes:,} bytes.") from error
    except NotFound as error:
        raise Problem(404, "image_not_found", "There is no uploaded photo at this image_uri, or no longer.") from error
    except (StorageError, ValueError) as error:
        logger.error("uploads cannot be read: %s", error)
        raise unavailable("read") from error


@lru_cache(maxsize=4)
def open_uploads(uri: str) -> Store:
    """The store of all uploads; see `open_store`."""
    return open_store(uri, limits=_LIMITS)


def unavailable(done: str) -> Problem:
    """The problem for a place of the uploads that does not answer."""
    return Problem(503, "uploads_unavailable", f"Uploaded photos cannot be {done} now.", retry_after=5)
