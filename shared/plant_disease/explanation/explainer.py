"""From a diagnosis to the evidence for it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, get_args

import numpy as np
from PIL import Image

from plant_disease.bundle import Bundle
from plant_disease.classifier import Classifier, Diagnosis, Prediction
from plant_disease.errors import InvalidQuestion, RuntimeUnavailable
from plant_disease.explanation.cam import class_activation, heat
from plant_disease.explanation.faithfulness import Faithfulness, measure
from plant_disease.explanation.head import read_head
from plant_disease.explanation.overlay import Picture, Style, draw
from plant_disease.explanation.regions import Box, hot_boxes
from plant_disease.images import Photo, Pixels
from plant_disease.runtimes import Floats, Output

if TYPE_CHECKING:
    from plant_disease.explanation.gradients import GradientMaps

T = TypeVar("T")
Method = Literal["cam", "gradcam", "gradcam++", "layercam", "hirescam"]
"""`cam` is in closed form, the others are from gradients (`gradients.METHODS`)."""

FINEST_GRID = 56
"""Cells on each side of a grid that is told in numbers; a finer one is averaged. Pictures keep all cells."""

NO_LEAF = "No leaf is to be seen on this photo, so there is no diagnosis to explain."


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained, and how.

    Attributes:
        target: class id; the most probable class if None.
        contrast: class id; if given, what speaks for the target rather than for this class.
        method: `cam` needs the diagnosis only; the others need torch.
        layer: of the network, for the methods that need torch; their default is the last feature map.
        faithfulness: whether to measure how far the heatmap can be believed.
        style: what picture is drawn.
    """

    target: str | None = None
    contrast: str | None = None
    method: Method = "cam"
    layer: str | None = None
    faithfulness: bool = False
    style: Style = field(default_factory=Style)


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Where on a photo the evidence lies.

    Attributes:
        grid: what each part of the photo says for the class, a list for each row from the top; below 0, against it.
            With `cam`, in units of the logit: the numbers add up to it.
        boxes: the hot regions.
        picture: as the question's style wants it.
    """

    grid: tuple[tuple[float, ...], ...]
    boxes: tuple[Box, ...]
    picture: Picture


@dataclass(frozen=True, slots=True)
class Explanation:
    """The evidence for a class on one photo.

    Attributes:
        photo: index of the photo explained: the one that speaks most for the target.
        target: with the probability that it has on this photo alone.
        contrast: likewise.
        heatmap: None where no leaf is to be seen.
        reason: why there is no heatmap.
        faithfulness: if asked for, and if anything on the photo is hot.
    """

    photo: int
    target: Prediction
    contrast: Prediction | None
    method: Method
    layer: str | None
    heatmap: Heatmap | None = None
    reason: str | None = None
    faithfulness: Faithfulness | None = None


class Explainer:
    """Explains what one bundle's classifier says. Safe to call from several threads at once.

    What it needs beside the classifier is loaded when it is first needed, and once: the last layer, and for the methods
    that need torch, a network of their own.
    """

    def __init__(self, bundle: Bundle, *, threads: int, device: str = "cpu") -> None:
        self.bundle = bundle
        self._threads = threads
        self._device = device
        self._head = _Once(lambda: read_head(bundle))
        self._gradients = _Once(self._load_gradients)
        self._indices = {info.class_id: index for index, info in enumerate(bundle.manifest.classes)}

    def check(self, question: Question) -> None:
        """Check a question as far as that is possible before any photo is decoded.

        Raises:
            InvalidQuestion: a class is not known, or the layer does not go with the method.
        """
        for name, class_id in (("target", question.target), ("contrast", question.contrast)):
            if class_id is not None and class_id not in self._indices:
                raise InvalidQuestion(f"This model has no class {class_id[:100]!r} ({name}). All are at /classes.")
        if question.method == "cam" and question.layer is not None:
            others = ", ".join(get_args(Method)[1:])
            raise InvalidQuestion(f"Method cam explains the last feature map only. For a layer, choose {others}.")

    def explain(
        self, classifier: Classifier, photos: Sequence[Photo], output: Output, diagnosis: Diagnosis, question: Question
    ) -> Explanation:
        """Explain a diagnosis.

        Args:
            classifier: of the same bundle.
            photos: of one plant.
            output: what `Classifier.run` gave for them.
            diagnosis: what `Classifier.conclude` made of that.
            question: what to explain.

        Raises:
            InvalidQuestion: see `check` and `GradientMaps.compute`; or contrast and target are the same, or the method
                needs what is not installed.
            BundleError, StorageError: what is needed beside the classifier could not be fetched.
        """
        self.check(question)
        target = self._indices[question.target or diagnosis.predictions[0].class_id]
        contrast = None if question.contrast is None else self._indices[question.contrast]
        if contrast == target:
            raise InvalidQuestion(f"target and contrast are both {question.contrast}: there is nothing to contrast.")
        probabilities = classifier.probabilities(output.logits)
        index = int(np.argmax(probabilities[:, target] * classifier.leaf_probability(output)))
        photo = photos[index]
        explained = Explanation(
            photo=index,
            target=classifier.prediction(target, probabilities[index]),
            contrast=None if contrast is None else classifier.prediction(contrast, probabilities[index]),
            method=question.method,
            layer=question.layer,
        )
        if diagnosis.decision == "rejected":
            return replace(explained, reason=NO_LEAF)
        weights = np.zeros(len(self._indices), np.float32)
        weights[target] = 1
        if contrast is not None:
            weights[contrast] = -1
        grid = self._grid(question, photo.pixels, output.features[index], weights)
        hot = heat(grid)

        def probability(variants: Pixels) -> Floats:
            output = classifier.run([replace(photo, pixels=pixels) for pixels in variants])
            return classifier.probabilities(output.logits)[:, target]

        return replace(
            explained,
            heatmap=Heatmap(_numbers(grid), hot_boxes(hot, photo), draw(photo, hot, question.style)),
            faithfulness=measure(photo.pixels, hot, probability) if question.faithfulness and hot.any() else None,
        )

    def _grid(self, question: Question, pixels: Pixels, features: Floats, weights: Floats) -> Floats:
        if question.method == "cam":
            return class_activation(features, weights @ self._head().weight)
        try:
            maps = self._gradients()
        except RuntimeUnavailable as error:
            raise InvalidQuestion(
                f"Method {question.method} needs torch, which is not available here. The methods there are: cam."
            ) from error
        return maps.compute(question.method, pixels, weights, question.layer)

    def _load_gradients(self) -> "GradientMaps":
        from plant_disease.runtimes.torch import TorchRuntime

        runtime = TorchRuntime(self.bundle, threads=self._threads, device=self._device)
        # Only now: without torch, this import fails in a way of its own.
        from plant_disease.explanation.gradients import GradientMaps

        return GradientMaps(runtime)


class _Once(Generic[T]):
    """Makes something when it is first asked for, and once; again after a failure."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: T | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


def _numbers(grid: Floats) -> tuple[tuple[float, ...], ...]:
    """Rounded to four significant digits."""
    if max(grid.shape) > FINEST_GRID:
        rows, columns = (min(side, FINEST_GRID) for side in grid.shape)
        grid = np.asarray(Image.fromarray(grid).resize((columns, rows), Image.Resampling.BOX))
    return tuple(tuple(float(f"{value:.4g}") for value in row) for row in grid.tolist())
