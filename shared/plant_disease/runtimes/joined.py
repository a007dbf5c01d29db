"""Forward passes of several threads, joined into one: a GPU takes hardly longer for many photos than for one."""

import threading
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from plant_disease.images import Pixels
from plant_disease.runtimes import Output, Runtime


class JoinedRuntime:
    """A runtime that computes together what is asked of it at the same time.

    Nobody waits for company: what comes while the device is busy goes in one forward pass when it is free.

    Args:
        runtime: what computes; it is asked by one thread at a time.
        most: photos in a forward pass. Only a single request with more of them has more.
    """

    def __init__(self, runtime: Runtime, *, most: int = 64) -> None:
        self._runtime = runtime
        self._most = most
        self._waiting: deque[_Asked] = deque()
        self._device = threading.Lock()

    def run(self, batch: Pixels) -> Output:
        """See `Runtime.run`."""
        asked = _Asked(batch, Future())
        self._waiting.append(asked)
        with self._device:
            # Whoever had the device before may have done it already; with many before it, it may take several passes.
            while not asked.output.done():
                self._run_next()
        return asked.output.result()

    def _run_next(self) -> None:
        together = [self._waiting.popleft()]
        photos = len(together[0].batch)
        while self._waiting and photos + len(self._waiting[0].batch) <= self._most:
            together.append(self._waiting.popleft())
            photos += len(together[-1].batch)
        try:
            logits, features = self._runtime.run(np.concatenate([asked.batch for asked in together]))
        except BaseException as error:
            for asked in together:
                asked.output.set_exception(error)
            return
        begin = 0
        for asked in together:
            end = begin + len(asked.batch)
            asked.output.set_result(Output(logits[begin:end], features[begin:end]))
            begin = end


class _Asked(NamedTuple):
    batch: Pixels
    output: Future[Output]
