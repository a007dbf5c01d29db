"""Usage events on their way out of the process: into the log at once, and into a store soon."""

import atexit
import threading
from functools import lru_cache

from plant_disease.errors import ConfigurationError, PlantDiseaseError
from plant_disease.service.periodic import Periodic
from plant_disease.service.telemetry import logger
from plant_disease.settings import Settings
from plant_disease.storage import Limits, Store, check_uri, open_store
from plant_disease.usage import UsageEvent, write_events

_LIMITS = Limits(connect_s=2, read_s=5, attempt_s=8, attempts=2)
_MOST_KEPT = 100_000
"""Events that wait for a store that is out of reach; the log has them all."""


@lru_cache(maxsize=4)
def open_usage(uri: str) -> Store:
    """The one store, and with it the one client, of usage events and kept answers. Imports an SDK; not for event loops.

    Raises:
        StorageError: see `open_store`.
    """
    return open_store(uri, limits=_LIMITS)


class UsageLog:
    """Takes usage events. Each is a line of the log, where a platform's sink finds it, before `add` returns.

    With `settings.usage_uri` they are also written to that store, `settings.usage_flush_s` seconds later at most, and
    with the end of the process. What could not be written is tried again.

    Raises:
        ConfigurationError: `settings.usage_uri` is malformed.

    Attributes:
        hears_of_the_end: whether the server says when it shuts down. functions-framework does not, and Lambda freezes a
            process as soon as it has answered: there each event is written before that.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.usage_uri is not None:
            try:
                check_uri(settings.usage_uri)
            except ValueError as error:
                raise ConfigurationError(f"PLANT_USAGE_URI: {error}") from error
        self._settings = settings
        self._waiting: list[UsageEvent] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._writer = Periodic(self.flush, settings.usage_flush_s)
        self._has_started = False
        self._is_cut_off = False
        self.hears_of_the_end = False

    def add(self, event: UsageEvent) -> None:
        """Take an event."""
        _log(event)
        if self._settings.usage_uri is None:
            return
        with self._lock:
            self._waiting.append(event)
            if not self._has_started:
                # Not with the process: it may be a snapshot that is yet to be copied, threads and all.
                self._has_started = True
                atexit.register(self.flush)
                self._writer.start()
        self._writer.nudge()

    def write(self, event: UsageEvent) -> None:
        """Take an event, and write it before this returns. To do so again is harmless. Takes the time of the store.

        Raises:
            StorageError: it could not be written.
        """
        _log(event)
        if self._settings.usage_uri is not None:
            write_events(open_usage(self._settings.usage_uri), [event])

    @property
    def must_be_written_at_once(self) -> bool:
        """Whether what was added would otherwise be lost with the process."""
        return self._settings.usage_uri is not None and not self.hears_of_the_end

    def flush(self) -> None:
        """Write what waits. Raises nothing; what could not be written waits on."""
        with self._writing:
            with self._lock:
                events, self._waiting = self._waiting, []
            if not events:
                return
            try:
                write_events(open_usage(str(self._settings.usage_uri)), events)
            except PlantDiseaseError as error:
                self._keep(events, error)
            else:
                if self._is_cut_off:
                    logger.info("usage events are written again")
                self._is_cut_off = False

    def _keep(self, events: list[UsageEvent], error: Exception) -> None:
        if not self._is_cut_off:
            logger.error("usage events cannot be written, they wait: %s", error)
        self._is_cut_off = True
        with self._lock:
            kept = events + self._waiting
            self._waiting = kept[-_MOST_KEPT:]
        if len(kept) > _MOST_KEPT:
            logger.error("%d usage events are in the log only", len(kept) - _MOST_KEPT)


def _log(event: UsageEvent) -> None:
    # Flat, each field of one type always: BigQuery and Athena read the line as it is.
    logger.info("usage", extra={"fields": {"event": "usage", **event.model_dump(mode="json")}})
