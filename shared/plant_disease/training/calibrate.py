"""Make the numbers mean something: temperature, leaf gate and decision threshold, from photos kept back."""

import numpy as np

from plant_disease.classifier import evidence, softmax
from plant_disease.manifest import Calibration, Decision, LeafGate
from plant_disease.runtimes import Floats
from plant_disease.training.metrics import Labels, negative_log_likelihood

LEAVES_LOST = 0.01
"""Share of leaf photos that the gate may refuse."""

CONFIDENT_ACCURACY = 0.98
"""Least share of `diagnosed` answers that must be right on the photos kept back."""

LEAST_CONFIDENCE = 0.6
"""No answer below this probability is called a diagnosis, however easy the photos kept back were."""


def fit_temperature(logits: Floats, labels: Labels) -> Calibration:
    """The temperature with the smallest negative log-likelihood, to within 1 %."""
    candidates = np.geomspace(0.2, 5, 324)
    losses = [negative_log_likelihood(softmax(logits / t), labels) for t in candidates]
    return Calibration(temperature=round(float(candidates[int(np.argmin(losses))]), 4))


def fit_leaf_gate(leaves: Floats, non_leaves: Floats) -> LeafGate:
    """Logistic regression on the evidence in logits, shifted so that p = 0.5 refuses LEAVES_LOST of the leaves.

    Args:
        leaves: logits (N, classes) of photos with a leaf.
        non_leaves: logits (M, classes) of pictures without one; both kinds weigh the same.
    """
    leaf, other = evidence(leaves), evidence(non_leaves)
    cut = float(np.quantile(leaf, LEAVES_LOST))
    scores = np.concatenate([leaf, other]) - cut
    truth = np.concatenate([np.ones(len(leaf)), np.zeros(len(other))])
    weight = np.where(truth == 1, 0.5 / len(leaf), 0.5 / len(other))
    # Bounded: photos kept back can often be separated without error, and then the best slope is infinite.
    slopes = np.geomspace(0.1, 5, 400)
    losses = [float((weight * np.logaddexp(0, np.where(truth == 1, -s, s) * scores)).sum()) for s in slopes]
    slope = float(slopes[int(np.argmin(losses))])
    return LeafGate(slope=round(slope, 4), offset=round(-slope * cut, 4), threshold=0.5)


def fit_decision(probabilities: Floats, labels: Labels) -> Decision:
    """The lowest threshold from LEAST_CONFIDENCE up at which CONFIDENT_ACCURACY of the answers above it are right."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    for threshold in np.arange(LEAST_CONFIDENCE, 0.99, 0.01):
        confident = confidence >= threshold
        if confident.any() and correct[confident].mean() >= CONFIDENT_ACCURACY:
            return Decision(diagnosed_from=round(float(threshold), 2))
    return Decision(diagnosed_from=0.99)
