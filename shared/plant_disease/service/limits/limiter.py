"""Takes photos from a caller's plan, or refuses."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from plant_disease.plans import Counted, Plan, Rate
from plant_disease.service.limits.stores import Unavailable, open_store
from plant_disease.service.limits.windows import Window
from plant_disease.service.problems import Problem
from plant_disease.service.telemetry import record
from plant_disease.settings import Settings

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

QUOTA = "quota"
"""The name of the quota among the limits; the others are named for their endpoint."""


class Limit(NamedTuple):
    """One limit of a plan, and how much of it is used.

    Attributes:
        name: an endpoint, or `QUOTA`.
        most: photos that fit into one window.
        unit: what a window lasts: `second`, `minute`, `hour`, `day` or `month`.
        seconds: the same.
        used: photos counted in the window of now.
        ends: when that window ends, or would end if it opened now. Unix time in seconds.
    """

    name: str
    most: int
    unit: str
    seconds: int
    used: int
    ends: float

    @property
    def left(self) -> int:
        """Photos that still fit."""
        return max(0, self.most - self.used)


@dataclass(frozen=True)
class Standing:
    """How a caller stands to its plan.

    Attributes:
        subject: the caller.
        limits: those that count for the request; none if nothing is limited, or nothing could be counted.
        at: when. Unix time in seconds.
    """

    subject: str
    limits: tuple[Limit, ...]
    at: float

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit`, as of draft-ietf-httpapi-ratelimit-headers-11."""
        if not self.limits:
            return {}
        return {
            "RateLimit-Policy": ", ".join(f'"{each.name}";q={each.most};w={each.seconds}' for each in self.limits),
            "RateLimit": ", ".join(f'"{each.name}";r={each.left};t={self.wait_s(each)}' for each in self.limits),
        }

    def wait_s(self, limit: Limit) -> int:
        """Seconds until the window of a limit ends."""
        return max(0, math.ceil(limit.ends - self.at))


