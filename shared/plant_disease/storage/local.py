"""A folder as a store.

A write lands in a temporary file that is synced and renamed over the old one, under a lock that all processes on
the machine share. As in any folder, and unlike in a bucket, `a` and `a/b` cannot both exist.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from plant_disease.errors import (
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    StorageError,
    StorageUnavailable,
    TooLarge,
)
from plant_disease.storage import (
    ABSENT,
    ANYTHING,
    RESERVED,
    Blob,
    Entry,
    Precondition,
    check_name,
    check_prefix,
    is_name,
)

LOCK_TIMEOUT_S: Final = 20.0
"""Seconds that a write waits for the lock of its folder."""

_LOCK_POLL_S: Final = 0.01
_CHUNK: Final = 256 * 1024


class LocalStore:
    """A `Store` in a folder; the first write creates the folder. The generation is the sha256 of the content."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/") or "/"
        self._root = os.path.realpath(_path_of(uri))

    def read(self, name: str, *, max_bytes: int | None = None) -> Blob:
        """See `Store.read`."""
        path = self._path(name)
        with self._reading(name), path.open("rb") as file:
            data = file.read() if max_bytes is None else file.read(max_bytes + 1)
        if max_bytes is not None and len(data) > max_bytes:
            raise TooLarge(f"{self.uri}/{name} has more than {max_bytes:,} bytes.")
        return Blob(data, hashlib.sha256(data).hexdigest())

    def write(self, name: str, data: bytes, *, if_generation: Precondition = ANYTHING) -> str:
        """See `Store.write`."""
        path = self._path(name)
        with self._writing(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.parent):
                if if_generation is not ANYTHING and if_generation != _generation(path):
                    raise PreconditionFailed(f"{self.uri}/{name} was changed by someone else. Read it again.")
                _replace(path, data)
        return hashlib.sha256(data).hexdigest()

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`."""
        check_prefix(prefix)
        return iter(sorted(self._entries(prefix), key=lambda entry: entry.name))

    def download(self, name: str, destination: Path, progress: Callable[[int], None] | None = None) -> None:
        """See `Store.download`."""
        path = self._path(name)
        with self._reading(name):
            source = path.open("rb")
        with source, destination.open("wb") as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                if progress:
                    progress(len(chunk))

    def _path(self, name: str) -> Path:
        check_name(name)
        path = os.path.realpath(os.path.join(self._root, name))
        if not self._holds(path):
            raise PermissionDenied(
                f"{self.uri}/{name} is a link that leads out of the folder. Put a copy there instead."
            )
        return Path(path)

    def _holds(self, path: str) -> bool:
        return os.path.commonpath((self._root, path)) == self._root

    def _entries(self, prefix: str) -> Iterator[Entry]:
        # No further up than need be: other folders may hold very much.
        start = os.path.join(self._root, prefix.rpartition("/")[0])

        def fail(error: OSError) -> None:
            if not (isinstance(error, FileNotFoundError | NotADirectoryError) and os.path.isdir(self._root)):
                raise error

        with self._reading(""):
            for folder, _, files in os.walk(start, onerror=fail):
                for file in files:
                    path = os.path.join(folder, file)
                    name = os.path.relpath(path, self._root)
                    # A link that leads out is no file of this folder, nor is what vanishes meanwhile.
                    if name.startswith(prefix) and is_name(name) and self._holds(os.path.realpath(path)):
                        with contextlib.suppress(OSError):
                            yield Entry(name, os.stat(path).st_size)

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            if not os.path.isdir(self._root):
                raise NotFound(f"There is no folder {self.uri}.") from error
            raise NotFound(f"There is no {self.uri}/{name}.") from error
        except OSError as error:
            raise self._failure(name, error) from error

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise StorageError(
                f"{self.uri}/{name} cannot be written: a file is where a folder must be, or the other way round."
            ) from error
        except OSError as error:
            raise self._failure(name, error) from error

    def _failure(self, name: str, error: OSError) -> StorageError:
        where = f"{self.uri}/{name}".rstrip("/")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return PermissionDenied(f"This process may not do that with {where}: {error.strerror}.")
        if error.errno == errno.EWOULDBLOCK:
            return StorageUnavailable(
                f"Another process has kept the folder of {where} locked for {LOCK_TIMEOUT_S:g} s."
            )
        return StorageError(f"{where} failed: {error.strerror}.")


def _path_of(uri: str) -> str:
    if not uri:
        raise ValueError('The path of a store is empty; the current folder is ".".')
    if not uri.startswith("file://"):
        return uri
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
        raise ValueError("A file URI has three slashes and an absolute path: file:///folder")
    return unquote(parts.path)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers, of this and other processes, out of a folder."""
    descriptor = os.open(folder / f"{RESERVED}lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _generation(path: Path) -> Precondition:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ABSENT


def _replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step that survives a crash."""
    temporary = path.parent / f"{RESERVED}{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
