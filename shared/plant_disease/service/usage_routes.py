"""What a caller has used of its plan, and what is left."""

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from plant_disease.service.auth import Caller, caller
from plant_disease.service.limits import Limit, Limiter
from plant_disease.service.problems import responses

router = APIRouter(tags=["usage"])


class LimitAnswer(BaseModel):
    """One limit of a plan."""

    name: str = Field(description="an endpoint, whose rate it is, or `quota`: all that the plan includes")
    photos: int = Field(description="how many fit into one window")
    window: str = Field(description="second, minute, hour, day or month (of the calendar, in UTC)")
    used: int
    left: int
    resets_at: datetime = Field(description="when the window ends, or would end if it opened now")

    @classmethod
    def of(cls, limit: Limit) -> Self:
        """A limit as it stands."""
        return cls(
            name=limit.name,
            photos=limit.most,
            window=limit.unit,
            used=limit.used,
            left=limit.left,
            resets_at=datetime.fromtimestamp(limit.ends, UTC).replace(microsecond=0),
        )


class UsageAnswer(BaseModel):
    """What a key has used and has left."""

    key_id: str | None = Field(description="the public part of the key; null where none is asked for")
    name: str | None
    plan: str | None
    limits: list[LimitAnswer]


@router.get("/usage", responses=responses(400, 401, 403, 503))
async def get_usage(request: Request, who: Annotated[Caller, Depends(caller("usage"))]) -> UsageAnswer:
    """What this key has used and has left. It costs nothing."""
    limiter: Limiter = request.app.state.limiter
    limits = (await limiter.standing(who.subject, who.plan)).limits if who.plan else ()
    return UsageAnswer(
        key_id=who.key_id, name=who.name, plan=who.plan_name, limits=[LimitAnswer.of(limit) for limit in limits]
    )
