"""Bytes from a stranger to the model's input.

`load` is the only way a photo enters the model, in training and in serving alike. It stretches the
whole photo to a square: no part of the plant is cut away, and a heatmap maps back to the photo by
two factors. Metadata (EXIF, place, colour profile) is dropped with the original.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from plant_disease.errors import ImageTooLarge, ImageTooSmall, UnreadableImage, UnsupportedFormat

Format = Literal["JPEG", "PNG", "WEBP"]
Pixels = npt.NDArray[np.uint8]

MIN_SIDE = 32
"""Photos with a side shorter than this (px) are refused: nothing can be seen on them."""

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 50_000_000

_EXIF_ORIENTATION = 0x0112
_SWAPS_SIDES = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: uint8 RGB, shape (size, size, 3), upright; the model's input.
        width: width in px of the upright original.
        height: height in px of the upright original.
        format: what the bytes were, by their content.
    """

    pixels: Pixels
    width: int
    height: int
    format: Format


def sniff(data: bytes) -> Format:
    """The format of an image by its first bytes.

    Raises:
        UnsupportedFormat: it is none of the three accepted.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise UnsupportedFormat("This is not a JPEG, PNG or WebP image. Convert the photo to JPEG and send it again.")


def load(data: bytes, size: int, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode, turn upright and resize a photo to `size` x `size` px RGB.

    Bytes and pixels are checked against the limits before anything is decoded. A large JPEG is
    decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that is still at least `size` on both sides
    (libjpeg's scaled inverse DCT). Transparency is laid over white; of an animation the first frame counts.

    Raises:
        UnsupportedFormat, UnreadableImage, ImageTooSmall, ImageTooLarge
    """
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The photo has {len(data):,} bytes; at most {max_bytes:,} are accepted. Send it smaller.")
    detected = sniff(data)
    try:
        # Pillow warns about what it thinks are bombs; our own pixel limit below decides.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=(detected,))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(max_pixels) from error
    except Exception as error:
        # Pillow's plugins raise whatever their parser trips over: SyntaxError, struct.error, ValueError, OSError ...
        raise _unreadable() from error
    with image:
        if image.width * image.height > max_pixels:
            raise _too_many_pixels(max_pixels)
        if min(image.size) < MIN_SIDE:
            raise ImageTooSmall(
                f"The photo is {image.width} x {image.height} px; each side needs at least {MIN_SIDE} px."
            )
        orientation = _orientation(image)
        width, height = image.size
        try:
            image.draft(None, (size, size))
            square = _to_rgb(image).resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
        except Exception as error:
            raise _unreadable() from error
    if transpose := _TRANSPOSE.get(orientation):
        # On the square, not on the original: the same result for a fraction of the work.
        square = square.transpose(transpose)
    if square.mode == "RGBA":
        white = Image.new("RGBA", square.size, "white")
        square = Image.alpha_composite(white, square).convert("RGB")
    if orientation in _SWAPS_SIDES:
        width, height = height, width
    return Photo(np.asarray(square, dtype=np.uint8), width, height, detected)


# What undoes each value of the EXIF orientation tag.
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or the tag cannot be read."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:
        return 1
    return orientation if isinstance(orientation, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where there is transparency. 16-bit greys keep their upper eight bits."""
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit greys at 255 instead of scaling them.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB")


def _unreadable() -> UnreadableImage:
    return UnreadableImage("The image is damaged or cut off and cannot be decoded. Take or export the photo again.")


def _too_many_pixels(max_pixels: int) -> ImageTooLarge:
    return ImageTooLarge(f"The photo has too many pixels; at most {max_pixels:,} are accepted. Send it smaller.")
