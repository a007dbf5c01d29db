"""Where counts are kept: in this process, or over the network, where they may be slow or gone."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.util import find_spec
from urllib.parse import urlsplit

from plant_disease.errors import ConfigurationError
from plant_disease.loading import Loader
from plant_disease.service.limits.windows import Charge, JointWindows, RemoteWindows, Window
from plant_disease.service.telemetry import logger
from plant_disease.settings import Settings

_THREADS = 8
_CONNECT_S = 10.0
"""Seconds for importing an SDK and making its client."""

_PAUSE_S = 1.0
"""Seconds for which a store that has failed is left alone, and nobody waits for it."""

_IDLE_S = 60.0
"""Connections that nobody has used for so many seconds are not trusted: Lambda freezes a process between requests,
and what ends a connection meanwhile may never be heard of."""

_EXTRAS = {"redis": ("redis", "redis"), "rediss": ("redis", "redis"), "dynamodb": ("boto3", "aws")}
"""What a scheme needs: a module, and the extra that brings it."""


class Unavailable(Exception):
    """The store has not answered, or has just failed and is left alone."""


class Local:
    """A store in this process."""

    async def charge(self, subject: str, windows: Sequence[Window], photos: int, now: float) -> Charge:
        """See `JointWindows.charge`."""
        return self._windows.charge(subject, windows, photos, now)

    @cached_property
    def _windows(self) -> JointWindows:
        from plant_disease.service.limits.memory import MemoryWindows

        return MemoryWindows()


class Remote:
    """A store over the network, asked from threads of its own.

    Connects at once, so that the first request need not wait for it. A question is given up after `timeout_s` seconds.
    Then the store is left alone for a moment, and after that one request tries it for all. The log says when it starts
    to fail and when it answers again.

    Args:
        connect: makes the client; may take long.
        name: for the log; no secret.
        timeout_s: for each question.
    """

    def __init__(self, connect: Callable[[], RemoteWindows], name: str, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="limits")
        self._client = Loader(connect, _PAUSE_S)
        self._client.future()
        self._asked_at = time.time()
        self._failed_at: float | None = None
        self._try_at = 0.0
        self._uncounted = 0

    async def charge(self, subject: str, windows: Sequence[Window], photos: int, now: float) -> Charge:
        """See `JointWindows.charge`.

        Raises:
            Unavailable: it may or may not have been made.
        """
        if self._failed_at is not None:
            if time.monotonic() < self._try_at:
                self._uncounted += 1
                raise Unavailable
            # This request tries it; the others go on without until it is back.
            self._try_at = time.monotonic() + self._timeout_s + _PAUSE_S
        try:
            async with asyncio.timeout(_CONNECT_S):
                client = await asyncio.shield(asyncio.wrap_future(self._client.future()))
            async with asyncio.timeout(self._timeout_s):
                charge = await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._charge, client, subject, windows, photos, now
                )
        except Exception as error:
            self._note_failure(error)
            raise Unavailable from error
        self._note_success()
        return charge

    def _charge(
        self, client: RemoteWindows, subject: str, windows: Sequence[Window], photos: int, now: float
    ) -> Charge:
        # By the clock of the wall: the other one may stand still while the process is frozen.
        if time.time() - self._asked_at > _IDLE_S:
            client.disconnect()
        self._asked_at = time.time()
        return client.charge(subject, windows, photos, now)

    def _note_failure(self, error: Exception) -> None:
        self._uncounted += 1
        self._try_at = time.monotonic() + _PAUSE_S
        if self._failed_at is None:
            self._failed_at = time.monotonic()
            # Not the text of the error, which may hold the address with a password.
            logger.error("the limits' store %s fails (%s): nothing is counted", self._name, _reason(error))

    def _note_success(self) -> None:
        if self._failed_at is not None:
            seconds = time.monotonic() - self._failed_at
            logger.warning(
                "the limits' store %s answers again after %.0f s; requests not counted: %d",
                self._name,
                seconds,
                self._uncounted,
            )
            self._failed_at, self._uncounted = None, 0


def open_store(settings: Settings) -> Local | Remote:
    """The store that the settings name.

    Raises:
        ConfigurationError: the address is malformed, or the extra for it is not installed.
    """
    uri = settings.limits_uri
    scheme = uri.partition("://")[0]
    if scheme == "memory":
        return Local()
    if not _has_host(uri):
        raise ConfigurationError(
            "PLANT_LIMITS_URI: the address has no host, or a port that is no number. "
            "In a password, write / as %2F, # as %23 and ? as %3F."
        )
    module, extra = _EXTRAS[scheme]
    if find_spec(module) is None:
        raise ConfigurationError(
            f'PLANT_LIMITS_URI: {scheme}:// needs an extra: pip install "plant-disease-detector[{extra}]"'
        )
    timeout_s = settings.limits_timeout_s

    def connect() -> RemoteWindows:
        if scheme == "dynamodb":
            from plant_disease.service.limits.dynamodb import DynamoDBWindows

            return DynamoDBWindows(uri, timeout_s=timeout_s)
        from plant_disease.service.limits.redis import RedisWindows

        return RedisWindows(uri, timeout_s=timeout_s)

    return Remote(connect, scheme, timeout_s)


def _has_host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return parts.hostname is not None and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    """The name of what went wrong: that of AWS, or else that of the exception."""
    answer = getattr(error, "response", None)
    return answer["Error"]["Code"] if isinstance(answer, dict) else type(error).__name__
