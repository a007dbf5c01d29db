"""One small interface over a folder, Google Cloud Storage and Amazon S3.

    open_store("models")                 LocalStore    plain path, or file:///absolute/path
    open_store("gs://bucket/prefix")     GcsStore      extra: gcp
    open_store("s3://bucket/prefix")     S3Store       extra: aws

No cloud SDK is imported before a store of that cloud is opened, and nothing is connected before its first use.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from plant_disease.errors import StorageError

RESERVED = ".plant-disease-"
"""Path segments that start so are lock files and half-written files of `LocalStore`; no object is named so."""

MAX_NAME_BYTES = 900
MAX_SEGMENT_BYTES = 255

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


class _Condition(Enum):
    ANYTHING = "anything"
    ABSENT = "absent"


ANYTHING: Final = _Condition.ANYTHING
"""Write whatever is there now."""

ABSENT: Final = _Condition.ABSENT
"""Write only if there is no such object yet."""

Precondition = str | Literal[_Condition.ANYTHING, _Condition.ABSENT]
"""ANYTHING, ABSENT, or the generation that the object must still have."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What an object holds.

    Attributes:
        data: its bytes.
        generation: its version; opaque, only good for `Store.write(if_generation=...)` of the same store.
    """

    data: bytes
    generation: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a listing.

    Attributes:
        name: relative to the store.
        size: in bytes.
    """

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class SignedPut:
    """Leave to write one object, for somebody without credentials.

    Attributes:
        url: where to PUT it.
        headers: to send along exactly so. Content-Length is not among them: every client sets it by itself.
    """

    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a remote store may take.

    An operation takes at most `attempts` x (`attempt_s` + bytes / `min_bytes_per_s`), and the back-off between.

    Attributes:
        connect_s: seconds to open a connection.
        read_s: seconds of silence on an open connection.
        attempt_s: seconds for a whole attempt, name resolution and credentials included.
        min_bytes_per_s: each attempt gets one more second for every so many bytes that it moves.
        attempts: how often what may pass is tried.
        backoff_s: the first pause is random between 0 and this; the range doubles with each further one.
    """

    connect_s: float = 5.0
    read_s: float = 20.0
    attempt_s: float = 30.0
    min_bytes_per_s: float = 64 * 1024
    attempts: int = 3
    backoff_s: float = 0.5


LIMITS: Final = Limits()


class Store(Protocol):
    """A folder of objects. All methods may be called from several threads at once.

    Names are relative to the store, with "/" between segments. Every method raises ValueError for a name that
    could lead out of the store (see `check_name`), and of `StorageError` at least

        NotFound            no such object, bucket or folder
        PermissionDenied    no credentials, or they do not suffice
        WrongRegion         the bucket lies elsewhere (S3)
        StorageUnavailable  no answer, or none within `Limits`, however often tried

    Attributes:
        uri: as opened, without trailing slash.
    """

    uri: str

    def read(self, name: str, *, max_bytes: int | None = None) -> Blob:
        """The whole object.

        Raises:
            TooLarge: it has more than `max_bytes`; no more than that was kept in memory.
        """
        ...

    def write(self, name: str, data: bytes, *, if_generation: Precondition = ANYTHING) -> str:
        """Create or replace an object at once: no reader ever sees half of it.

        Returns:
            The generation that the object has now.

        Raises:
            PreconditionFailed: the object is not what `if_generation` says, and was left alone.
            StorageUnavailable: it may or may not have been written.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """The objects whose names start with `prefix`, recursively, sorted by name.

        Objects that others have put there under names that `check_name` refuses are left out.
        """
        ...

    def download(self, name: str, destination: Path, progress: Callable[[int], None] | None = None) -> None:
        """Stream an object into the file `destination`, which is left incomplete on failure.

        Args:
            name: the object.
            destination: created or overwritten. What goes wrong with it is raised as the plain OSError.
            progress: called with the number of bytes that have newly arrived; never counts a byte twice.
        """
        ...


