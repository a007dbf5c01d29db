"""Clients that send a known photo all the time, and what they were answered."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from tests.functions.photos import CLASS_ID, leaf

CLIENTS = 2
PAUSE_S = 0.05
QUIET_S = 2.0
"""What is mended must stay mended so long before it is believed."""


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        at: when it had come, as `time.monotonic` counts.
        status: HTTP's; 0 where there was no answer.
        request_id: the service's; empty unless it answered 200.
        version: of the model; empty unless it answered 200.
        class_id: the likeliest class; empty unless it answered 200.
    """

    at: float
    status: int
    request_id: str = ""
    version: str = ""
    class_id: str = ""

    @property
    def is_right(self) -> bool:
        """Whether the photo, whose disease is known, was recognised."""
        return self.status == 200 and self.class_id == CLASS_ID


def ask(client: httpx.Client) -> Answer:
    """Send the photo once. No client tries again: what it does not get counts as lost."""
    try:
        answer = client.post("/predict", content=leaf(), headers={"content-type": "image/jpeg"})
    except httpx.TransportError:
        return Answer(time.monotonic(), 0)
    if answer.status_code != 200:
        return Answer(time.monotonic(), answer.status_code)
    body = answer.json()
    return Answer(
        time.monotonic(), 200, body["request_id"], body["model"]["version"], body["predictions"][0]["class_id"]
    )


class Load:
    """Clients at work until the block ends.

    Args:
        url: of the service.
        headers: to send with every request.

    Attributes:
        answers: of all clients, in the order in which they came.
    """

    def __init__(self, url: str, headers: Mapping[str, str] = {}) -> None:
        self.answers: list[Answer] = []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(url, headers)) for _ in range(CLIENTS)]

    def _work(self, url: str, headers: Mapping[str, str]) -> None:
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            while not self._ends.is_set():
                self.answers.append(ask(client))
                time.sleep(PAUSE_S)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def lost(self, expected: frozenset[int] = frozenset({200})) -> int:
        """How many requests were answered otherwise than expected, or not at all."""
        return sum(answer.status not in expected for answer in self.answers)

    def wait_for(self, fits: Callable[[Answer], bool], within_s: float) -> None:
        """Wait for one answer that fits, from now on.

        Raises:
            TimeoutError: there was none.
        """
        seen, deadline = len(self.answers), time.monotonic() + within_s
        while not any(fits(answer) for answer in self.answers[seen:]):
            if time.monotonic() > deadline:
                raise TimeoutError(f"No such answer within {within_s} s.")
            time.sleep(PAUSE_S)

    def mended(self, since: float, fits: Callable[[Answer], bool], within_s: float) -> float:
        """Wait until every answer fits.

        Args:
            since: what was answered before is not looked at (`time.monotonic`).
            fits: what an answer must be like.
            within_s: how long to wait.

        Returns:
            Seconds from `since` to the last answer that did not fit; 0 if all did.

        Raises:
            TimeoutError: answers that do not fit go on coming.
        """
        deadline = time.monotonic() + within_s
        while True:
            answers = [answer for answer in list(self.answers) if answer.at >= since]
            last = max((answer.at for answer in answers if not fits(answer)), default=since)
            after = [answer for answer in answers if answer.at > last]
            if after and after[-1].at - last > QUIET_S:
                return last - since
            if time.monotonic() > deadline:
                raise TimeoutError(f"Not mended within {within_s} s.")
            time.sleep(PAUSE_S)
