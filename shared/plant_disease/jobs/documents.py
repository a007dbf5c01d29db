"""What is written down about a job."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Status = Literal["queued", "running", "done", "failed", "cancelled"]
"""Of a job; `failed` if none of its photos was diagnosed."""

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]

Item = dict[str, Any]
"""What became of one photo, as `batch.Outcome.as_dict` has it."""


class Message(BaseModel):
    """One chunk of a job, on its way to a worker."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    job: JobId
    chunk: int = Field(ge=0, lt=1_000_000)


class Quota(BaseModel):
    """The quota that the photos were taken from; see `service.limits.Limit`."""

    model_config = ConfigDict(frozen=True)

    most: int
    unit: str
    seconds: int
    ends: float


class Job(BaseModel):
    """What was ordered. Written once, and never changed.

    Attributes:
        id: of the job.
        owner: whose it is, as `service.uploads.owner_of` has it.
        subject: whose photos are counted.
        key_id: public part of the API key; None where none was asked for.
        created: when, UTC.
        fingerprint: of the order; another one under the same `Idempotency-Key` has another.
        total: photos.
        chunk: photos that are done together; the last chunk may have fewer.
        folder: where all the rest of it lies; see `store`. Whoever orders has one of his own.
        top_k: see `Classifier.conclude`.
        crops: see there.
        webhook: who is told of the end.
        quota: what comes back to it if photos fail.
        request_id: of the order.
        idempotency_key: as the caller sent it.
    """

    model_config = ConfigDict(frozen=True)

    id: JobId
    owner: str
    subject: str
    key_id: str | None
    created: datetime
    fingerprint: str
    total: int
    chunk: int
    folder: str
    top_k: int
    crops: tuple[str, ...]
    webhook: str | None
    quota: Quota | None
    request_id: str
    idempotency_key: str | None

    @property
    def chunks(self) -> int:
        """How many chunks it has."""
        return math.ceil(self.total / self.chunk)

    def photos_of(self, chunk: int) -> range:
        """The indices of the photos of a chunk."""
        return range(chunk * self.chunk, min(self.total, (chunk + 1) * self.chunk))


class Summary(BaseModel):
    """The head of the result of a chunk: all that is needed to bill it.

    Attributes:
        done: when, UTC.
        ms: how long it took, in ms.
        model_version: what diagnosed it; None if nothing was.
        succeeded: photos that were diagnosed.
        failed: photos that were not.
        diagnosed: decisions of the diagnoses.
        uncertain: likewise.
        rejected: likewise.
    """

    model_config = ConfigDict(frozen=True)

    done: datetime
    ms: float
    model_version: str | None
    succeeded: int
    failed: int
    diagnosed: int
    uncertain: int
    rejected: int

    @classmethod
    def of(cls, items: Sequence[Item], *, done: datetime, ms: float) -> "Summary":
        """What the items come to."""
        good = [item for item in items if item["status"] == "ok"]
        decisions = [item["decision"] for item in good]
        return cls(
            done=done,
            ms=ms,
            # Of the last: the model may have changed between two attempts.
            model_version=good[-1]["model_version"] if good else None,
            succeeded=len(decisions),
            failed=len(items) - len(decisions),
            diagnosed=decisions.count("diagnosed"),
            uncertain=decisions.count("uncertain"),
            rejected=decisions.count("rejected"),
        )


class Settled(NamedTuple):
    """A chunk whose result is written and billed: how many photos were diagnosed, and how many were not."""

    succeeded: int
    failed: int


class End(BaseModel):
    """The end of a job.

    Attributes:
        by: who has written it: a random number, by which he knows whether it was he.
    """

    model_config = ConfigDict(frozen=True)

    status: Status
    finished: datetime
    succeeded: int
    failed: int
    by: str
