"""Counting in windows of time, several of them in one step.

The strategies of the library `limits` take one limit at a time, and a request has two: the rate of its endpoint and
the quota. So this is one more ability of a storage of that library, beside its own `MovingWindowSupport` and
`SlidingWindowCounterSupport`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple


class Window(NamedTuple):
    """A time in which only so many photos fit.

    Attributes:
        name: of its counter, among those of a subject.
        most: photos that fit.
        seconds: how long it lasts if it opens now.
    """

    name: str
    most: int
    seconds: float


class Count(NamedTuple):
    """What a window holds.

    Attributes:
        used: photos.
        ends: Unix time in seconds; of a window that is not open, the end it would have if it opened now.
    """

    used: int
    ends: float


class Charge(NamedTuple):
    """What became of a charge.

    Attributes:
        fits: whether it was made.
        counts: of each window, with the charge if it was made.
    """

    fits: bool
    counts: list[Count]


class JointWindows(ABC):
    """A storage that can charge several windows in one step. May be called from several threads at once."""

    @abstractmethod
    def charge(self, subject: str, windows: Sequence[Window], photos: int, now: float) -> Charge:
        """Add photos to each of the windows, or to none of them.

        Nothing is added if that took one of them above its most, or below zero. A window opens with the first photo
        after the end of the one before.

        Args:
            subject: whose windows.
            windows: of different names.
            photos: how many; below zero to give back, 0 to look only.
            now: Unix time in seconds.
        """


class RemoteWindows(JointWindows):
    """One over the network."""

    @abstractmethod
    def disconnect(self) -> None:
        """Close the connections that nobody uses just now."""


def fits(windows: Sequence[Window], counts: Sequence[Count], photos: int) -> bool:
    """Whether photos can be added to all of the windows."""
    return all(0 <= count.used + photos <= window.most for window, count in zip(windows, counts, strict=True))
