"""List prices, each with where it was read.

They are in `prices.toml` beside this module, for people to read and correct.
"""

import tomllib
from datetime import date
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

_FILE = Path(__file__).with_name("prices.toml")


class Price(BaseModel):
    """One list price.

    Attributes:
        usd: US dollars for one `per`.
        per: what one of it is.
        page: the provider's page where it stands today.
        source: where it was read.
        dated: the date that the source gives itself.
        note: what else is to know of the source.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd: float = Field(gt=0)
    per: str
    page: str = Field(pattern=r"^https://")
    source: str = Field(pattern=r"^https://")
    dated: str | None = None
    note: str | None = None


class PriceList(BaseModel):
    """All prices by name, and the day on which they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    read: date
    prices: dict[str, Price]


@cache
def price_list() -> PriceList:
    """The prices that come with the package."""
    return PriceList.model_validate(tomllib.loads(_FILE.read_text(encoding="utf-8")))
