"""How good a classifier is, from its probabilities and the truth."""

import numpy as np
import numpy.typing as npt

from plant_disease.runtimes import Floats

Labels = npt.NDArray[np.int64]


def top_k_accuracy(probabilities: Floats, labels: Labels, k: int) -> float:
    """Share of rows (N, classes) whose label (N,) is among the k most probable classes."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def expected_calibration_error(probabilities: Floats, labels: Labels, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by their size.

    Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(correct[index == b].mean()) - float(confidence[index == b].mean())) * float((index == b).mean())
        for b in np.unique(index)
    ]
    return float(sum(gaps))


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


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    z = 1.96
    share = hits / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return float(centre - half), float(centre + half)
