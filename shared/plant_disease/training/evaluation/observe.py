"""Photos through the serving runtime: each is decoded once and run once, and all figures come from what is kept."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from plant_disease.classifier import Classifier
from plant_disease.images import Pixels
from plant_disease.runtimes import Floats, Runtime
from plant_disease.training.corruptions import seed_of
from plant_disease.training.folders import Example, pixels
from plant_disease.training.metrics import Labels

Advance = Callable[[int], None]
Change = Callable[[Pixels, int], Pixels]
"""uint8 (H, W, 3), seed of the photo -> the same."""

_BATCH = 16
_DECODERS = 2


@dataclass(frozen=True, slots=True)
class Observed:
    """What the runtime made of N photos.

    Attributes:
        labels: int64 (N,), an index into the classes, or NON_LEAF.
        logits: float32 (N, classes).
        leaf: the probability of a leaf, float32 (N,).
    """

    labels: Labels
    logits: Floats
    leaf: Floats

    def part(self, chosen: np.ndarray) -> "Observed":
        """Some of the photos, bool (N,)."""
        return Observed(self.labels[chosen], self.logits[chosen], self.leaf[chosen])


class Observer:
    """A bundle in the runtime that serves it.

    Args:
        classifier: calibrates; and says what is a leaf.
        runtime: the network.
    """

    def __init__(self, classifier: Classifier, runtime: Runtime) -> None:
        self.classifier = classifier
        self._runtime = runtime

    def observe(self, examples: Sequence[Example], advance: Advance) -> Observed:
        """Run photos as they are.

        Raises:
            RecipeError: a photo cannot be read.
        """
        return self.observe_changed(examples, [as_it_is], advance)[0]

    def observe_changed(
        self, examples: Sequence[Example], changes: Sequence[Change], advance: Advance
    ) -> list[Observed]:
        """Run photos once for each change, made to the square that the model would see.

        Raises:
            RecipeError: a photo cannot be read.
        """
        logits: list[list[Floats]] = [[] for _ in changes]
        leaf: list[list[Floats]] = [[] for _ in changes]
        with ThreadPoolExecutor(_DECODERS) as pool:
            for start in range(0, len(examples), _BATCH):
                batch = examples[start : start + _BATCH]
                photos = list(pool.map(partial(pixels, size=self.classifier.manifest.input.size), batch))
                seeds = [seed_of(example.path.read_bytes()) for example in batch]
                for number, change in enumerate(changes):
                    output = self._runtime.run(np.stack(list(pool.map(change, photos, seeds))))
                    logits[number].append(output.logits)
                    leaf[number].append(self.classifier.leaf_probability(output))
                    advance(len(batch))
        labels = np.array([example.label for example in examples])
        return [Observed(labels, np.concatenate(a), np.concatenate(b)) for a, b in zip(logits, leaf, strict=True)]


def as_it_is(photo: Pixels, _: int) -> Pixels:
    """The change that changes nothing."""
    return photo
