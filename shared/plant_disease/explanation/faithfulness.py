"""How far a heatmap can be believed: what happens to the probability when what is hot cannot be seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from plant_disease.explanation.regions import HOT, spread
from plant_disease.images import Pixels
from plant_disease.runtimes import Floats

Probability = Callable[[Pixels], Floats]
"""Photos, uint8 (N, size, size, 3) -> the probability of the class explained, float32 (N,)."""

_CELLS = 14
_ELSEWHERE = 4
"""Places elsewhere that are tried; what is told is their mean."""

_BLUR = 1 / 12
"""Standard deviation of the blur as a part of the side: spots and veins are gone, colour and light stay."""


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """What blurring does to the probability of the class.

    Attributes:
        area: of the hot region, as a part of the photo.
        drop: how much the probability falls when the hot region is blurred; below 0, it rises.
        drop_elsewhere: the same for regions of the same shape and area elsewhere, on average.
    """

    area: float
    drop: float
    drop_elsewhere: float


def measure(pixels: Pixels, heat: Floats, probability: Probability) -> Faithfulness:
    """Blur the hot region, and then as much elsewhere.

    Elsewhere is where the region meets its old place least when it is moved, round the edges: same shape, same area.

    Args:
        pixels: the photo as the model saw it, uint8 RGB, shape (size, size, 3).
        heat: float32 in [0, 1], shape (h, w).
        probability: called once, with all the photos.
    """
    hot = spread(heat, _CELLS) >= HOT
    photos = np.stack([pixels, *(blurred(pixels, mask) for mask in (hot, *_moved(hot)))])
    plain, covered, *elsewhere = probability(photos).tolist()
    return Faithfulness(
        area=round(float(hot.mean()), 3),
        drop=round(plain - covered, 4),
        drop_elsewhere=round(plain - sum(elsewhere) / len(elsewhere), 4),
    )


def blurred(pixels: Pixels, mask: npt.NDArray[np.bool_]) -> Pixels:
    """The photo with what is under the mask (of any resolution) blurred, and soft edges in between."""
    photo = Image.fromarray(pixels)
    soft = photo.filter(ImageFilter.GaussianBlur(photo.width * _BLUR))
    where = Image.fromarray(mask.astype(np.uint8) * 255).resize(photo.size, Image.Resampling.BILINEAR)
    return np.asarray(Image.composite(soft, photo, where))


def _moved(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """The mask at _ELSEWHERE other places, where it meets itself least; among many such, at places far apart."""
    offsets = [(row, column) for row in range(_CELLS) for column in range(_CELLS) if row or column]
    overlap = {offset: int((mask & np.roll(mask, offset, axis=(0, 1))).sum()) for offset in offsets}
    offsets.sort(key=overlap.__getitem__)
    least = sum(overlap[offset] == overlap[offsets[0]] for offset in offsets)
    step = max(1, least // _ELSEWHERE)
    return [np.roll(mask, offset, axis=(0, 1)) for offset in offsets[::step][:_ELSEWHERE]]
