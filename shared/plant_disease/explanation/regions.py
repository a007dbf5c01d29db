"""Where it is hot: boxes on the photo."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from plant_disease.images import Photo
from plant_disease.runtimes import Floats

HOT = 0.5
"""Heat from which on a spot is hot, of 1 at the hottest."""

MOST_BOXES = 5

_FINE = 28
"""Cells on each side that heat is looked at in: four for each of the usual 7, fewer than a finer layer may have."""


@dataclass(frozen=True, slots=True)
class Box:
    """A hot region on the upright photo, in px of the original; (0, 0) is its upper left corner.

    Attributes:
        share: of all heat on the photo, what lies in this region, from 0 to 1.
    """

    x: int
    y: int
    width: int
    height: int
    share: float


def hot_boxes(heat: Floats, photo: Photo) -> tuple[Box, ...]:
    """The boxes around connected hot spots, the one with most heat first; at most MOST_BOXES.

    Args:
        heat: float32 in [0, 1], shape (h, w), over the whole photo.
        photo: for the size of the original.
    """
    fine = spread(heat, _FINE)
    total = float(fine.sum())
    boxes = []
    for region in connected(fine >= HOT):
        rows, columns = region.nonzero()
        left, right = (round(edge * photo.width / _FINE) for edge in (columns.min(), columns.max() + 1))
        top, bottom = (round(edge * photo.height / _FINE) for edge in (rows.min(), rows.max() + 1))
        box = Box(left, top, max(1, right - left), max(1, bottom - top), round(float(fine[region].sum()) / total, 3))
        boxes.append(box)
    return tuple(sorted(boxes, key=lambda box: -box.share)[:MOST_BOXES])


def spread(heat: Floats, size: int) -> Floats:
    """Heat over size x size cells, between the given ones interpolated as in the pictures; float32 in [0, 1]."""
    resized = Image.fromarray(heat).resize((size, size), Image.Resampling.BICUBIC)
    fine: Floats = np.clip(np.asarray(resized), 0, 1)
    return fine


def connected(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
    """The connected regions of a mask, as masks; cells that only touch at a corner are not connected."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left:
        region = np.zeros_like(mask)
        border = [left.pop()]
        while border:
            row, column = border.pop()
            region[row, column] = True
            neighbours = {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)} & left
            left -= neighbours
            border += neighbours
        regions.append(region)
    return regions
