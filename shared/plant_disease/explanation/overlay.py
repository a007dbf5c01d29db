"""Pictures of heat: laid over the photo, or by itself in grey. Pillow does all of it, in a millisecond or two."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from plant_disease.explanation.colormaps import ColormapName, palette
from plant_disease.images import Photo
from plant_disease.runtimes import Floats

PictureKind = Literal["jpeg", "png", "heatmap"]

LONGEST_SIDE = 448
"""The longer side (px) of a picture at most. The model saw no more detail, and a PNG of noise stays below 620 kB."""

_JPEG_QUALITY = 85
_QUICK = 1
"""zlib level: a tenth more bytes than the default for a third of the time."""


@dataclass(frozen=True, slots=True)
class Style:
    """What picture is wanted.

    Attributes:
        kind: the photo with the heat laid over it as `jpeg` or `png`, or the `heatmap` alone: a grey PNG, white is hot.
        alpha: how much of the photo the hottest spot hides, from 0 to 1. What is cold hides nothing.
        colormap: the colours of the overlay.
    """

    kind: PictureKind = "jpeg"
    alpha: float = 0.6
    colormap: ColormapName = "inferno"


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture."""

    data: bytes
    media_type: Literal["image/jpeg", "image/png"]


def draw(photo: Photo, heat: Floats, style: Style) -> Picture:
    """Draw heat as a picture in the photo's own orientation and aspect.

    The photo is drawn from the pixels that the model saw, stretched back from the model's square.

    Args:
        photo: as it was loaded.
        heat: float32 in [0, 1], shape (h, w), over the whole photo.
        style: what picture.
    """
    size = picture_size(photo)
    heatmap = _grey(heat).resize(size, Image.Resampling.BICUBIC)
    if style.kind == "heatmap":
        return _png(heatmap)
    # Without the detour over RGB, colours would be looked up after mixing indices.
    coloured = heatmap.copy()
    coloured.putpalette(palette(style.colormap))
    shown = Image.fromarray(photo.pixels).resize(size, Image.Resampling.BICUBIC)
    opacity = heatmap.point([round(style.alpha * level) for level in range(256)])
    overlay = Image.composite(coloured.convert("RGB"), shown, opacity)
    if style.kind == "png":
        return _png(overlay)
    file = io.BytesIO()
    overlay.save(file, "JPEG", quality=_JPEG_QUALITY)
    return Picture(file.getvalue(), "image/jpeg")


def picture_size(photo: Photo) -> tuple[int, int]:
    """Width and height (px) of pictures of this photo.

    Its aspect; the shorter side as the model saw it, or less, so that the longer is at most LONGEST_SIDE.
    """
    scale = min(photo.pixels.shape[0] / min(photo.width, photo.height), LONGEST_SIDE / max(photo.width, photo.height))
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))


def _grey(heat: Floats) -> Image.Image:
    return Image.fromarray(np.round(heat * 255).astype(np.uint8))


def _png(image: Image.Image) -> Picture:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=_QUICK)
    return Picture(file.getvalue(), "image/png")
