"""Bytes from a stranger to the model's input.

`load` is the only way a photo enters the model, in training and in serving alike. It stretches the
whole photo to a square: no part of the plant is cut away, and a heatmap maps back to the photo by
two factors. Metadata (place, comments, thumbnails, colour profile) never reaches the decoder: `_walk`
keeps only what makes pixels, because most of what hurts a decoder hides in the rest.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from plant_disease.errors import ImageError, ImageTooLarge, ImageTooSmall, UnreadableImage, UnsupportedFormat

Format = Literal["JPEG", "PNG", "WEBP"]
Pixels = npt.NDArray[np.uint8]

MIN_SIDE = 32
"""Photos with a side shorter than this (px) are refused: nothing can be seen on them."""

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 50_000_000
"""The limit for a JPEG. A PNG or WebP may have half as many: it cannot be decoded at a reduced size and
takes 8 to 16 bytes of memory a pixel meanwhile."""

_MAX_SEGMENTS = 20_000
"""Segments or chunks of one file. The honest have up to a few thousand; the smallest fit millions into 10 MiB."""

_SHORTEST_HEADER = 30
"""Bytes that every format needs at least to state a size."""

_MAX_SCANS = 32
"""Scans of one JPEG. Encoders write 1 to about 15. Each may go over all blocks again (40 ms of CPU at 50
megapixels) for as little as 100 bytes, so that without a limit 10 MiB could decode for more than an hour."""


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

    Bytes and pixels are checked against the limits before anything is decoded. A PNG or WebP
    may have half of `max_pixels` (see MAX_PIXELS). A large JPEG is decoded at the smallest of 1/1, 1/2, 1/4,
    1/8 that is still at least twice `size` on both sides (libjpeg's scaled inverse DCT): on 12 MP photos that
    is 0.2 to 0.6 of 255 away from the full decode, where once `size` is up to 1.6 away and only 10 ms faster.
    Transparency is laid over white; of an animation the first frame counts.

    Raises:
        UnsupportedFormat: it is no JPEG, PNG or WebP.
        ImageTooLarge: more bytes or pixels than the limits.
        ImageTooSmall: a side is shorter than MIN_SIDE.
        UnreadableImage: it is damaged, cut off, or built to be slow to decode.
    """
    if len(data) > max_bytes:
        raise ImageTooLarge(f"The photo has {len(data):,} bytes; at most {max_bytes:,} are accepted. Send it smaller.")
    detected = sniff(data)
    file = _walk(data, detected)
    if detected != "JPEG":
        max_pixels //= 2
    if file.width * file.height > max_pixels:
        raise ImageTooLarge(
            f"The photo has {file.width:,} x {file.height:,} px; at most {max_pixels:,} pixels are accepted "
            f"of a {detected}. Send it smaller."
        )
    if min(file.width, file.height) < MIN_SIDE:
        raise ImageTooSmall(f"The photo is {file.width} x {file.height} px; each side needs at least {MIN_SIDE} px.")
    try:
        # Not Image.open: it guesses the format anew, and both its pixel limit and the warning it gives are
        # process-wide settings, which no thread can change for itself alone.
        with _DECODERS[detected](io.BytesIO(file.essence)) as image:
            if image.size != (file.width, file.height):
                raise _unreadable()
            image.draft(None, (2 * size, 2 * size))
            square = _to_square(image, size)
    except ImageError:
        raise
    except Exception as error:
        # Pillow's plugins raise whatever their parser trips over: SyntaxError, struct.error, ValueError, OSError ...
        raise _unreadable() from error
    orientation = _orientation(file.exif)
    if (transpose := _TRANSPOSE.get(orientation)) is not None:  # FLIP_LEFT_RIGHT is 0.
        # On the square, not on the original: the same result for a fraction of the work.
        square = square.transpose(transpose)
    upright = (file.height, file.width) if orientation in _SWAPS_SIDES else (file.width, file.height)
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


class _File(NamedTuple):
    """What the container says. `essence` is the file without what is not needed to decode its (first) picture."""

    width: int
    height: int
    exif: bytes
    essence: bytes


def _walk(data: bytes, detected: Format) -> _File:
    """Read the container, decode nothing. What is cut off is left for the decoder to refuse.

    Raises:
        UnreadableImage: no size is found, or there are more segments or scans than a photo has.
    """
    if detected == "JPEG":
        file = _walk_jpeg(data)
    elif detected == "PNG":
        file = _walk_png(data)
    else:
        file = _walk_webp(data)
    if file.width == 0 or file.height == 0 or len(data) < _SHORTEST_HEADER:
        raise _unreadable()
    return file


