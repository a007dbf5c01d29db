"""Measure a bundle on labelled folders, through the runtime that serves it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plant_disease.classifier import Classifier
from plant_disease.errors import PlantDiseaseError
from plant_disease.runtimes import Floats, Runtime
from plant_disease.training.folders import Example, labelled, non_leaves, pixels
from plant_disease.training.metrics import expected_calibration_error, top_k_accuracy, wilson_interval

_BATCH = 16


@dataclass(frozen=True, slots=True)
class LeafReport:
    """One folder of leaf photos. Shares are 0..1; intervals are 95 % Wilson.

    Attributes:
        photos: how many.
        top_1, top_3: share with the right class first, or among the first three.
        top_1_interval: of top_1.
        top_1_with_crop: the same when the right crop is given as a hint.
        ece: expected calibration error.
        diagnosed: share answered `diagnosed`.
        diagnosed_right: share of those that are right; None if there are none.
        refused: share that the leaf gate refuses.
    """

    name: str
    photos: int
    top_1: float
    top_1_interval: tuple[float, float]
    top_3: float
    top_1_with_crop: float
    ece: float
    diagnosed: float
    diagnosed_right: float | None
    refused: float


@dataclass(frozen=True, slots=True)
class NonLeafReport:
    """One folder of pictures without a leaf: how many, and the share refused."""

    name: str
    photos: int
    refused: float
    refused_interval: tuple[float, float]


def evaluate_leaves(
    classifier: Classifier, runtime: Runtime, folder: Path, advance: Callable[[int], None] = lambda _: None
) -> LeafReport:
    """Measure on a folder with one subfolder for each class; a subfolder that is no class of the model is an error.

    Raises:
        PlantDiseaseError: the folder holds no photo, or a class that the model does not know.
    """
    classes = classifier.manifest.classes
    ids = [info.class_id for info in classes]
    unknown = sorted({p.name for p in folder.glob("*") if p.is_dir()} - set(ids))
    if unknown:
        raise PlantDiseaseError(f"{folder} has classes that this model does not know: {', '.join(unknown)}.")
    examples = labelled(folder, ids)
    logits = _logits(runtime, examples, classifier, advance)
    labels = np.array([example.label for example in examples])
    probabilities = classifier.probabilities(logits)
    crops = np.array([info.crop for info in classes])
    hinted = classifier.probabilities(logits, crops[labels][:, None] == crops[None, :])
    refused = classifier.leaf_probability(logits) < classifier.manifest.leaf_gate.threshold
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    diagnosed = ~refused & (confidence >= classifier.manifest.decision.diagnosed_from)
    return LeafReport(
        name=str(folder),
        photos=len(examples),
        top_1=float(correct.mean()),
        top_1_interval=wilson_interval(int(correct.sum()), len(labels)),
        top_3=top_k_accuracy(probabilities, labels, 3),
        top_1_with_crop=top_k_accuracy(hinted, labels, 1),
        ece=expected_calibration_error(probabilities, labels),
        diagnosed=float(diagnosed.mean()),
        diagnosed_right=float(correct[diagnosed].mean()) if diagnosed.any() else None,
        refused=float(refused.mean()),
    )


def evaluate_non_leaves(
    classifier: Classifier, runtime: Runtime, folder: Path, advance: Callable[[int], None] = lambda _: None
) -> NonLeafReport:
    """Measure how many pictures of a flat folder without leaves are refused.

    Raises:
        PlantDiseaseError: the folder holds no picture.
    """
    logits = _logits(runtime, non_leaves(folder), classifier, advance)
    refused = classifier.leaf_probability(logits) < classifier.manifest.leaf_gate.threshold
    return NonLeafReport(
        str(folder), len(refused), float(refused.mean()), wilson_interval(int(refused.sum()), len(refused))
    )


def _logits(
    runtime: Runtime, examples: list[Example], classifier: Classifier, advance: Callable[[int], None]
) -> Floats:
    if not examples:
        raise PlantDiseaseError("The folder holds no JPEG, PNG or WebP photo where one was looked for.")
    parts = []
    for start in range(0, len(examples), _BATCH):
        batch = examples[start : start + _BATCH]
        photos = np.stack([pixels(example, classifier.manifest.input.size) for example in batch])
        parts.append(runtime.run(photos).logits)
        advance(len(batch))
    return np.concatenate(parts)
