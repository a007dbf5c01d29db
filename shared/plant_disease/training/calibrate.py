"""Make the numbers mean something: temperature, leaf gate and decision threshold, from photos kept back."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from plant_disease.classifier import evidence, pooled, softmax
from plant_disease.manifest import Calibration, Decision, LeafGate
from plant_disease.runtimes import Floats, Output
from plant_disease.training.metrics import Labels, negative_log_likelihood

Doubles = npt.NDArray[np.float64]

LEAVES_LOST = 0.02
"""Share of the leaf photos that the gate may refuse, hard ones counted as much as plain ones."""

CONFIDENT_ACCURACY = 0.98
"""Least share of `diagnosed` answers that must be right on photos as they are."""

CONFIDENT_ACCURACY_HARD = 0.97
"""The same on photos made hard: where people take photos it is harder than where data sets come from."""

LEAST_CONFIDENCE = 0.6
"""No answer below this probability is called a diagnosis, however easy the photos kept back were."""

_GATE_PENALTY = 0.01
_FOLDS = 5


class Seen(NamedTuple):
    """What the network makes of N photos.

    Attributes:
        logits: float32 (N, classes).
        pooled: float32 (N, channels).
    """

    logits: Floats
    pooled: Floats

    @classmethod
    def of(cls, output: Output) -> "Seen":
        """The feature map of an output, pooled."""
        return cls(output.logits, pooled(output.features))


def fit_temperature(logits: Floats, labels: Labels) -> Calibration:
    """The temperature with the smallest negative log-likelihood, to within 1 %."""
    candidates = np.geomspace(0.2, 5, 324)
    losses = [negative_log_likelihood(softmax(logits / t), labels) for t in candidates]
    return Calibration(temperature=round(float(candidates[int(np.argmin(losses))]), 4))


def fit_leaf_gate(leaves: Seen, non_leaves: Seen) -> LeafGate:
    """Logistic regression on the evidence in the logits and the pooled feature map, both kinds weighing the same.

    The offset is such that p = 0.5 refuses LEAVES_LOST of the leaves, each judged by a gate that was fitted without it.

    Args:
        leaves: photos with a leaf, that the network was not fitted to.
        non_leaves: pictures without one.
    """
    x = np.concatenate([_gate_input(leaves), _gate_input(non_leaves)])
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    x = (x - mean) / scale
    is_leaf = np.arange(len(x)) < len(leaves.logits)
    fold = np.random.default_rng(0).integers(0, _FOLDS, len(x))
    held_out = np.empty(len(x))
    for index in range(_FOLDS):
        mine = fold == index
        weights, bias = _logistic_regression(x[~mine], is_leaf[~mine])
        held_out[mine] = x[mine] @ weights + bias
    cut = float(np.quantile(held_out[is_leaf], LEAVES_LOST))
    weights, bias = _logistic_regression(x, is_leaf)
    raw = weights / scale
    return LeafGate(
        slope=float(f"{raw[0]:.5g}"),
        weights=tuple(float(f"{value:.5g}") for value in raw[1:]),
        offset=round(bias - float(raw @ mean) - cut, 5),
        threshold=0.5,
    )


def fit_decision(plain: tuple[Floats, Labels], hard: tuple[Floats, Labels]) -> Decision:
    """The lowest threshold from LEAST_CONFIDENCE up at which the answers above it keep both promises.

    Args:
        plain: probabilities (N, classes) and labels (N,) of photos as they are: CONFIDENT_ACCURACY.
        hard: the same of photos made hard: CONFIDENT_ACCURACY_HARD.
    """
    promises = ((plain, CONFIDENT_ACCURACY), (hard, CONFIDENT_ACCURACY_HARD))

    def is_kept(threshold: float) -> bool:
        for (probabilities, labels), least in promises:
            above = probabilities.max(axis=1) >= threshold
            if not above.any() or (probabilities.argmax(axis=1) == labels)[above].mean() < least:
                return False
        return True

    kept = (float(t) for t in np.arange(LEAST_CONFIDENCE, 0.99, 0.01) if is_kept(float(t)))
    return Decision(diagnosed_from=round(next(kept, 0.99), 2))


def _gate_input(seen: Seen) -> Doubles:
    return np.column_stack([evidence(seen.logits), seen.pooled]).astype(np.float64)


def _logistic_regression(x: Doubles, is_positive: npt.NDArray[np.bool_]) -> tuple[Doubles, float]:
    """L2-penalised, by Newton's method; both kinds weigh the same. Gives weights (K,) and bias."""
    x = np.column_stack([x, np.ones(len(x))])
    sign = np.where(is_positive, 1.0, -1.0)
    share = np.where(is_positive, 0.5 / is_positive.sum(), 0.5 / (~is_positive).sum())
    penalty = np.full(x.shape[1], 2 * _GATE_PENALTY)
    penalty[-1] = 1e-9
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        wrong = np.exp(-np.logaddexp(0, sign * (x @ weights)))
        gradient = -x.T @ (share * sign * wrong) + penalty * weights
        curvature = (x.T * (share * wrong * (1 - wrong))) @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return weights[:-1], float(weights[-1])
