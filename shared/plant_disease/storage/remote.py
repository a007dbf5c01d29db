"""What gs:// and s3:// have in common: attempts, time limits, and the words of the errors.

Each attempt runs in a thread of its own, because no setting of the SDKs bounds all of it: name resolution and
credentials have no time limit, and a read time-out starts anew with every byte that trickles in. An attempt that
is out of time is left behind: its destination is closed under it, and the thread ends with its connection.
"""

import contextvars
import io
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import BinaryIO, ClassVar, Generic, TypeVar

import tenacity

from plant_disease.errors import (
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    StorageError,
    StorageUnavailable,
    TooLarge,
)
from plant_disease.storage import (
    ANYTHING,
    Blob,
    Entry,
    Limits,
    Precondition,
    SignedPut,
    check_name,
    check_prefix,
    is_name,
)

Client = TypeVar("Client")
T = TypeVar("T")

_MAX_BACKOFF_S = 10.0


class Clock:
    """The time left for one attempt; more with every byte that is moved."""

    def __init__(self, limits: Limits, size: int = 0) -> None:
        self._rate = limits.min_bytes_per_s
        self._deadline = time.monotonic() + limits.attempt_s + size / self._rate

    def left(self) -> float:
        """Seconds until the attempt is given up."""
        return self._deadline - time.monotonic()

    def moved(self, size: int) -> None:
        """Grant the time for `size` more bytes."""
        self._deadline += size / self._rate


class Sink:
    """Where an SDK writes what it downloads."""

    def __init__(
        self,
        file: BinaryIO,
        clock: Clock,
        *,
        report: Callable[[int], None] | None = None,
        max_bytes: int | None = None,
    ) -> None:
        self._file = file
        self._clock = clock
        self._report = report
        self._max_bytes = max_bytes
        self._size = 0

    def write(self, data: bytes) -> int:
        """Append bytes; fails once the file is closed.

        Raises:
            TooLarge: they are more than `max_bytes` altogether.
        """
        if self._max_bytes is not None and self._size + len(data) > self._max_bytes:
            raise TooLarge(f"The object has more than {self._max_bytes:,} bytes.")
        self._file.write(data)
        self._clock.moved(len(data))
        self._size += len(data)
        if self._report:
            self._report(self._size)
        return len(data)


