"""Counts of one process."""

import threading
from collections.abc import Sequence

from limits.storage import MemoryStorage

from plant_disease.service.limits.windows import Charge, Count, JointWindows, Window, fits

_SWEEP_AT_LEAST = 1000


class MemoryWindows(MemoryStorage, JointWindows):
    """The memory storage of `limits`, with joint windows.

    Its own increments are not atomic: a thread that tidies up may drop a counter in between. Here a lock makes them so,
    and that thread is stopped before anything is counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.timer.cancel()
        self.timer.join()
        self._lock = threading.Lock()
        self._sweep_at = _SWEEP_AT_LEAST

    def charge(self, subject: str, windows: Sequence[Window], photos: int, now: float) -> Charge:
        """See `JointWindows.charge`."""
        keys = [f"{subject}/{window.name}" for window in windows]
        with self._lock:
            counts = [
                Count(self.storage[key], self.expirations[key])
                if self.expirations.get(key, 0) > now
                else Count(0, now + window.seconds)
                for key, window in zip(keys, windows, strict=True)
            ]
            if not fits(windows, counts, photos):
                return Charge(False, counts)
            counts = [count._replace(used=count.used + photos) for count in counts]
            if photos:
                for key, count in zip(keys, counts, strict=True):
                    self.storage[key], self.expirations[key] = count
                self._sweep(now)
            return Charge(True, counts)

    def _sweep(self, now: float) -> None:
        """Forget windows that are over, whenever there are twice as many as were left the last time."""
        if len(self.expirations) < self._sweep_at:
            return
        for key in [key for key, ends in self.expirations.items() if ends <= now]:
            del self.storage[key], self.expirations[key]
        self._sweep_at = max(_SWEEP_AT_LEAST, 2 * len(self.expirations))