class Limiter:
    """Counts the photos of every caller against its plan.

    A window opens with its first photo, so that not all callers come back at the same moment; a month is that of the
    calendar in UTC, as invoices are.

    Args:
        settings: where to count, and what to do while that is not possible.
        clock: Unix time in seconds.

    Raises:
        ConfigurationError: the extra for the store is not installed.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._store = open_store(settings)
        self._is_denied_uncounted = settings.limits_on_error == "deny"
        self._clock = clock

    async def take(self, subject: str, endpoint: Counted, plan: Plan, photos: int) -> Standing:
        """Count photos against the rate of an endpoint and the quota: against both, or, if one refuses, against none.

        Notes in the record of the request as `limit` what came of it: `allowed`, `limited`, `quota` or `error`.

        Args:
            subject: the caller, as `key:<id>` or as `subject_of_address` says.
            endpoint: whose rate.
            plan: of the caller.
            photos: at least 1.

        Raises:
            Problem: 429, more than the rate; 402, more than the quota; 503, they cannot be counted now and
                `PLANT_LIMITS_ON_ERROR` says `deny`.
        """
        now = self._clock()
        noted = record().fields
        try:
            fits, standing = await self._charge(Standing(subject, _limits(plan, [endpoint], now), now), photos)
        except Unavailable as error:
            noted["limit"] = "error"
            if self._is_denied_uncounted:
                raise _uncounted() from error
            return Standing(subject, (), now)
        if not fits:
            refusal = _refusal(standing, photos)
            noted["limit"] = "quota" if refusal.status == 402 else "limited"
            raise refusal
        noted["limit"] = "allowed"
        return standing

    async def give_back(self, standing: Standing, photos: int) -> Standing:
        """Return photos to the quota that were taken and not diagnosed. The rate keeps them: they did cost something.

        Nothing comes back while the store is unavailable, nor after the window they were counted in.

        Args:
            standing: what `take` gave.
            photos: at most as many as were taken.

        Returns:
            How the caller stands now.
        """
        now = self._clock()
        quota = tuple(limit for limit in standing.limits if limit.name == QUOTA and limit.ends > now)
        if not quota or not photos:
            return standing
        try:
            _, returned = await self._charge(Standing(standing.subject, quota, now), -photos)
        except Unavailable:
            return standing
        rate = tuple(limit for limit in standing.limits if limit.name != QUOTA)
        return Standing(standing.subject, rate + returned.limits, now)

    async def standing(self, subject: str, plan: Plan) -> Standing:
        """How a caller stands to all of its plan. Takes nothing.

        Raises:
            Problem: 503, it cannot be told now.
        """
        now = self._clock()
        try:
            _, standing = await self._charge(Standing(subject, _limits(plan, plan.rates, now), now), 0)
        except Unavailable as error:
            raise _uncounted() from error
        return standing

    async def _charge(self, standing: Standing, photos: int) -> tuple[bool, Standing]:
        """Whether the photos fit into all limits of a standing, and how it is with them, or else without."""
        if not standing.limits:
            return True, standing
        # Without the number: who gets a larger plan has used what he has used.
        windows = [Window(f"{each.name}/{each.unit}", each.most, each.ends - standing.at) for each in standing.limits]
        charge = await self._store.charge(standing.subject, windows, photos, standing.at)
        counted = zip(standing.limits, charge.counts, strict=True)
        limits = tuple(limit._replace(used=count.used, ends=count.ends) for limit, count in counted)
        return charge.fits, Standing(standing.subject, limits, standing.at)


def _limits(plan: Plan, endpoints: Iterable[Counted], now: float) -> tuple[Limit, ...]:
    """The rates of endpoints, as far as there are any, and the quota; as if nothing was used yet."""
    rates: dict[str, Rate] = {endpoint: plan.rates[endpoint] for endpoint in endpoints if endpoint in plan.rates}
    if plan.quota:
        rates[QUOTA] = plan.quota
    return tuple(_limit(name, rate, now) for name, rate in rates.items())


def _limit(name: str, rate: Rate, now: float) -> Limit:
    most, unit = rate.split("/")
    seconds, ends = (_SECONDS[unit], now + _SECONDS[unit]) if unit != "month" else _month(now)
    return Limit(name, int(most), unit, seconds, 0, ends)


def _month(now: float) -> tuple[int, float]:
    """Length in seconds and end of the month that a time is in."""
    starts = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    ends = (starts + timedelta(days=31)).replace(day=1)
    return round((ends - starts).total_seconds()), ends.timestamp()


def _refusal(standing: Standing, photos: int) -> Problem:
    """What is said to a caller whose photos do not fit."""
    # If neither the rate nor the quota has room, waiting for the rate is no use.
    limit = [each for each in standing.limits if each.used + photos > each.most][-1]
    wait_s = standing.wait_s(limit)
    what = f"{_photos(limit.most)} a {limit.unit}" + (f" on {limit.name}" if limit.name != QUOTA else "")
    if photos > limit.most:
        detail = (
            f"This request has {_photos(photos)}, and the plan allows {what}: it can never pass. Send fewer at once."
        )
    elif limit.left:
        detail = f"The plan allows {what}. {limit.left} are left, too few for the {photos} of this request."
    else:
        detail = f"The plan allows {what}, and all of them are used."
    if limit.name == QUOTA:
        renewed = f"{datetime.fromtimestamp(limit.ends, UTC):%Y-%m-%d %H:%M} UTC"
        detail += f" The quota begins anew at {renewed}."
        return Problem(402, "quota_spent", detail, retry_after=wait_s, headers=standing.headers())
    if photos <= limit.most:
        detail += f" Try again in {wait_s} s."
    return Problem(429, "rate_limited", detail, retry_after=wait_s, headers=standing.headers())


def _photos(number: int) -> str:
    return f"{number:,} photo{'s' if number != 1 else ''}"


def _uncounted() -> Problem:
    return Problem(503, "limits_unavailable", "Requests cannot be counted now. Try again shortly.", retry_after=1)
