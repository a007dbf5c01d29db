"""What a class means for the plant: cause, looks, look-alikes, what to do, and where it is written.

The facts are in `classes.toml` beside this module, for people to read and correct; `docs/diseases.md` shows them.
The file is read when first asked for, and once.
"""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_TEXT = 600
"""Characters in any one text, so that an answer with many classes stays an answer."""

_FILE = Path(__file__).with_name("classes.toml")

Text = Annotated[str, StringConstraints(min_length=3, max_length=MAX_TEXT, strip_whitespace=True)]
Cause = Literal["fungus", "oomycete", "bacterium", "virus", "mite", "none"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Organism(_Part):
    """A pathogen or pest."""

    name: Text = Field(description="scientific name")
    synonyms: tuple[Text, ...] = Field((), description="other names that are still in use, as in older publications")
    eppo_code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{5,6}$")] | None = Field(
        None, description="code in the EPPO Global Database, where known for sure"
    )


class Source(_Part):
    """Where facts come from."""

    title: Text
    publisher: Text
    url: Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+/\S+$")] | None = None


class Advice(_Part):
    """What one class means for the plant.

    Attributes:
        cause: `none` for a healthy class.
        report: whom to tell, where the pest is regulated.
    """

    name: Text = Field(description="common name")
    cause: Cause = Field(description='"none" for a healthy class')
    organisms: tuple[Organism, ...] = ()
    looks: Text = Field(description="what it looks like")
    look_alikes: tuple[Text, ...] = Field(min_length=1, description="what is taken for it, and how to tell")
    now: tuple[Text, ...] = Field(min_length=1, description="what to do now")
    prevent: tuple[Text, ...] = Field(min_length=1, description="what to do so that it does not come, or come back")
    report: Text | None = Field(None, description="whom to tell, where the pest is regulated")
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.cause == "none") != (not self.organisms):
            raise ValueError("a disease names its organisms, and a healthy class has none")
        return self


class _Book(_Part):
    note: Text
    classes: dict[str, Advice]


def advise(class_id: str) -> Advice | None:
    """What a class means for the plant; None for a class that nothing is written about.

    Spelling that differs only in case, spaces, punctuation or something in parentheses does not matter: folders
    of photos are called `Corn___Common_rust` as well as `Corn_(maize)___Common_rust_`.
    """
    return _by_key().get(_key(class_id))


def advice_note() -> str:
    """What must be said once with all advice: that it is advice, not a prescription."""
    return _book().note


def all_advice() -> dict[str, Advice]:
    """Everything that is written, by class id, in the order of the file."""
    return dict(_book().classes)


@cache
def _book() -> _Book:
    import tomllib

    return _Book.model_validate(tomllib.loads(_FILE.read_text(encoding="utf-8")))


@cache
def _by_key() -> dict[str, Advice]:
    return {_key(class_id): advice for class_id, advice in _book().classes.items()}


def _key(class_id: str) -> str:
    without_parentheses = re.sub(r"\([^)]*\)", "", class_id.casefold())
    return re.sub(r"[\W_]", "", without_parentheses)
