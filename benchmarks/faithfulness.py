"""How far heatmaps can be believed: every method against chance, on photos that the model was not trained on.

- Deletion and insertion (Petsiuk et al., "RISE", BMVC 2018, arXiv:1806.07421): the probability of the class while the
  photo is greyed out, hottest pixels first, or while it comes back from a blur; the mean over all steps.
- ROAD (Rong et al., ICML 2022, arXiv:2202.00449): a part of the photo is removed and filled in smoothly from what is
  left, so that holes themselves tell nothing; how much more it hurts to remove what is hottest than what is coldest.
  The filling is interpolated in a pyramid rather than by solving the paper's linear system.
- Model randomisation (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv:1810.03292): the layers
  are made random one after another, from the last; a map that stays as it was does not explain the model. Told is the
  rank correlation of the map with the one before.

Chance is a map of random cells. `centre` is hot in the middle whatever the photo shows: most leaves are there.

Usage: python benchmarks/faithfulness.py DATA/leaves/val [--each 2] [--layer backbone.stage5]
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter

from plant_disease import images
from plant_disease.architectures import Network
from plant_disease.bundle import open_bundle
from plant_disease.classifier import Classifier
from plant_disease.explanation.cam import class_activation, heat
from plant_disease.explanation.faithfulness import measure
from plant_disease.explanation.gradients import METHODS, GradientMaps
from plant_disease.explanation.head import Head, read_head
from plant_disease.images import Photo, Pixels
from plant_disease.runtimes import Floats, open_runtime
from plant_disease.runtimes.torch import TorchRuntime
from plant_disease.settings import read_settings

STEPS = 10
REMOVED = (0.2, 0.4, 0.6, 0.8)
NOISE = 2.5
"""Standard deviation of what is added to filled-in pixels, of 255: 0.01 as in the paper."""

RANDOMISED_PHOTOS = 12
CHANCE = "random"


class Scores(NamedTuple):
    """What one map is worth on one photo."""

    deletion: float
    insertion: float
    road: float


def scores(pixels: Pixels, hot: Floats, probability: Callable[[Pixels], Floats]) -> Scores:
    """Of a map, float32 (h, w), on a photo."""
    size = len(pixels)
    # Ties, as where a map is 0, are broken at random.
    rng = np.random.default_rng(0)
    fine = np.asarray(Image.fromarray(hot).resize((size, size), Image.Resampling.BILINEAR))
    rank = np.empty(size * size, int)
    rank[np.lexsort((rng.random(size * size), -fine.ravel()))] = np.arange(size * size)
    part = (rank.reshape(size, size) + 1) / (size * size)
    grey = np.broadcast_to(pixels.mean(axis=(0, 1)).astype(np.uint8), pixels.shape)
    blur = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(size / 20)))
    steps = np.linspace(0, 1, STEPS + 1)
    photos = [
        *(np.where((part <= step)[..., None], grey, pixels) for step in steps),
        *(np.where((part <= step)[..., None], pixels, blur) for step in steps),
        *(filled(pixels, part <= removed) for removed in REMOVED),
        *(filled(pixels, part > 1 - removed) for removed in REMOVED),
    ]
    given = probability(np.stack(photos))
    deletion, insertion, hottest, coldest = np.split(given, np.cumsum([len(steps), len(steps), len(REMOVED)]))
    areas = (float(np.trapezoid(curve, steps)) for curve in (deletion, insertion))
    return Scores(*areas, float((coldest - hottest).mean() / 2))


def filled(pixels: Pixels, mask: npt.NDArray[np.bool_]) -> Pixels:
    """The photo with what is under the mask made up from what is around it, and a little noise."""
    size = len(pixels)
    known = (~mask).astype(np.float32)[..., None]
    levels = [(pixels * known, known)]
    while len(levels[-1][1]) % 2 == 0:
        levels.append(tuple(_halved(each) for each in levels[-1]))  # type: ignore[arg-type]
    total, weight = levels.pop()
    mean = total.sum(axis=(0, 1)) / max(1, weight.sum())
    guess = np.where(weight > 0, total / np.maximum(weight, 1), mean)
    for total, weight in reversed(levels):
        side = len(weight)
        channels = [Image.fromarray(guess[..., c].astype(np.float32)).resize((side, side)) for c in range(3)]
        coarse = np.stack([np.asarray(channel) for channel in channels], axis=2)
        guess = np.where(weight > 0, total / np.maximum(weight, 1), coarse)
    return np.clip(np.where(mask[..., None], guess + noise(size), pixels), 0, 255).astype(np.uint8)


@cache
def noise(size: int) -> Floats:
    """The same for all photos: float32 (size, size, 3)."""
    return NOISE * np.random.default_rng(0).standard_normal((size, size, 3), np.float32)


def _halved(values: Floats) -> Floats:
    half = len(values) // 2
    result: Floats = values.reshape(half, 2, half, 2, -1).sum(axis=(1, 3))
    return result


def maps_of(
    photo: Photo, features: Floats, target: int, head: Head, gradients: GradientMaps, layer: str
) -> Iterator[tuple[str, Floats]]:
    """Every map of a photo by name."""
    weights = np.eye(len(head.bias), dtype=np.float32)[target]
    yield "cam", heat(class_activation(features, weights @ head.weight))
    for method in METHODS:
        if method not in ("gradcam", "hirescam"):  # on the last feature map both are cam, as tests hold
            yield method, heat(gradients.compute(method, photo.pixels, weights))
        yield f"{method} at {layer}", heat(gradients.compute(method, photo.pixels, weights, layer))
    rng = np.random.default_rng(int(photo.pixels.sum()))
    yield CHANCE, rng.random(features.shape[1:], np.float32)
    line = np.linspace(-1, 1, features.shape[1], dtype=np.float32)
    yield "centre", np.exp(-(line[:, None] ** 2 + line**2))


def randomised(gradients: GradientMaps, network: Network, photos: list[tuple[Photo, int]], classes: int) -> None:
    """Print what becomes of the maps as more and more layers are random."""
    stages = [("classifier", network.classifier), *reversed(list(network.backbone.named_children()))]

    def grids(method: str) -> list[Floats]:
        eye = np.eye(classes, dtype=np.float32)
        return [heat(gradients.compute(method, photo.pixels, eye[target])) for photo, target in photos]

    before = {method: grids(method) for method in METHODS}
    print(f"\n| random from the end to | {' | '.join(METHODS)} |\n|---|{'---|' * len(METHODS)}")
    torch.manual_seed(0)
    for name, stage in stages:
        for module in stage.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        alike = [np.mean([correlation(*pair) for pair in zip(before[m], grids(m), strict=True)]) for m in METHODS]
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in alike)} |", flush=True)


def correlation(one: Floats, other: Floats) -> float:
    """Spearman's rank correlation; 0 where a map says nothing."""
    ranks = [_ranks(each.ravel()) for each in (one, other)]
    if min(rank.std() for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def main() -> int:
    """Measure and report; the exit code is 1 if a method is no better than chance on the last feature map."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder with a folder of photos for each class")
    parser.add_argument("--each", type=int, default=2, help="photos of each class")
    parser.add_argument("--layer", default="backbone.stage5", help="a second layer for the methods that take one")
    arguments = parser.parse_args()
    settings = read_settings()
    bundle = open_bundle(settings.model_uri, version=settings.model_version, cache=settings.model_cache)
    classifier = Classifier(bundle, open_runtime("onnx", bundle, threads=settings.threads))
    runtime = TorchRuntime(bundle, threads=settings.threads)
    gradients, head = GradientMaps(runtime), read_head(bundle)
    found: dict[str, list[Scores]] = defaultdict(list)
    drops = []
    explained = []
    paths = [path for folder in sorted(arguments.data.iterdir()) for path in sorted(folder.iterdir())[: arguments.each]]
    for number, path in enumerate(paths):
        photo = images.load(path.read_bytes(), bundle.manifest.input.size)
        output = classifier.run([photo])
        if classifier.conclude(output).decision == "rejected":
            continue
        target = int(output.logits[0].argmax())
        explained.append((photo, target))

        def probability(batch: Pixels, target: int = target) -> Floats:
            photos = [Photo(pixels, 1, 1, "JPEG") for pixels in batch]
            return classifier.probabilities(classifier.run(photos).logits)[:, target]

        for name, hot in maps_of(photo, output.features[0], target, head, gradients, arguments.layer):
            found[name].append(scores(photo.pixels, hot, probability))
            if name == "cam" and hot.any():
                drops.append(astuple(measure(photo.pixels, hot, probability)))
        print(f"\r{number + 1} of {len(paths)} photos", end="", file=sys.stderr, flush=True)
    chance = np.array(found[CHANCE])
    print(f"\n{len(explained)} photos of {arguments.data}, version {bundle.manifest.version}\n")
    print("| map | deletion (less is better) | insertion (more is better) | ROAD (more is better) | beats chance on |")
    print("|---|---|---|---|---|")
    is_worse = False
    for name, values in found.items():
        mean = np.mean(values, axis=0)
        gain = np.sign([1, -1, -1]) * (chance - np.array(values))
        wins = (gain.sum(axis=1) > 0).mean()
        # At other layers it depends on the layer: that is for people to read.
        is_method = name == "cam" or name in METHODS
        is_worse |= is_method and bool((gain.mean(axis=0) <= 0).any())
        told = "" if name == CHANCE else f"{wins:.0%} of photos"
        print(f"| {name} | {mean[0]:.3f} | {mean[1]:.3f} | {mean[2]:.3f} | {told} |")
    area, drop, elsewhere = (float(np.mean(values)) for values in zip(*drops, strict=True))
    print(
        f"\nfaithfulness of cam: with the hot {area:.0%} blurred, the probability falls by {drop:.3f}; "
        f"with as much blurred elsewhere, by {elsewhere:.3f}"
    )
    sample = explained[:: max(1, len(explained) // RANDOMISED_PHOTOS)][:RANDOMISED_PHOTOS]
    randomised(gradients, runtime.network, sample, len(bundle.manifest.classes))
    return int(is_worse)


if __name__ == "__main__":
    sys.exit(main())