# A marker that starts a segment: not a stuffed or fill byte, not one of those that stand alone (TEM, RST, SOI).
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
# Baseline, extended, progressive, with Huffman codes: what cameras write and browsers show. Arithmetic codes would
# let a scan cost far more than its bytes.
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_JPEG_EXIF = 0xE1
_JPEG_SCAN = 0xDA
_JPEG_END = 0xD9
# COM and every APPn but JFIF (0) and Adobe (14), which tell the colour space.
_JPEG_METADATA = (frozenset(range(0xE0, 0xF0)) | {0xFE}) - {0xE0, 0xEE}


def _walk_jpeg(data: bytes) -> _File:
    width = height = scans = 0
    exif, essence = b"", [data[:2]]
    at = 2
    for _ in _at_most(_MAX_SEGMENTS):
        marker = _JPEG_MARKER.search(data, at)
        if marker is None or marker[1][0] == _JPEG_END:
            break  # A phone may put a second picture, or a whole film, after the end.
        code = marker[1][0]
        body = marker.end() + 2
        end = at = marker.end() + max(2, int.from_bytes(data[marker.end() : body]))
        if code == _JPEG_SCAN:
            scans += 1
            if scans > _MAX_SCANS:
                raise _unreadable()
            if scans == 1:
                essence.append(data[marker.start() :])
        elif scans == 0:
            if code in _JPEG_FRAMES and end <= len(data):
                height = int.from_bytes(data[body + 1 : body + 3])
                width = int.from_bytes(data[body + 3 : body + 5])
            elif code == _JPEG_EXIF and not exif and data.startswith(b"Exif\0\0", body):
                exif = data[body + 6 : end]
            if code not in _JPEG_METADATA:
                essence.append(data[marker.start() : end])
    return _File(width, height, exif, b"".join(essence))


# Without what animates (the default picture stays) and without text and colour profiles, which are compressed:
# Pillow unpacks every one of them, 1 kB to 1 MB, thousands in a file.
_PNG_KEEP = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _walk_png(data: bytes) -> _File:
    # IHDR comes first; if it does not, the decoder refuses what we misread here.
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    exif, essence = b"", [data[:8]]
    at = 8
    for _ in _at_most(_MAX_SEGMENTS):
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if name in _PNG_KEEP:
            essence.append(data[at:end])
        elif name == b"eXIf":
            exif = data[at + 8 : end - 4]
        at = end
        if name == b"IEND" or at >= len(data):
            break
    return _File(width, height, exif, b"".join(essence))


def _walk_webp(data: bytes) -> _File:
    # https://developers.google.com/speed/webp/docs/riff_container. The decoder reserves the whole canvas when it
    # opens the file, so the size is read here. It is C and looks into no metadata, so nothing is taken out.
    width = height = 0
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8 ":
        width, height = (int.from_bytes(body[i : i + 2], "little") & 0x3FFF for i in (6, 8))
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        width, height = (int.from_bytes(body[i : i + 3], "little") + 1 for i in (4, 7))
    at = 12
    for _ in _at_most(_MAX_SEGMENTS):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            return _File(width, height, data[at + 8 : end].removeprefix(b"Exif\0\0"), data)
        at = end + end % 2
        if at >= len(data):
            break
    return _File(width, height, b"", data)


def _at_most(limit: int) -> Iterator[int]:
    """Count to the limit.

    Raises:
        UnreadableImage: the loop was not left before.
    """
    yield from range(limit)
    raise _unreadable()


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
_EXIF_ORIENTATION = 0x0112
_EXIF_LONG = 4


def _orientation(exif: bytes) -> int:
    """The EXIF orientation, 1 (upright) where there is none or it cannot be read.

    Reads this one tag and nothing else: Pillow copies the value of every tag, and the values may overlap.
    """
    order: Literal["little", "big"]
    if exif.startswith(b"II*\0"):
        order = "little"
    elif exif.startswith(b"MM\0*"):
        order = "big"
    else:
        return 1
    first = int.from_bytes(exif[4:8], order)
    entries = exif[first + 2 : first + 2 + 12 * int.from_bytes(exif[first : first + 2], order)]
    for at in range(0, len(entries), 12):
        if int.from_bytes(entries[at : at + 2], order) == _EXIF_ORIENTATION:
            is_long = int.from_bytes(entries[at + 2 : at + 4], order) == _EXIF_LONG  # Short by the book.
            return int.from_bytes(entries[at + 8 : at + (12 if is_long else 10)], order)
    return 1


def _unreadable() -> UnreadableImage:
    return UnreadableImage("The image is damaged or cut off and cannot be decoded. Take or export the photo again.")
