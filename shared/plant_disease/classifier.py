"""From photos of one plant to a diagnosis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from plant_disease.bundle import Bundle
from plant_disease.errors import TooManyClasses, UnknownCrop
from plant_disease.images import Photo
from plant_disease.runtimes import Floats, Output, Runtime

Decision = Literal["diagnosed", "uncertain", "rejected"]

HEALTHY_THRESHOLD = 0.5

DEFAULT_TOP_K = 3
"""Never refused: a model with fewer classes names all it has."""

PLAUSIBLE_CROP = 0.5
"""Share of the probability that the crops of a hint must hold without the hint. Where they hold less, the photo speaks
against the hint, and renormalised probabilities (1.0 for a crop with a single class) are no ground for a diagnosis."""

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Verdict:
    """A calibrated probability and what it means for a yes-or-no question."""

    probability: float
    threshold: float
    binary: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class and how probable it is."""

    class_id: str
    crop: str
    disease: str
    healthy: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the model makes of one plant.

    Attributes:
        decision: `rejected`: no leaf to be seen; `uncertain`: a leaf, no class probable enough; or `diagnosed`.
        is_leaf: of the photo that shows a leaf most clearly.
        is_healthy: the probabilities of all healthy classes together.
        predictions: the most probable classes, best first.
    """

    decision: Decision
    is_leaf: Verdict
    is_healthy: Verdict
    predictions: tuple[Prediction, ...]


class Classifier:
    """A bundle and the runtime that runs it. Safe to call from several threads at once."""

    def __init__(self, bundle: Bundle, runtime: Runtime) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self._runtime = runtime
        self._healthy = np.array([info.healthy for info in self.manifest.classes])
        self._leaf_weights = np.array(self.manifest.leaf_gate.weights, dtype=np.float32)

    def crop_mask(self, crops: Sequence[str]) -> npt.NDArray[np.bool_] | None:
        """Which classes belong to any of the crops, bool (classes,); None without a hint.

        Raises:
            UnknownCrop: a name means no crop of this model.
        """
        if not crops:
            return None
        mask = np.zeros(len(self.manifest.classes), dtype=bool)
        for crop in crops:
            matches = np.array([info.is_of(crop) for info in self.manifest.classes])
            if not matches.any():
                known = ", ".join(sorted({info.crop for info in self.manifest.classes}))
                raise UnknownCrop(f"This model knows no crop {crop!r}. It knows: {known}.")
            mask |= matches
        return mask

    def check(self, top_k: int, crops: Sequence[str]) -> None:
        """Check the parameters of `diagnose`, before any photo is decoded.

        Raises:
            UnknownCrop: see `crop_mask`.
            TooManyClasses: top_k is above the number of classes.
        """
        if top_k > max(len(self.manifest.classes), DEFAULT_TOP_K):
            raise TooManyClasses(f"top_k is {top_k}; this model has {len(self.manifest.classes)} classes.")
        self.crop_mask(crops)

    def diagnose(self, photos: Sequence[Photo], *, top_k: int = DEFAULT_TOP_K, crops: Sequence[str] = ()) -> Diagnosis:
        """Diagnose one plant from one or several photos of it.

        Each photo is judged by itself; their calibrated probabilities are averaged, each weighted by
        the probability that it shows a leaf. Averaging rather than multiplying: photos of one
        plant share its light and camera, so their errors are not independent.

        Args:
            photos: at least one, loaded at the size the manifest states.
            top_k: how many classes to name, at most all.
            crops: the plant is one of these; only their classes are considered, and renormalised. If the photo
                speaks against all of them (PLAUSIBLE_CROP), nothing is `diagnosed`.

        Raises:
            UnknownCrop: see `crop_mask`.
        """
        return self.conclude(self.run(photos), top_k=top_k, crops=crops)

    def run(self, photos: Sequence[Photo]) -> Output:
        """One forward pass over photos loaded at the size the manifest states."""
        # One photo, as almost every request has it, is not copied.
        pixels = photos[0].pixels[None] if len(photos) == 1 else np.stack([photo.pixels for photo in photos])
        return self._runtime.run(pixels)

    def conclude(self, output: Output, *, top_k: int = DEFAULT_TOP_K, crops: Sequence[str] = ()) -> Diagnosis:
        """The diagnosis of one plant from a forward pass over its photos; see `diagnose`."""
        mask = self.crop_mask(crops)
        logits, leaf = output.logits, self.leaf_probability(output)
        weights = leaf / leaf.sum() if leaf.sum() > 0 else np.full_like(leaf, 1 / len(leaf))
        if mask is None:
            return self._diagnosis(weights @ self.probabilities(logits), float(leaf.max()), top_k)
        plausible = float((weights @ self.probabilities(logits))[mask].sum()) >= PLAUSIBLE_CROP
        return self._diagnosis(
            weights @ self.probabilities(logits, mask), float(leaf.max()), min(top_k, int(mask.sum())), plausible
        )

    def probabilities(self, logits: Floats, mask: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Calibrated class probabilities, float32 (N, classes); classes outside the mask get 0."""
        scaled = logits / self.manifest.calibration.temperature
        if mask is not None:
            scaled = np.where(mask, scaled, -np.inf)
        return softmax(scaled)

    def leaf_probability(self, output: Output) -> Floats:
        """The probability that each photo shows a leaf, float32 (N,); see `manifest.LeafGate`."""
        gate = self.manifest.leaf_gate
        score = gate.slope * evidence(output.logits) + gate.offset
        return sigmoid(score + pooled(output.features) @ self._leaf_weights if gate.weights else score)

    def prediction(self, index: int, probabilities: Floats) -> Prediction:
        """One class as it is told, of probabilities (classes,)."""
        info = self.manifest.classes[index]
        probability = round(float(probabilities[index]), _DIGITS)
        return Prediction(info.class_id, info.crop, info.disease, info.healthy, probability)

    def _diagnosis(self, probabilities: Floats, leaf: float, top_k: int, plausible: bool = True) -> Diagnosis:
        best = np.argsort(-probabilities, kind="stable")[:top_k]
        gate = self.manifest.leaf_gate.threshold
        is_leaf = Verdict(round(leaf, _DIGITS), gate, leaf >= gate)
        healthy = float(probabilities[self._healthy].sum())
        decision: Decision = "rejected"
        if is_leaf.binary:
            sure = probabilities[best[0]] >= self.manifest.decision.diagnosed_from
            decision = "diagnosed" if sure and plausible else "uncertain"
        return Diagnosis(
            decision,
            is_leaf,
            Verdict(round(healthy, _DIGITS), HEALTHY_THRESHOLD, healthy >= HEALTHY_THRESHOLD),
            tuple(self.prediction(i, probabilities) for i in best),
        )


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis; -inf becomes 0."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def evidence(logits: Floats) -> Floats:
    """How clearly a photo looks like any class: logsumexp of the centred logits, float32 (N,).

    The negative free energy of Liu et al., "Energy-based Out-of-distribution Detection" (NeurIPS 2020,
    arXiv:2010.03759), of logits less their mean: cross-entropy leaves the offset common to all of them undetermined.
    """
    top = logits.max(axis=-1, keepdims=True)
    logsumexp = top[..., 0] + np.log(np.exp(logits - top).sum(axis=-1))
    # The sum of the centred ones, less what centres them. numpy's mean takes longer than all the rest after a pass.
    result: Floats = logsumexp - logits.sum(axis=-1) / np.float32(logits.shape[-1])
    return result


def pooled(features: Floats) -> Floats:
    """The feature map averaged over its cells, as the last layer sees it: (N, channels, h, w) -> (N, channels)."""
    cells = features.shape[2] * features.shape[3]
    # As a product: numpy's mean over so few cells at a time takes five times as long.
    result: Floats = features.reshape(*features.shape[:2], cells) @ np.full(cells, 1 / cells, np.float32)
    return result


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    result: Floats = np.exp(-np.logaddexp(0, -x))
    return result
