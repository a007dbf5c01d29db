"""Forward passes of several threads, joined into one: a GPU takes hardly longer for some photos than for one."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from plant_disease.errors import PlantDiseaseError, RuntimeUnavailable
from plant_disease.images import Pixels
from plant_disease.runtimes import Output, Runtime

logger = logging.getLogger(__name__)


class JoinedRuntime:
    """Computes together what is asked for at the same time, in a thread of its own.

    Nobody waits for company: what comes while the device is busy goes in one forward pass when it is free. All passes
    are in one thread and of a few sizes, filled up with black photos, because cuDNN plans its convolutions anew for
    each thread and number of photos, which can take longer than many passes.

    Args:
        opened: gives what computes passes of so many photos; called in the thread that will run it.
        passes: how many photos they may have. Those for which the device has no room are left out.
        size: of a photo, in px.

    Raises:
        RuntimeUnavailable: there is no room for the smallest.
        PlantDiseaseError: whatever `opened` raised first.
    """

    def __init__(self, opened: Callable[[int], Runtime], *, passes: Sequence[int], size: int) -> None:
        self._waiting: deque[_Asked] = deque()
        # Its thread ends when this object is gone.
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._runtimes: dict[int, Runtime] = {}
        for photos in sorted(passes):
            try:
                self._runtimes[photos] = self._device.submit(_ready, opened, photos, size).result()
            except Exception as error:
                if self._runtimes:
                    logger.warning("forward passes have no more than %d photos: %s", max(self._runtimes), error)
                    break
                if isinstance(error, PlantDiseaseError):
                    raise
                raise RuntimeUnavailable(f"The device cannot compute a forward pass: {error}") from error
        self._most = max(self._runtimes)

    def run(self, batch: Pixels) -> Output:
        """See `Runtime.run`."""
        asked = [self._ask(batch[begin : begin + self._most]) for begin in range(0, len(batch), self._most)]
        logits, features = zip(*(each.result() for each in asked), strict=True)
        # Joined, and copied also where there is one: whoever keeps a row of a pass would keep all of it.
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
            asked.output.set_result(Output(logits[begin:end], features[begin:end]))
            begin = end

    def _computed(self, photos: Pixels) -> Output:
        size = next(size for size in self._runtimes if size >= len(photos))
        black = np.zeros((size - len(photos), *photos.shape[1:]), np.uint8)
        return self._runtimes[size].run(np.concatenate([photos, black]))


def _ready(opened: Callable[[int], Runtime], photos: int, size: int) -> Runtime:
    runtime = opened(photos)
    runtime.run(np.zeros((photos, size, size, 3), np.uint8))
    return runtime


class _Asked(NamedTuple):
    batch: Pixels
    output: Future[Output]
