"""How good a classifier is, from its probabilities and the truth."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plant_disease.runtimes import Floats

Labels = npt.NDArray[np.int64]


def top_k_accuracy(probabilities: Floats, labels: Labels, k: int) -> float:
    """Share of rows (N, classes) whose label (N,) is among the k most probable classes."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


@dataclass(frozen=True, slots=True)
class Bin:
    """Photos of similar confidence: how sure the model was on average, and which share was right."""

    photos: int
    confidence: float
    right: float


def reliability(probabilities: Floats, labels: Labels, bins: int = 15) -> tuple[Bin, ...]:
    """Rows (N, classes) in equal-width bins of confidence, from 0 to 1; empty bins are left out."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return tuple(
        Bin(int((index == b).sum()), float(confidence[index == b].mean()), float(correct[index == b].mean()))
        for b in np.unique(index)
    )


def expected_calibration_error(probabilities: Floats, labels: Labels, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by their size.

    Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    """
    gaps = [b.photos * abs(b.right - b.confidence) for b in reliability(probabilities, labels, bins)]
    return float(sum(gaps) / len(labels))


def negative_log_likelihood(probabilities: Floats, labels: Labels) -> float:
    """Mean of -log p(label), in nats."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def auroc(positive: Floats, negative: Floats) -> float:
    """Probability that a score of a positive is above that of a negative, ties counting half (Mann-Whitney U)."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    upto = np.searchsorted(ordered, positive, side="right")
    return float((below + upto).mean() / 2 / len(negative))


def roc(positive: Floats, negative: Floats) -> tuple[tuple[float, float], ...]:
    """Corners of the receiver operating characteristic: (share of negatives, share of positives) at or above a score.

    From (0, 0) to (1, 1), with the score falling; corners on a straight line between others are left out.
    """
    scores = np.concatenate([positive, negative])
    cuts = np.unique(scores)[::-1]
    accepted = [1 - np.searchsorted(np.sort(side), cuts, side="left") / len(side) for side in (negative, positive)]
    points = [(0.0, 0.0), *zip(*(values.tolist() for values in accepted), strict=True)]
    inner = [
        b
        for a, b, c in zip(points, points[1:], points[2:], strict=False)
        if (b[0] - a[0]) * (c[1] - b[1]) != (b[1] - a[1]) * (c[0] - b[0])
    ]
    return (points[0], *inner, points[-1])


def confusion(predicted: Labels, labels: Labels, classes: int) -> Labels:
    """How often a label (row) was taken for a class (column), int64 (classes, classes)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    z = 1.96
    share = hits / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    # Rounding must not lead out of 0..1.
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
