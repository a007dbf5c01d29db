"""Load something expensive once, however many ask for it at the same time."""

import atexit
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
State = Literal["idle", "loading", "ready", "failed"]

_EXIT_WAIT_S = 5.0
"""Seconds for which the end of the process waits for a load that runs."""


class Loader(Generic[T]):
    """Runs `load` in one thread of its own and shares the result, or the failure, among all callers.

    A failure is kept for `retry_after` seconds: callers within that time get it at once, the first
    one after it starts a new attempt. So an unreachable store is neither hammered nor given up on.
    """

    def __init__(self, load: Callable[[], T], retry_after: float = 5.0) -> None:
        self._load = load
        self.retry_after = retry_after
        self._lock = threading.Lock()
        self._future: Future[T] | None = None
        self._failed_at = 0.0
        self._thread: threading.Thread | None = None
        # A process that ends in the middle of C++ that builds a model is aborted.
        atexit.register(self._wait)

    def future(self) -> Future[T]:
        """The result to come. Starts loading if nothing is loaded, loading, or freshly failed."""
        with self._lock:
            if self._future is None or (self._state() == "failed" and self._expired()):
                future: Future[T] = Future()
                self._thread = threading.Thread(target=self._run, args=(future,), name="loader", daemon=True)
                self._thread.start()
                self._future = future
            return self._future

    def replace(self, result: T) -> None:
        """Give this to all who ask from now on. Who got the old result keeps it until done; nothing here does."""
        future: Future[T] = Future()
        future.set_result(result)
        with self._lock:
            self._future = future

    @property
    def state(self) -> State:
        """What has become of it so far; asking starts nothing."""
        with self._lock:
            return self._state()

    def _state(self) -> State:
        if self._future is None:
            return "idle"
        if not self._future.done():
            return "loading"
        return "failed" if self._future.exception() else "ready"

    def _expired(self) -> bool:
        return time.monotonic() - self._failed_at >= self.retry_after

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join(_EXIT_WAIT_S)

    def _run(self, future: Future[T]) -> None:
        try:
            result = self._load()
        except BaseException as error:
            self._failed_at = time.monotonic()
            future.set_exception(error)
        else:
            future.set_result(result)
