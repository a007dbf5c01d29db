"""Something done again and again in the background."""

import atexit
import threading
import time
from collections.abc import Callable

_EXIT_WAIT_S = 5.0
"""Seconds for which the end of the process waits for work that runs."""


class Periodic:
    """Does `work`, which raises nothing, every `every_s` seconds in a thread of its own. Starts with `start`."""

    def __init__(self, work: Callable[[], None], every_s: float) -> None:
        self._work = work
        self._every_s = every_s
        self._due = float("inf")
        self._wake = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)

    def start(self) -> None:
        """Do it for the first time after `every_s`."""
        # A process that ends in the middle of C++ that builds a model is aborted.
        atexit.register(self._end)
        self._thread.start()

    def nudge(self) -> None:
        """Do it now, in its thread, if it is due. Costs nothing otherwise.

        A platform that freezes the process between requests delays the thread, and may stop the clock it waits by.
        """
        if time.time() >= self._due:
            self._wake.set()

    def _run(self) -> None:
        while not self._ends:
            self._due = time.time() + self._every_s
            self._wake.wait(self._every_s)
            self._due = float("inf")
            self._wake.clear()
            if not self._ends:
                self._work()

    def _end(self) -> None:
        self._ends = True
        self._wake.set()
        self._thread.join(_EXIT_WAIT_S)
