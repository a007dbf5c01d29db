"""Forward passes of several threads, joined into one: a GPU takes hardly longer for some photos than for one."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from plant_disease.images import Pixels
from plant_disease.runtimes import Output, Runtime


class JoinedRuntime:
    """Computes together what is asked for at the same time, in a thread of its own.

    Nobody waits for company: what comes while the device is busy goes in one forward pass when it is free. All passes
    are in one thread and of a few sizes, filled up with black photos, because cuDNN plans its convolutions anew for
    each thread and number of photos, which can take longer than many passes.

    Args:
        runtimes: what computes a pass of so many photos. Each is run once, to be ready.
        size: of a photo, in px.
    """

    def __init__(self, runtimes: Mapping[int, Runtime], *, size: int) -> None:
        self._runtimes = dict(sorted(runtimes.items()))
        self._most = max(runtimes)
        self._waiting: deque[_Asked] = deque()
        # Its thread ends when this object is gone.
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        for photos, runtime in self._runtimes.items():
            self._device.submit(runtime.run, np.zeros((photos, size, size, 3), np.uint8)).result()

    def run(self, batch: Pixels) -> Output:
        """See `Runtime.run`."""
        asked = [self._ask(batch[begin : begin + self._most]) for begin in range(0, len(batch), self._most)]
        logits, features = zip(*(each.result() for each in asked), strict=True)
        return Output(np.concatenate(logits), np.concatenate(features))

    def _ask(self, batch: Pixels) -> Future[Output]:
        output: Future[Output] = Future()
        self._waiting.append(_Asked(batch, output))
        self._device.submit(self._run_waiting)
        return output

    def _run_waiting(self) -> None:
        together: list[_Asked] = []
        photos = 0
        while self._waiting and photos + len(self._waiting[0].batch) <= self._most:
            together.append(self._waiting.popleft())
            photos += len(together[-1].batch)
        # If none: they went with those before them.
        if together:
            self._answer(together)

    def _answer(self, together: "list[_Asked]") -> None:
        try:
            logits, features = self._computed(np.concatenate([asked.batch for asked in together]))
        except BaseException as error:
            if len(together) == 1:
                together[0].output.set_exception(error)
            else:
                # It may have been too much at once. And what one of them is to blame for is not the others' fault.
                for asked in together:
                    self._answer([asked])
            return
        begin = 0
        for asked in together:
            end = begin + len(asked.batch)
            # Copies: whoever keeps one row would keep them all.
            asked.output.set_result(Output(logits[begin:end].copy(), features[begin:end].copy()))
            begin = end

    def _computed(self, photos: Pixels) -> Output:
        size = next(size for size in self._runtimes if size >= len(photos))
        black = np.zeros((size - len(photos), *photos.shape[1:]), np.uint8)
        return self._runtimes[size].run(np.concatenate([photos, black]))


class _Asked(NamedTuple):
    batch: Pixels
    output: Future[Output]
