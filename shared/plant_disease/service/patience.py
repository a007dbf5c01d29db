"""Questions to a store that no request may wait for long."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from plant_disease.errors import StorageError
from plant_disease.service.telemetry import logger

T = TypeVar("T")

_THREADS = 8


class GivenUp(Exception):
    """The store has not answered in time, or has just failed and is left alone."""


class Patience:
    """Asks a store from threads of its own, gives up after a while, and then leaves it alone for a moment.

    The log says when it starts to fail and when it answers again.

    Args:
        name: what is asked for, for the log.
        timeout_s: seconds for each question.
        pause_s: seconds for which a store that has failed is left alone, and nobody waits for it.
    """

    def __init__(self, name: str, *, timeout_s: float = 2.0, pause_s: float = 5.0) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=name.replace(" ", "-"))
        self._try_at = 0.0
        self._has_failed = False

    async def ask(self, question: Callable[[], T]) -> T:
        """The answer. What is given up may still be done.

        Raises:
            GivenUp: there is none; whatever else the question raises passes through.
        """
        if time.monotonic() < self._try_at:
            raise GivenUp
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, question)
        except (StorageError, TimeoutError) as error:
            self._try_at = time.monotonic() + self._pause_s
            if not self._has_failed:
                logger.error("%s: the store fails: %s", self._name, str(error) or "no answer in time")
            self._has_failed = True
            raise GivenUp from error
        if self._has_failed:
            logger.info("%s: the store answers again", self._name)
        self._has_failed = False
        return answer
