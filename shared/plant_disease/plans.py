"""What a caller has agreed to: how much, of what, in which time."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Endpoint = Literal["predict", "batch", "explain"]
"""What is counted and paid for, by the name of its function."""

Counted = Literal["predict", "batch", "explain", "uploads", "jobs"]
"""What may be asked for only so often. Uploads cost the caller nothing, and the bucket something. Photos of a job count
as those of a batch, unless a plan names jobs: they come all at once, and are done as there is time."""

Scope = Literal["predict", "batch", "explain", "usage"]
"""What a key may open. `usage` costs nothing."""

Rate = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day|month)$")]
"""So many photos in such a time, as in `60/minute`."""


class Plan(BaseModel):
    """The terms of a caller. Photos are counted, not requests: a batch of 64 counts 64. Of uploads, each address given.

    Attributes:
        rates: for each endpoint, what may come in how short a time; an endpoint that is not named has no such limit.
        quota: over all endpoints together, what is paid for; None: without end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rates: dict[Counted, Rate] = Field(default_factory=dict)
    quota: Rate | None = None
