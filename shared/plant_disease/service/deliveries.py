"""What Lambda hands to the function batch: requests, and chunks of jobs from SQS."""

import asyncio
from collections.abc import Callable
from typing import Any

from plant_disease.jobs.queues.sqs import deliveries, is_sqs
from plant_disease.service.jobs import Jobs
from plant_disease.service.telemetry import logger

_MORE_S = 3.0
"""Seconds beyond what a chunk may take that must be left of an invocation when it is begun."""


class Deliveries:
    """Lambda's handler: does the chunks that SQS delivers, and leaves everything else to another handler.

    The event source must be told `ReportBatchItemFailures`: the answer names what is to be delivered again.

    Args:
        jobs: does the chunks.
        other: takes the rest.
    """

    def __init__(self, jobs: Jobs, other: Callable[[Any, Any], Any]) -> None:
        self._jobs = jobs
        self._other = other

    def __call__(self, event: Any, context: Any) -> Any:
        """Serve one invocation."""
        if not is_sqs(event):
            return self._other(event, context)
        failed = _loop().run_until_complete(self._work(event, context))
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    async def _work(self, event: Any, context: Any) -> list[str]:
        failed = []
        needed_ms = (self._jobs.settings.batch_timeout_s + _MORE_S) * 1000
        for number, delivery in enumerate(deliveries(event)):
            if number and context.get_remaining_time_in_millis() < needed_ms:
                logger.warning("there is no time left for message %s", delivery.id)
                failed.append(delivery.id)
            elif not await self._jobs.take(delivery):
                failed.append(delivery.id)
        return failed


def _loop() -> asyncio.AbstractEventLoop:
    """The one that requests run in too, as Mangum finds it."""
    try:
        return asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop
