"""Answers that are kept, so that a request which comes again with its Idempotency-Key is not done, or billed, again.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import base64
import hashlib
import re
import time
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ValidationError

from plant_disease.errors import NotFound, PreconditionFailed, StorageError
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import logger
from plant_disease.storage import ABSENT, Limits, Precondition, Store, open_store

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_LIMITS = Limits(connect_s=1, read_s=3, attempt_s=4, attempts=2, backoff_s=0.1)
_KEPT_S = 24 * 3600
_CLAIM_S = 120
"""Seconds after which a request that was begun and never ended may be begun anew."""

_MOST_BYTES = 2 * 1024 * 1024
"""A longer answer is not kept: the retry is done again, and still billed once."""


@lru_cache(maxsize=4)
def open_answers(uri: str) -> Store:
    """Where answers are kept."""
    return open_store(uri, limits=_LIMITS)


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


class _Entry(BaseModel):
    state: Literal["running", "done", "free"]
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


class Claim:
    """The right to answer one idempotency key.

    Args:
        store: where answers are kept.
        subject: whose key it is; the same key of another caller is another key.
        key: as it was sent.
        fingerprint: of the request's content.

    Raises:
        Problem: 400, it is no key.
    """

    def __init__(self, store: Store, subject: str, key: str, fingerprint: str) -> None:
        if not _KEY.fullmatch(key):
            raise Problem(400, "invalid_idempotency_key", "Idempotency-Key has 1 to 255 printable ASCII characters.")
        self._store = store
        self._name = f"answers/{hashlib.sha256(f'{subject} {key}'.encode()).hexdigest()}.json"
        self._fingerprint = fingerprint
        self._generation: Precondition | None = None

    def take(self) -> None:
        """Take the right, or learn that the request was answered.

        While answers cannot be read, every request is done: it is billed once all the same.

        Raises:
            Replay: with the answer.
            Problem: 409, the same request is being answered; 422, the key was used for another one.
        """
        try:
            self._generation = self._begin()
        except (Problem, Replay):
            raise
        except StorageError as error:
            logger.warning("kept answers are out of reach, requests are done again: %s", error)

    def _begin(self) -> str:
        condition: Precondition = ABSENT
        try:
            blob = self._store.read(self._name)
        except NotFound:
            pass
        else:
            condition = blob.generation
            self._check(blob.data)
        entry = _Entry(state="running", fingerprint=self._fingerprint, at=time.time())
        try:
            return self._store.write(self._name, entry.model_dump_json().encode(), if_generation=condition)
        except PreconditionFailed as error:
            raise _in_progress() from error

    def _check(self, data: bytes) -> None:
        try:
            entry = _Entry.model_validate_json(data)
        except ValidationError:
            return
        age_s = time.time() - entry.at
        if entry.state == "free" or age_s > (_KEPT_S if entry.state == "done" else _CLAIM_S):
            return
        if entry.fingerprint != self._fingerprint:
            raise Problem(
                422, "idempotency_key_reused", "This Idempotency-Key was used for another request. Take a new one."
            )
        if entry.state == "running":
            raise _in_progress()
        if entry.answer is not None:
            raise Replay(entry.answer)

    def keep(self, answer: Answer | None) -> None:
        """Keep an answer, or give the right back if there is none that would serve a second time."""
        if self._generation is None:
            return
        if answer is not None and len(answer.body) > _MOST_BYTES:
            answer = None
        state: Literal["done", "free"] = "done" if answer else "free"
        entry = _Entry(state=state, fingerprint=self._fingerprint, at=time.time(), answer=answer)
        try:
            self._store.write(self._name, entry.model_dump_json().encode(), if_generation=self._generation)
        except StorageError as error:
            logger.warning("an answer could not be kept: %s", error)


def _in_progress() -> Problem:
    return Problem(409, "in_progress", "The same request is being answered at this moment.", retry_after=2)
