"""Folders of photos: which photo has which label. Needs no torch."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plant_disease import images
from plant_disease.containers import SUFFIXES
from plant_disease.errors import ImageError
from plant_disease.images import Pixels
from plant_disease.training.provenance import Provenance
from plant_disease.training.recipe import Recipe, RecipeError

NON_LEAF = -1
"""The label of a picture without a leaf."""


@dataclass(frozen=True, slots=True)
class Example:
    """A photo on disk.

    Attributes:
        label: an index into the classes, or NON_LEAF.
        source: an index into the recipe's sources; that of pictures without a leaf is their number.
        swap_background: see `recipe.Source`.
    """

    path: Path
    label: int
    source: int = 0
    swap_background: bool = False


@dataclass(frozen=True, slots=True)
class Gathered:
    """All photos of a recipe.

    Attributes:
        classes: the class ids; a label is an index into them.
        fitted: photos to fit the network to; repeats included.
        kept_back: photos for calibration.
        scenes, kept_back_scenes: the same of pictures without a leaf.
        licences: for each source, and last for the pictures without a leaf, how many photos state which licence.
    """

    classes: list[str]
    fitted: list[Example]
    kept_back: list[Example]
    scenes: list[Example]
    kept_back_scenes: list[Example]
    licences: list[dict[str, int]]


def gather(recipe: Recipe, data: Path) -> Gathered:
    """Find the photos that a recipe names, and part them.

    Raises:
        RecipeError: a folder is missing, or there are too few photos to train or to calibrate.
    """
    classes = class_ids(data / source.path for source in recipe.data.sources)
    provenance = Provenance(data)
    fitted: list[Example] = []
    kept_back: list[Example] = []
    licences: list[dict[str, int]] = []

    def part(examples: list[Example], licence: str) -> tuple[list[Example], list[Example]]:
        stated = {example: provenance.of(example.path).licence or licence for example in examples}
        allowed = [e for e in examples if not stated[e].startswith(tuple(recipe.data.without_licences))]
        licences.append(dict(Counter(stated[example] for example in allowed)))
        return split(allowed, recipe.data.holdout, provenance)

    for index, source in enumerate(recipe.data.sources):
        examples = labelled(data / source.path, classes, source=index, swap_background=source.swap_background)
        train, holdout = part(examples, source.licence)
        fitted += train * source.repeat
        kept_back += holdout
    everything_else = non_leaves(data / recipe.data.non_leaves, source=len(recipe.data.sources))
    scenes, kept_back_scenes = part(everything_else, "none stated")
    if len(fitted) < recipe.optimisation.batch_size:
        raise RecipeError(f"There are {len(fitted)} photos to train on, less than one batch. Add photos.")
    if not kept_back or not scenes or not kept_back_scenes:
        raise RecipeError(
            f"The holdout leaves {len(kept_back)} leaves, {len(scenes)} scenes without a leaf to train on and "
            f"{len(kept_back_scenes)} to calibrate with; each must be at least one. Add photos, or change data.holdout."
        )
    return Gathered(classes, fitted, kept_back, scenes, kept_back_scenes, licences)


def class_ids(folders: Iterable[Path]) -> list[str]:
    """The sorted names of the subfolders of all folders together.

    Raises:
        RecipeError: a folder does not exist or has no subfolder.
    """
    names: set[str] = set()
    for folder in folders:
        found = {p.name for p in folder.iterdir() if p.is_dir()} if folder.is_dir() else set()
        if not found:
            raise RecipeError(f"{folder} is no folder with one subfolder of photos for each class.")
        names |= found
    return sorted(names)


def labelled(folder: Path, classes: list[str], *, source: int = 0, swap_background: bool = False) -> list[Example]:
    """Every photo of a folder with one subfolder for each class, in the order of the names."""
    return [
        Example(photo, label, source, swap_background)
        for label, name in enumerate(classes)
        for photo in photos(folder / name)
    ]


def non_leaves(folder: Path, *, source: int = 0) -> list[Example]:
    """Every picture of a flat folder, labelled NON_LEAF."""
    return [Example(photo, NON_LEAF, source) for photo in photos(folder)]


def photos(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted; none where the folder does not exist."""
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)


def split(examples: list[Example], holdout: float, provenance: Provenance) -> tuple[list[Example], list[Example]]:
    """Part examples into (fitted on, kept back), always alike and with one leaf on one side only."""

    def kept_back(example: Example) -> bool:
        return hashlib.sha256(provenance.of(example.path).block.encode()).digest()[0] < holdout * 256

    return [e for e in examples if not kept_back(e)], [e for e in examples if kept_back(e)]


def pixels(example: Example, size: int) -> Pixels:
    """The photo as the served model sees it: uint8 (size, size, 3).

    Raises:
        RecipeError: it cannot be read; the message names the file.
    """
    try:
        return images.load(example.path.read_bytes(), size).pixels
    except (OSError, ImageError) as error:
        raise RecipeError(f"{example.path}: {error}") from error
