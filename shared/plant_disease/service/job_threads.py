"""Threads for what the store of the jobs is asked, and how long a request waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from plant_disease.errors import QueueUnavailable, StorageError
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import logger

T = TypeVar("T")

_TIMEOUT_S = 25.0

_threads = ThreadPoolExecutor(8, thread_name_prefix="jobs")


async def in_thread(work: Callable[[], T], threads: Executor = _threads) -> T:
    """What blocking work gives, however long it takes."""
    return await asyncio.get_running_loop().run_in_executor(threads, work)


async def ask(question: Callable[[], T]) -> T:
    """What the store of the jobs says. What is given up may still be done.

    Raises:
        Problem: 503, it does not answer.
    """
    return await in_time(in_thread(question))


async def in_time(work: Awaitable[T]) -> T:
    """What work of the store or the queue gives.

    Raises:
        Problem: 503, it fails or takes too long.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await work
    except (StorageError, QueueUnavailable, TimeoutError) as error:
        logger.error("jobs: %s", str(error) or type(error).__name__)
        raise unavailable() from error


def unavailable() -> Problem:
    """What is said while the store or the queue fails."""
    return Problem(503, "jobs_unavailable", "Jobs cannot be taken or looked at now.", retry_after=5)
