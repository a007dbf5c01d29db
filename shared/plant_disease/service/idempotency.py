"""Answers that are kept, so that a request which comes again with its Idempotency-Key is not done, or billed, again.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import base64
import hashlib
import re
import time
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ValidationError

from plant_disease.errors import NotFound, PreconditionFailed
from plant_disease.service.problems import Problem
from plant_disease.service.usage import open_usage
from plant_disease.storage import ABSENT, Precondition

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_S = 24 * 3600
_MORE_S = 60
"""Seconds beyond what a batch may take, after which a request that was begun and never ended may be begun anew."""

_MOST_BYTES = 2 * 1024 * 1024
"""A longer answer is not kept: the retry is done again, and still billed once."""


class Answer(BaseModel):
    """An answer as it is kept."""

    media_type: str
    body: str

    @classmethod
    def of(cls, media_type: str, body: bytes) -> "Answer":
        """An answer of these bytes."""
        return cls(media_type=media_type, body=base64.b64encode(body).decode())

    def content(self) -> bytes:
        """Its body."""
        return base64.b64decode(self.body)


_State = Literal["running", "done", "free"]


class _Entry(BaseModel):
    state: _State
    fingerprint: str
    at: float
    answer: Answer | None = None


class Replay(Exception):
    """This request was answered before.

    Attributes:
        answer: what it was answered with.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Order:
    """A request that may come again.

    Attributes:
        subject: who asks; the same key of another caller is another order.
        key: as it was sent.
        fingerprint: of the request's content.

    Raises:
        Problem: 400, it is no key.
    """

    subject: str
    key: str
    fingerprint: str

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise Problem(400, "invalid_idempotency_key", "Idempotency-Key has 1 to 255 printable ASCII characters.")

    def name(self) -> str:
        """Of the object in which its answer is kept."""
        return f"answers/{_hash(self.subject, self.key)}.json"

    def event_id(self, endpoint: str) -> str:
        """Of the event that bills it, however often it is done."""
        return _hash(self.subject, self.key, self.fingerprint, endpoint)[:32]


class Claim:
    """The right to answer an order. All that is done with it takes the time of a store.

    Args:
        uri: where answers are kept.
        order: what was asked.
        longest_s: seconds that answering may take.
    """

    def __init__(self, uri: str, order: Order, longest_s: float) -> None:
        self._uri = uri
        self._order = order
        self._longest_s = longest_s
        self._condition: Precondition = ABSENT
        self._generation: Precondition | None = None

    def look(self) -> None:
        """Learn whether the order was answered before.

        Raises:
            Replay: with the answer.
            Problem: 409, it is being answered; 422, the key was used for another one.
            StorageError: there is no knowing.
        """
        try:
            blob = open_usage(self._uri).read(self._order.name())
        except NotFound:
            return
        self._condition = blob.generation
        self._check(blob.data)

    def take(self) -> None:
        """Take the right, after a look.

        Raises:
            Problem: 409, another request was faster.
            StorageError: it may or may not have been taken.
        """
        try:
            self._generation = self._write("running", None, self._condition)
        except PreconditionFailed as error:
            raise _in_progress() from error

    def _check(self, data: bytes) -> None:
        try:
            entry = _Entry.model_validate_json(data)
        except ValidationError:
            return
        age_s = time.time() - entry.at
        if entry.state == "free" or age_s > (_KEPT_S if entry.state == "done" else self._longest_s + _MORE_S):
            return
        if entry.fingerprint != self._order.fingerprint:
            raise Problem(
                422, "idempotency_key_reused", "This Idempotency-Key was used for another request. Take a new one."
            )
        if entry.state == "running":
            raise _in_progress()
        if entry.answer is not None:
            raise Replay(entry.answer)

    def keep(self, answer: Answer | None) -> None:
        """Keep an answer, or give the right back if there is none that would serve a second time.

        Raises:
            StorageError: it could not be kept.
        """
        if self._generation is None:
            return
        if answer is not None and len(answer.body) > _MOST_BYTES:
            answer = None
        self._write("done" if answer else "free", answer, self._generation)

    def _write(self, state: _State, answer: Answer | None, condition: Precondition) -> str:
        entry = _Entry(state=state, fingerprint=self._order.fingerprint, at=time.time(), answer=answer)
        return open_usage(self._uri).write(
            self._order.name(), entry.model_dump_json().encode(), if_generation=condition
        )


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _in_progress() -> Problem:
    return Problem(409, "in_progress", "The same request is being answered at this moment.", retry_after=2)
