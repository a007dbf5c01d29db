"""From what the runtime answered to figures. Everything here is a value that JSON can hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Self

import numpy as np
import numpy.typing as npt

from plant_disease.classifier import Classifier, softmax
from plant_disease.manifest import ClassInfo
from plant_disease.training.evaluation.observe import Observed
from plant_disease.training.metrics import (
    Bin,
    Labels,
    auroc,
    confusion,
    expected_calibration_error,
    reliability,
    roc,
    top_k_accuracy,
    wilson_interval,
)

APART = "Grape"
"""PlantVillage's grape photos have lost their camera numbers: photos of one leaf may lie on both sides of a split, and
flatter the model. So this crop is also reported by itself, and a folder also without it."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of some photos, 0..1, and its 95 % Wilson interval; None of none."""

    hits: int
    of: int
    share: float | None
    low: float | None
    high: float | None

    @classmethod
    def count(cls, hits: npt.NDArray[np.bool_]) -> Self:
        """The share of what is true."""
        if not hits.size:
            return cls(0, 0, None, None, None)
        low, high = wilson_interval(int(hits.sum()), hits.size)
        return cls(int(hits.sum()), hits.size, float(hits.mean()), low, high)


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the answers to some leaf photos are.

    Attributes:
        photos: how many.
        top_1: those with the right class first, of all, refused or not.
        top_3: share with the right class among the first three.
        top_1_with_crop: share with the right class first among the classes of the right crop. The classifier's rule
            about implausible crops plays no part here: it only decides what is `diagnosed`.
        ece_before: expected calibration error of softmax(logits).
        ece_after: the same after temperature scaling, as served.
        diagnosed: those answered `diagnosed`.
        diagnosed_right: of those, the right ones.
        refused: those that the leaf gate refuses.
    """

    photos: int
    top_1: Share
    top_3: float
    top_1_with_crop: float
    ece_before: float
    ece_after: float
    diagnosed: Share
    diagnosed_right: Share
    refused: Share


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """One class in a folder.

    Attributes:
        precision: share of the answers naming it that are right; None if there are none.
        recall: share of its photos that are recognised; None if there are none.
        f1: their harmonic mean.
        mistaken_for: the wrong class most often answered to its photos, if any was.
    """

    class_id: str
    photos: int
    precision: float | None
    recall: float | None
    f1: float
    mistaken_for: str | None


@dataclass(frozen=True, slots=True)
class LeafReport:
    """One folder of leaf photos.

    Attributes:
        name: of the folder.
        quality: of all its photos.
        without_apart, apart: of the photos of other crops than APART, and of APART; None where one is empty.
        classes: those that have photos or were answered.
        confusion: how often the class of a row was taken for that of a column, over all classes of the model.
        before, after: bins of confidence before and after temperature scaling.
    """

    name: str
    quality: Quality
    without_apart: Quality | None
    apart: Quality | None
    classes: tuple[ClassQuality, ...]
    confusion: list[list[int]]
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class NonLeafReport:
    """One folder of pictures without a leaf: how many are refused, and diagnosed all the same; by group, if it has any.

    Attributes:
        groups: name of the group -> those of it that are refused.
    """

    name: str
    refused: Share
    diagnosed: Share
    groups: dict[str, Share]


@dataclass(frozen=True, slots=True)
class GateReport:
    """Leaf folders against all pictures without a leaf.

    Attributes:
        threshold: of the leaf probability.
        auroc: leaf folder -> non-leaf folder -> area under the curve.
        curves: leaf folder -> corners (share of non-leaf pictures let in, share of leaves let in).
    """

    threshold: float
    auroc: dict[str, dict[str, float]]
    curves: dict[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True, slots=True)
class CorruptionReport:
    """A folder of leaf photos, spoilt in fixed ways.

    Attributes:
        name: of the folder.
        clean: top-1 of its photos as they are.
        top_1: kind -> top-1 for each strength.
        refused: kind -> share that the leaf gate refuses for each strength.
        median: of top-1 over all kinds and strengths.
        lost: clean less median.
        lost_without_apart, lost_apart: the same for the crops besides APART, and for APART; None where one is empty.
    """

    name: str
    clean: float
    top_1: dict[str, tuple[float, ...]]
    refused: dict[str, tuple[float, ...]]
    median: float
    lost: float
    lost_without_apart: float | None
    lost_apart: float | None


def leaf_report(name: str, observed: Observed, classifier: Classifier) -> LeafReport:
    """All figures of a folder of leaf photos."""
    classes = classifier.manifest.classes
    without, apart = _parts(observed, classes)
    counts = confusion(observed.logits.argmax(axis=1), observed.labels, len(classes))
    return LeafReport(
        name=name,
        quality=quality(observed, classifier),
        without_apart=quality(without, classifier) if without and apart else None,
        apart=quality(apart, classifier) if without and apart else None,
        classes=tuple(_class_qualities(counts, classes)),
        confusion=counts.tolist(),
        before=reliability(softmax(observed.logits), observed.labels),
        after=reliability(classifier.probabilities(observed.logits), observed.labels),
    )


def quality(observed: Observed, classifier: Classifier) -> Quality:
    """The figures of some leaf photos; at least one."""
    logits, labels = observed.logits, observed.labels
    probabilities = classifier.probabilities(logits)
    correct = probabilities.argmax(axis=1) == labels
    crops = np.array([info.crop for info in classifier.manifest.classes])
    hinted = classifier.probabilities(logits, crops[labels][:, None] == crops[None, :])
    diagnosed = _diagnosed(observed, classifier)
    return Quality(
        photos=len(labels),
        top_1=Share.count(correct),
        top_3=top_k_accuracy(probabilities, labels, 3),
        top_1_with_crop=top_k_accuracy(hinted, labels, 1),
        ece_before=expected_calibration_error(softmax(logits), labels),
        ece_after=expected_calibration_error(probabilities, labels),
        diagnosed=Share.count(diagnosed),
        diagnosed_right=Share.count(correct[diagnosed]),
        refused=Share.count(_refused(observed, classifier)),
    )


def non_leaf_report(name: str, groups: list[str], observed: Observed, classifier: Classifier) -> NonLeafReport:
    """How many pictures of a folder without leaves are refused; `groups` names the group of each."""
    refused = _refused(observed, classifier)
    names = sorted(set(groups))
    member = np.array(groups)
    return NonLeafReport(
        name=name,
        refused=Share.count(refused),
        diagnosed=Share.count(_diagnosed(observed, classifier)),
        groups={group: Share.count(refused[member == group]) for group in names} if len(names) > 1 else {},
    )


def gate_report(leaves: dict[str, Observed], others: dict[str, Observed], classifier: Classifier) -> GateReport:
    """How well the leaf probability parts leaf folders from non-leaf folders; at least one of each."""
    pooled = np.concatenate([other.leaf for other in others.values()])
    return GateReport(
        threshold=classifier.manifest.leaf_gate.threshold,
        auroc={
            name: {other: auroc(seen.leaf, scenes.leaf) for other, scenes in others.items()}
            for name, seen in leaves.items()
        },
        curves={name: roc(seen.leaf, pooled) for name, seen in leaves.items()},
    )


def corruption_report(
    name: str, clean: Observed, corrupted: dict[str, list[Observed]], classifier: Classifier
) -> CorruptionReport:
    """The figures of a folder whose photos were also observed corrupted: kind -> one for each strength."""
    classes = classifier.manifest.classes
    every = [seen for strengths in corrupted.values() for seen in strengths]
    middle = median(_top_1(seen) for seen in every)
    without, apart = _parts(clean, classes)
    spoilt = [_parts(seen, classes) for seen in every]
    return CorruptionReport(
        name=name,
        clean=_top_1(clean),
        top_1={kind: tuple(_top_1(seen) for seen in strengths) for kind, strengths in corrupted.items()},
        refused={
            kind: tuple(float(_refused(seen, classifier).mean()) for seen in strengths)
            for kind, strengths in corrupted.items()
        },
        median=middle,
        lost=_top_1(clean) - middle,
        lost_without_apart=_lost(without, (part for part, _ in spoilt)) if without and apart else None,
        lost_apart=_lost(apart, (part for _, part in spoilt)) if without and apart else None,
    )


def _parts(observed: Observed, classes: tuple[ClassInfo, ...]) -> tuple[Observed | None, Observed | None]:
    """The photos of other crops than APART, and of APART; None for none."""
    apart = np.array([info.crop == APART for info in classes])[observed.labels]
    return (
        observed.part(~apart) if not apart.all() else None,
        observed.part(apart) if apart.any() else None,
    )


def _lost(clean: Observed, corrupted: Iterable[Observed | None]) -> float:
    return _top_1(clean) - median(_top_1(seen) for seen in corrupted if seen is not None)


def _top_1(observed: Observed) -> float:
    return float((observed.logits.argmax(axis=1) == observed.labels).mean())


def _refused(observed: Observed, classifier: Classifier) -> npt.NDArray[np.bool_]:
    return observed.leaf < classifier.manifest.leaf_gate.threshold


def _diagnosed(observed: Observed, classifier: Classifier) -> npt.NDArray[np.bool_]:
    sure = classifier.probabilities(observed.logits).max(axis=1) >= classifier.manifest.decision.diagnosed_from
    result: npt.NDArray[np.bool_] = sure & ~_refused(observed, classifier)
    return result


def _class_qualities(counts: Labels, classes: tuple[ClassInfo, ...]) -> Iterable[ClassQuality]:
    """From a confusion matrix, int64 (classes, classes)."""
    for index, info in enumerate(classes):
        right, photos, named = (int(n) for n in (counts[index, index], counts[index].sum(), counts[:, index].sum()))
        wrong = np.where(np.arange(len(classes)) == index, 0, counts[index])
        if photos or named:
            yield ClassQuality(
                info.class_id,
                photos,
                precision=right / named if named else None,
                recall=right / photos if photos else None,
                f1=2 * right / (photos + named),
                mistaken_for=classes[int(wrong.argmax())].class_id if wrong.any() else None,
            )
