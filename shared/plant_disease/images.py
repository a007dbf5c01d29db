"""Bytes from a stranger to the model's input.

`load` is the only way a photo enters the model, in training and in serving alike. It stretches the
whole photo to a square: no part of the plant is cut away, and a heatmap maps back to the photo by
two factors. Metadata (place, comments, thumbnails, colour profile) never reaches the decoder: see
`containers`.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from plant_disease.containers import Container, Format, orientation, read_container, sniff, unreadable
from plant_disease.errors import EmptyImage, ImageError, ImageTooLarge, ImageTooSmall

Pixels = npt.NDArray[np.uint8]

MIN_SIDE = 32
"""Photos with a side shorter than this (px) are refused: nothing can be seen on them."""

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 50_000_000
"""The limit for a JPEG. A PNG or WebP may have half as many: it cannot be decoded at a reduced size and
takes 8 to 16 bytes of memory a pixel meanwhile."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: uint8 RGB, shape (size, size, 3), upright; the model's input. Contiguous and read-only.
        width: width in px of the upright original.
        height: height in px of the upright original.
        format: what the bytes were, by their content.
    """

    pixels: Pixels
    width: int
    height: int
    format: Format


class Encoded(NamedTuple):
    """A photo that was looked at and not yet decoded. It is within the limits.

    Attributes:
        format: by its content.
        file: what its container says.
    """

    format: Format
    file: Container

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.file.width * self.file.height


def load(data: bytes, size: int, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode, turn upright and resize a photo to `size` x `size` px RGB; see `inspect` and `decode`.

    Raises:
        ImageError: see there.
    """
    return decode(inspect(data, max_bytes=max_bytes, max_pixels=max_pixels), size)


def inspect(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Encoded:
    """Check bytes and pixels against the limits; nothing is decoded.

    A PNG or WebP may have half of `max_pixels` (see MAX_PIXELS).

    Raises:
        EmptyImage: there are no bytes.
        UnsupportedFormat: it is no JPEG, PNG or WebP.
        ImageTooLarge: more bytes or pixels than the limits.
        ImageTooSmall: a side is shorter than MIN_SIDE.
        UnreadableImage: its container cannot be read.
    """
    if not data:
        raise EmptyImage("The photo is empty (0 bytes).")
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The photo has {len(data):,} bytes; at most {max_bytes:,} are accepted. Send it smaller.")
    detected = sniff(data)
    file = read_container(data, detected)
    if detected != "JPEG":
        max_pixels //= 2
    if file.width * file.height > max_pixels:
        raise ImageTooLarge(
            f"The photo has {file.width:,} x {file.height:,} px; at most {max_pixels:,} pixels are accepted "
            f"of a {detected}. Send it smaller."
        )
    if min(file.width, file.height) < MIN_SIDE:
        raise ImageTooSmall(f"The photo is {file.width} x {file.height} px; each side needs at least {MIN_SIDE} px.")
    return Encoded(detected, file)


def decode(encoded: Encoded, size: int) -> Photo:
    """Decode, turn upright and resize a photo to `size` x `size` px RGB.

    A large JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that is still at least twice `size` on both sides
    (libjpeg's scaled inverse DCT): on 12 MP photos that is 0.2 to 0.6 of 255 away from the full decode, where once
    `size` is up to 1.6 away and only 10 ms faster. Transparency is laid over white; of an animation the first frame
    counts.

    Raises:
        UnreadableImage: it is damaged, cut off, or built to be slow to decode.
    """
    detected, file = encoded
    try:
        # Not Image.open: it guesses the format anew, and both its pixel limit and the warning it gives are
        # process-wide settings, which no thread can change for itself alone.
        with _DECODERS[detected](io.BytesIO(file.essence)) as image:
            if image.size != (file.width, file.height):
                raise unreadable()
            image.draft(None, (2 * size, 2 * size))
            square = _to_square(image, size)
    except ImageError:
        raise
    except Exception as error:
        # Pillow's plugins raise whatever their parser trips over: SyntaxError, struct.error, ValueError, OSError ...
        raise unreadable() from error
    turned = orientation(file.exif)
    if (transpose := _TRANSPOSE.get(turned)) is not None:  # FLIP_LEFT_RIGHT is 0.
        # On the square, not on the original: the same result for a fraction of the work.
        square = square.transpose(transpose)
    upright = (file.height, file.width) if turned in _SWAPS_SIDES else (file.width, file.height)
    return Photo(np.asarray(square, dtype=np.uint8), *upright, detected)


_DECODERS: dict[Format, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}


def _to_square(image: Image.Image, size: int) -> Image.Image:
    """Resize to size x size px RGB. Resizes before it converts where it can: a copy at full size may take 200 MB."""

    def resized(image: Image.Image) -> Image.Image:
        return image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)

    if image.mode.startswith("I"):
        # 16-bit grey. Pillow's own conversion to 8 bits would clip at 255 instead of scaling.
        sixteen = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
        return Image.fromarray((sixteen >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        square = resized(image if image.mode in ("RGBA", "LA") else image.convert("RGBA")).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", square.size, "white"), square).convert("RGB")
    return resized(image if image.mode in ("RGB", "L") else image.convert("RGB")).convert("RGB")


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
_SWAPS_SIDES = frozenset({5, 6, 7, 8})
