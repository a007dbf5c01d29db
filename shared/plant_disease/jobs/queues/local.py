"""A queue in this process. What it holds ends with it; `JobStore.unfinished` says what to send again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from plant_disease.errors import PlantDiseaseError, WebhookFailed
from plant_disease.jobs.documents import Message

_LONGEST_PAUSE_S = 60

_logger = logging.getLogger("plant_disease")


class LocalQueue:
    """Tasks of the event loop. What a worker refuses is delivered again, after a pause that doubles.

    A store that is away, or whatever else is known to be no fault of the photos, does not count as an attempt.

    Args:
        work: takes a message, and how often it was delivered.
        workers: how many at once.
        pause_s: seconds after the first time.
    """

    def __init__(self, work: Callable[[Message, int], Awaitable[None]], workers: int = 1, pause_s: float = 2) -> None:
        self._work = work
        self._workers = workers
        self._pause_s = pause_s
        self._waiting: asyncio.Queue[tuple[Message, int, int]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def send(self, messages: Sequence[Message]) -> None:
        """See `Queue.send`."""
        for message in messages:
            self._waiting.put_nowait((message, 1, 1))
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run()) for _ in range(self._workers)]

    async def close(self) -> None:
        """Begin nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            message, attempt, times = await self._waiting.get()
            try:
                await self._work(message, attempt)
            except Exception as error:
                _logger.warning("chunk %d of job %s comes again: %s", message.chunk, message.job, error)
                pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2 ** min(times - 1, 10))
                attempt += isinstance(error, WebhookFailed) or not isinstance(error, PlantDiseaseError)
                asyncio.get_running_loop().call_later(pause_s, self._waiting.put_nowait, (message, attempt, times + 1))
