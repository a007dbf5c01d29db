"""From folders to an Evaluation."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plant_disease.classifier import Classifier
from plant_disease.errors import PlantDiseaseError
from plant_disease.images import Pixels
from plant_disease.runtimes import Runtime
from plant_disease.training.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from plant_disease.training.evaluation.observe import Advance, Change, Observed, Observer, as_it_is
from plant_disease.training.evaluation.report import (
    CorruptionReport,
    GateReport,
    LeafReport,
    NonLeafReport,
    corruption_report,
    gate_report,
    leaf_report,
    non_leaf_report,
)
from plant_disease.training.folders import Example, labelled, non_leaves

Begin = Callable[[str, int], Advance]
"""Called with a name and a number of passes before they begin; what it returns is called as they are done."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything measured in one go.

    Attributes:
        model: name, version and sha256 of the manifest of what was measured.
        leaves, non_leaves: in the order in which the folders were named.
        gate: None without leaf or without non-leaf folders.
        corruptions: None where they were not asked for.
    """

    model: dict[str, str]
    leaves: tuple[LeafReport, ...]
    non_leaves: tuple[NonLeafReport, ...]
    gate: GateReport | None
    corruptions: CorruptionReport | None


def evaluate(
    classifier: Classifier,
    runtime: Runtime,
    leaves: Sequence[Path],
    others: Sequence[Path] = (),
    corrupted: Path | None = None,
    begin: Begin = lambda _name, _total: lambda _done: None,
) -> Evaluation:
    """Measure a bundle.

    Args:
        classifier: the bundle.
        runtime: its network, as it is served.
        leaves: folders with one subfolder of photos for each class.
        others: folders of pictures without a leaf, flat or with one level of subfolders.
        corrupted: a folder like `leaves`, to be measured under every corruption; may be one of them.
        begin: to show progress with.

    Raises:
        PlantDiseaseError: a folder holds no photo, or a class that the model does not know; before anything is run.
        RecipeError: a photo cannot be read.
    """
    ids = [info.class_id for info in classifier.manifest.classes]
    leaf_photos = {name: _labelled(folder, ids) for name, folder in _named(leaves).items()}
    scenes = {name: _non_leaves(folder) for name, folder in _named(others).items()}
    spoilt = _labelled(corrupted, ids) if corrupted else []
    observer = Observer(classifier, runtime)
    seen = {name: observer.observe(photos, begin(name, len(photos))) for name, photos in leaf_photos.items()}
    unseen = {name: observer.observe(photos, begin(name, len(photos))) for name, photos in scenes.items()}
    bundle = classifier.bundle
    return Evaluation(
        model={"name": bundle.manifest.name, "version": bundle.manifest.version, "sha256": bundle.sha256},
        leaves=tuple(leaf_report(name, observed, classifier) for name, observed in seen.items()),
        non_leaves=tuple(
            non_leaf_report(name, [_group(photo.path, folder) for photo in scenes[name]], observed, classifier)
            for (name, observed), folder in zip(unseen.items(), _named(others).values(), strict=True)
        ),
        gate=gate_report(seen, unseen, classifier) if unseen else None,
        corruptions=_corruptions(observer, _short(corrupted), spoilt, begin) if corrupted else None,
    )


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by what reports call them: the last two parts of the path, or all of it where two end alike."""
    counts = Counter(_short(folder) for folder in folders)
    return {_short(folder) if counts[_short(folder)] == 1 else str(folder): folder for folder in folders}


def _short(folder: Path) -> str:
    return "/".join(folder.resolve().parts[-2:])


def _corruptions(observer: Observer, name: str, photos: list[Example], begin: Begin) -> CorruptionReport:
    kinds = [(kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS]
    changes: list[Change] = [as_it_is, *(partial(_corrupted, kind, strength) for kind, strength in kinds)]
    advance = begin(f"{name}, corrupted", len(photos) * len(changes))
    clean, *spoilt = observer.observe_changed(photos, changes, advance)
    by_kind: dict[str, list[Observed]] = {}
    for (kind, _), observed in zip(kinds, spoilt, strict=True):
        by_kind.setdefault(kind, []).append(observed)
    return corruption_report(name, clean, by_kind, observer.classifier)


def _corrupted(kind: str, strength: int, photo: Pixels, seed: int) -> Pixels:
    return corrupt(photo, kind, strength, seed)


def _labelled(folder: Path, ids: list[str]) -> list[Example]:
    unknown = sorted({path.name for path in folder.glob("*") if path.is_dir()} - set(ids))
    if unknown:
        raise PlantDiseaseError(f"{folder} has classes that this model does not know: {', '.join(unknown)}.")
    return _some(labelled(folder, ids), folder)


def _non_leaves(folder: Path) -> list[Example]:
    below = [path for path in sorted(folder.glob("*")) if path.is_dir()]
    return _some([example for part in (folder, *below) for example in non_leaves(part)], folder)


def _some(examples: list[Example], folder: Path) -> list[Example]:
    if not examples:
        raise PlantDiseaseError(f"{folder} holds no JPEG, PNG or WebP photo where one was looked for.")
    return examples


def _group(picture: Path, folder: Path) -> str:
    """The subfolder, or what stands before the number in `opencv-017.jpg` as tools/other_scenes.py names pictures."""
    if picture.parent != folder:
        return picture.parent.name
    matched = re.fullmatch(r"(.+)-\d+", picture.stem)
    return matched[1] if matched else ""
