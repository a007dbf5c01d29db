"""The API keys that a running service knows: read again and again, and kept for a while if they cannot be."""

import asyncio
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from plant_disease.errors import PlantDiseaseError
from plant_disease.keys import KeyDocument, KeyStore
from plant_disease.service.periodic import Periodic
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import logger
from plant_disease.settings import Settings
from plant_disease.storage import Limits

_LIMITS = Limits(connect_s=2, read_s=3, attempt_s=4, attempts=2, backoff_s=0.2)

_WAIT_S = 10.0
"""Seconds that a request waits for the document, and only if nothing is known, or nothing recent. With the first one
an SDK is imported, which takes seconds on a small machine."""

_RETRY_S = 2.0
"""Seconds after which a document that could not be read is asked for again."""


@dataclass(frozen=True)
class Known:
    """The document of the keys.

    Attributes:
        document: as it was read last.
        is_current: False if it cannot be read now: then it may lack keys that have been made since.
    """

    document: KeyDocument
    is_current: bool


@dataclass(frozen=True)
class _Read:
    document: KeyDocument
    at: float  # by the clock on the wall: others may stand still while a platform freezes the process


class Keyring:
    """The document at `settings.api_keys_uri`, in memory.

    It is read with the first request, then every `settings.api_keys_refresh_s` seconds in the background, and on a
    platform that freezes the process between requests, by the first request after that. A request waits for it only
    if what is known is older than two such times, and no longer than `_WAIT_S`. If reading fails, nobody waits, and
    what is known counts for `settings.api_keys_stale_s` seconds since it was read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: KeyStore | None = None
        self._last: _Read | None = None
        self._lock = threading.Lock()
        self._reading: Future[None] | None = None
        self._failed_at: float | None = None
        self._timer = Periodic(self._read_soon, settings.api_keys_refresh_s)

    async def known(self) -> Known:
        """What is known of the keys.

        Raises:
            Problem: 503, nothing is, or nothing that is recent enough.
        """
        if self._age() > self._settings.api_keys_refresh_s:
            self._read_soon()
        if not self._is_current() and self._failed_at is None and self._reading:
            # Not cancelled by its end, nor by a caller that goes away: others wait for the same.
            await asyncio.wait({asyncio.wrap_future(self._reading)}, timeout=_WAIT_S)
        is_current = self._is_current()
        if self._last is None or not (is_current or self._age() <= self._settings.api_keys_stale_s):
            raise keys_unavailable()
        return Known(self._last.document, is_current)

    def _age(self) -> float:
        return time.time() - self._last.at if self._last else float("inf")

    def _is_current(self) -> bool:
        return self._age() <= 2 * self._settings.api_keys_refresh_s

    def _read_soon(self) -> None:
        """Read in a thread of its own, unless one does already or it has just failed."""
        with self._lock:
            if self._reading is None:
                self._timer.start()
            elif not self._reading.done() or time.time() - (self._failed_at or 0) < _RETRY_S:
                return
            self._reading = Future()
            threading.Thread(target=self._read, args=(self._reading,), name="keyring", daemon=True).start()

    def _read(self, reading: "Future[None]") -> None:
        began = time.time()
        try:
            if self._store is None:
                self._store = KeyStore(str(self._settings.api_keys_uri), limits=_LIMITS)
            document = self._store.read()
        except Exception as error:
            if self._failed_at is None:
                unforeseen = not isinstance(error, PlantDiseaseError)
                logger.error("the API keys cannot be read: %s", error, exc_info=unforeseen)
            self._failed_at = time.time()
        else:
            if self._last is None or self._failed_at is not None:
                self._log_read(document)
            self._last = _Read(document, began)
            self._failed_at = None
        reading.set_result(None)

    def _log_read(self, document: KeyDocument) -> None:
        logger.info("the API keys have been read", extra={"fields": {"keys": len(document.keys)}})
        if self._settings.anonymous_plan not in (None, *document.plans):
            logger.error("PLANT_ANONYMOUS_PLAN names no plan of the document: without a key, nobody gets in")


def keys_unavailable() -> Problem:
    """The keys cannot be looked at."""
    return Problem(503, "keys_unavailable", "API keys cannot be checked now. Try again shortly.", retry_after=_RETRY_S)