class RemoteStore(ABC, Generic[Client]):
    """A `Store` in a bucket. A subclass adds seven requests to one SDK, and what the SDK's errors mean."""

    scheme: ClassVar[str]
    credentials_hint: ClassVar[str]
    generation_form: ClassVar[re.Pattern[str]]

    def __init__(self, bucket: str, prefix: str, limits: Limits) -> None:
        self.bucket = bucket
        self.limits = limits
        self._prefix = f"{prefix}/" if prefix else ""
        self.uri = self.where(prefix)
        self._lock = threading.Lock()
        self._client: Client | None = None

    def read(self, name: str, *, max_bytes: int | None = None) -> Blob:
        """See `Store.read`."""
        key = self._key(name)

        def once() -> Blob:
            with io.BytesIO() as file:
                clock = Clock(self.limits)
                generation = _run(clock, lambda: self.get(key, Sink(file, clock, max_bytes=max_bytes)))
                return Blob(file.getvalue(), generation)

        return self._retry(once, key)

    def download(self, name: str, destination: Path, progress: Callable[[int], None] | None = None) -> None:
        """See `Store.download`."""
        key = self._key(name)
        reported = 0

        def report(size: int) -> None:
            nonlocal reported
            # A second attempt starts at the first byte again.
            if progress and size > reported:
                progress(size - reported)
                reported = size

        def once() -> None:
            with destination.open("wb") as file:
                clock = Clock(self.limits)
                _run(clock, lambda: self.get(key, Sink(file, clock, report=report)))

        self._retry(once, key)

    def write(self, name: str, data: bytes, *, if_generation: Precondition = ANYTHING) -> str:
        """See `Store.write`."""
        key = self._key(name)
        if isinstance(if_generation, str) and not self.generation_form.fullmatch(if_generation):
            raise self.changed(key)
        attempts = 0

        def once() -> str:
            nonlocal attempts
            attempts += 1
            return _run(Clock(self.limits, len(data)), lambda: self.put(key, data, if_generation))

        try:
            return self._retry(once, key)
        except PreconditionFailed:
            # An earlier attempt may have succeeded though its answer was lost; then it was we who changed the object.
            generation = self._generation_of(name, data) if attempts > 1 else None
            if generation is None:
                raise
            return generation

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store.list`."""
        check_prefix(prefix)
        return self._entries(prefix)

    def presign_put(self, name: str, *, content_type: str, size: int, expires_s: int) -> SignedPut:
        """See `SignsPuts.presign_put`."""
        key = self._key(name)

        def once() -> SignedPut:
            return _run(Clock(self.limits), lambda: self.sign_put(key, content_type, size, expires_s))

        return self._retry(once, key)

    def presign_get(self, name: str, *, content_type: str, file_name: str, expires_s: int) -> str:
        """See `SignsGets.presign_get`."""
        key = self._key(name)
        disposition = f'attachment; filename="{file_name}"'

        def once() -> str:
            return _run(Clock(self.limits), lambda: self.sign_get(key, content_type, disposition, expires_s))

        return self._retry(once, key)

    @abstractmethod
    def connect(self) -> Client:
        """A client of the SDK that neither retries nor waits longer than the limits say."""

    @abstractmethod
    def get(self, key: str, sink: Sink) -> str:
        """Write an object's bytes to `sink`; the result is its generation."""

    @abstractmethod
    def put(self, key: str, data: bytes, if_generation: Precondition) -> str:
        """Write an object; the result is its generation."""

    @abstractmethod
    def page(self, prefix: str, token: str | None) -> tuple[Sequence[tuple[str, int]], str | None]:
        """Keys and sizes of a part of a listing, and the token of the next part."""

    @abstractmethod
    def sign_put(self, key: str, content_type: str, size: int, expires_s: int) -> SignedPut:
        """Sign; may ask for credentials, or ask somebody else to sign."""

    @abstractmethod
    def sign_get(self, key: str, content_type: str, disposition: str, expires_s: int) -> str:
        """Sign, likewise."""

    @abstractmethod
    def explain(self, error: Exception, key: str) -> StorageError | None:
        """What an error of the SDK means; None if it is none of the SDK's."""

    def client(self) -> Client:
        """The one client of this store. If it could not be made, the next call tries again."""
        with self._lock:
            if self._client is None:
                self._client = self.connect()
            return self._client

    def where(self, key: str) -> str:
        """An object for a message."""
        return f"{self.scheme}://{self.bucket}/{key}".rstrip("/")

    def from_status(self, status: int, key: str) -> StorageError:
        """What an HTTP status means that needs no look at the body."""
        if status in (401, 403):
            return self.denied(key, f"HTTP {status}")
        if status == 412:
            return self.changed(key)
        if status in (408, 429) or status >= 500:
            return self.unavailable(key, f"HTTP {status}")
        return StorageError(f"{self.where(key)} was refused with HTTP {status}. Check the bucket's settings.")

    def no_bucket(self) -> NotFound:
        """The bucket is missing."""
        return NotFound(f"There is no bucket {self.scheme}://{self.bucket}. Check its name, or create it.")

    def no_object(self, key: str) -> NotFound:
        """The bucket is there, the object is not."""
        return NotFound(f"There is no {self.where(key)} (the bucket exists).")

    def denied(self, key: str, reason: str) -> PermissionDenied:
        """Credentials are missing or do not suffice."""
        return PermissionDenied(f"Access to {self.where(key)} is denied ({reason}). {self.credentials_hint}")

    def changed(self, key: str) -> PreconditionFailed:
        """The object is not what the precondition says."""
        return PreconditionFailed(f"{self.where(key)} was changed by someone else. Read it again.")

    def unavailable(self, key: str, reason: str) -> StorageUnavailable:
        """What may pass; `reason` is a name or a status, never a text of the SDK, which could hold secrets."""
        return StorageUnavailable(
            f"{self.where(key)} is not available ({reason}; attempts: {self.limits.attempts}). "
            "Try again later, and check the network and the endpoint if it lasts."
        )

    def _key(self, name: str) -> str:
        check_name(name)
        return self._prefix + name

    def _entries(self, prefix: str) -> Iterator[Entry]:
        token: str | None = None
        while True:
            keys, token = self._retry(partial(self._page, prefix, token), self._prefix)
            for key, size in keys:
                name = key.removeprefix(self._prefix)
                if is_name(name):
                    yield Entry(name, size)
            if token is None:
                return

    def _page(self, prefix: str, token: str | None) -> tuple[Sequence[tuple[str, int]], str | None]:
        return _run(Clock(self.limits), lambda: self.page(self._prefix + prefix, token))

    def _generation_of(self, name: str, data: bytes) -> str | None:
        try:
            blob = self.read(name)
        except NotFound:
            return None
        return blob.generation if blob.data == data else None

    def _retry(self, once: Callable[[], T], key: str) -> T:
        def explained() -> T:
            try:
                return once()
            except (ConnectionError, TimeoutError) as error:
                raise self.unavailable(key, type(error).__name__) from error
            except Exception as error:
                meaning = self.explain(error, key)
                if meaning is None:
                    raise
                raise meaning from error

        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.limits.attempts),
            # Exponential with full jitter.
            wait=tenacity.wait_random_exponential(multiplier=self.limits.backoff_s, max=_MAX_BACKOFF_S),
            retry=tenacity.retry_if_exception_type(StorageUnavailable),
            reraise=True,
        )(explained)


def _run(clock: Clock, request: Callable[[], T]) -> T:
    """Do a request in another thread, and give up on it when its time is over.

    Raises:
        TimeoutError: it is over.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(request())
        except BaseException as error:  # raised again by `future.result()`
            future.set_exception(error)

    threading.Thread(target=contextvars.copy_context().run, args=(work,), name="storage", daemon=True).start()
    while not future.done():
        left = clock.left()
        if left <= 0:
            raise TimeoutError
        wait((future,), timeout=left)
    return future.result()
