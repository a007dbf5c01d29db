"""Where photos come from, as the `MANIFEST.tsv` of a data folder states it."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from plant_disease.training.recipe import RecipeError

MANIFEST = "MANIFEST.tsv"

_BLOCK = 8
"""Photos with consecutive camera numbers often show one leaf, or leaves of one plant."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a photo.

    Attributes:
        licence: as stated, or None where the photo is not listed.
        block: the same for photos with neighbouring camera numbers.
    """

    licence: str | None
    block: str


class Provenance:
    """The `MANIFEST.tsv` (columns path, licence, source_path; tab-separated) of a data folder; empty without one."""

    def __init__(self, data: Path) -> None:
        """Read it.

        Raises:
            RecipeError: it lacks a column.
        """
        self._data = data
        self._rows: dict[str, dict[str, str]] = {}
        path = data / MANIFEST
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                try:
                    self._rows = {row["path"]: row for row in csv.DictReader(file, delimiter="\t")}
                    _ = [(row["licence"], row["source_path"]) for row in self._rows.values()]
                except KeyError as error:
                    raise RecipeError(f"{path} has no column {error}.") from error

    def of(self, photo: Path) -> Origin:
        """What is known of a photo in the data folder."""
        row = self._rows.get(photo.relative_to(self._data).as_posix())
        if row is None:
            return Origin(None, _block(photo.parent.name, photo.name))
        return Origin(row["licence"], _block(photo.parent.name, row["source_path"]))


def _block(label: str, name: str) -> str:
    """`.../ab12___FREC_Scab 2907.JPG` -> label, series `FREC_Scab `, and the block of its camera number."""
    stem = re.split(r"___|/", name)[-1].rsplit(".", 1)[0]
    number = re.search(r"(\d+)\D*$", stem)
    if number is None:
        return f"{label}/{stem}"
    return f"{label}/{stem[: number.start()]}{int(number[1]) // _BLOCK}"