@runtime_checkable
class SignsPuts(Protocol):
    """A store that others can write to without passing through us; a folder is none."""

    def presign_put(self, name: str, *, content_type: str, size: int, expires_s: int) -> SignedPut:
        """Let somebody write an object that does not exist yet, once, of this type and of exactly this size.

        Args:
            name: the object.
            content_type: the only one that is accepted.
            size: in bytes.
            expires_s: seconds for which it is valid; a PUT that has begun by then may end.

        Raises:
            PermissionDenied: no credentials, or they cannot sign.
        """
        ...


@runtime_checkable
class SignsGets(Protocol):
    """A store that others can read from without passing through us; a folder is none."""

    def presign_get(self, name: str, *, content_type: str, file_name: str, expires_s: int) -> str:
        """Let somebody read an object.

        Args:
            name: the object.
            content_type: as which it is answered.
            file_name: under which browsers save it: ASCII, without quotes.
            expires_s: seconds for which the URL is valid.

        Raises:
            PermissionDenied: no credentials, or they cannot sign.
        """
        ...


def open_store(uri: str, *, limits: Limits = LIMITS) -> Store:
    """The store at a plain path, a file:// URI, gs://bucket/prefix or s3://bucket/prefix.

    Raises:
        ValueError: the URI is malformed.
        StorageError: the extra for this cloud is not installed.
    """
    check_uri(uri)
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        from plant_disease.storage.local import LocalStore

        return LocalStore(uri)
    bucket, _, prefix = rest.rstrip("/").partition("/")
    try:
        if scheme == "gs":
            from plant_disease.storage.gcs import GcsStore

            return GcsStore(bucket, prefix, limits)
        from plant_disease.storage.s3 import S3Store

        return S3Store(bucket, prefix, limits)
    except ModuleNotFoundError as error:
        extra = {"gs": "gcp", "s3": "aws"}[scheme]
        raise StorageError(
            f'{scheme}:// needs an extra ({error.name} is missing): pip install "plant-disease-detector[{extra}]"'
        ) from error


def check_uri(uri: str) -> None:
    """Refuse what names no store; nothing is opened.

    Raises:
        ValueError: the URI is malformed.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        return
    if scheme not in ("gs", "s3"):
        raise ValueError("A store is a folder, file:///folder, gs://bucket/prefix or s3://bucket/prefix.")
    bucket, _, prefix = rest.rstrip("/").partition("/")
    if not _BUCKET.fullmatch(bucket):
        # Not quoted: what stands in its place may be a secret (s3://key:secret@bucket).
        raise ValueError(f"After {scheme}:// comes a bucket name of lower-case letters, digits, '-', '_' and '.'.")
    if prefix:
        check_name(prefix)


def check_name(name: str) -> None:
    """Refuse names that could lead out of a store, or that not every store can hold.

    Raises:
        ValueError: a segment is empty, "." or ".." or reserved; there is a control character, a backslash or
            something that UTF-8 cannot encode; or it is too long.
    """
    if fault := _fault(name):
        raise ValueError(f"{name!r} cannot name an object: {fault}.")


def check_prefix(prefix: str) -> None:
    """Refuse prefixes that no name can start with.

    Raises:
        ValueError: as for `check_name`; the last segment may be empty or incomplete.
    """
    # Completed by a letter, a prefix is the name of something that it would list.
    if prefix and (fault := _fault(prefix + "x")):
        raise ValueError(f"{prefix!r} cannot be the start of a name: {fault}.")


def is_name(name: str) -> bool:
    """Whether `check_name` accepts it."""
    return not _fault(name)


def _fault(name: str) -> str | None:
    if any(character == "\\" or unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "it has a backslash, a control character or half a surrogate pair"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"it is longer than {MAX_NAME_BYTES} bytes"
    for segment in name.split("/"):
        if segment in ("", ".", ".."):
            return 'it has an empty segment, "." or ".."'
        if segment.startswith(RESERVED):
            return f"names that start with {RESERVED!r} are reserved"
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes"
    return None
