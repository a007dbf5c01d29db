"""What a JPEG, PNG or WebP says about itself, read without decoding a pixel.

The decoder gets only what makes pixels: most of what hurts a decoder hides in the rest, in text
chunks, colour profiles and metadata by the thousand.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from plant_disease.errors import UnreadableImage, UnsupportedFormat

Format = Literal["JPEG", "PNG", "WEBP"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""How files of these formats are called, in lower case. It says nothing about what they are."""

_MAX_SEGMENTS = 20_000
"""Segments or chunks of one file. The honest have up to a few thousand; the smallest fit millions into 10 MiB."""

_SHORTEST_HEADER = 30
"""Bytes that every format needs at least to state a size."""

_MAX_SCANS = 32
"""Scans of one JPEG. Encoders write 1 to about 15. Each may go over all blocks again (40 ms of CPU at 50
megapixels) for as little as 100 bytes, so that without a limit 10 MiB could decode for more than an hour."""


class Container(NamedTuple):
    """What a file says.

    Attributes:
        width, height: in px, as stored.
        exif: the TIFF structure with the camera's metadata; empty if there is none.
        essence: the file without what is not needed to decode its (first) picture.
    """

    width: int
    height: int
    exif: bytes
    essence: bytes


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


def read_container(data: bytes, detected: Format) -> Container:
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
        raise unreadable()
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


def _walk_jpeg(data: bytes) -> Container:
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
                raise unreadable()
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
    return Container(width, height, exif, b"".join(essence))


# Without what animates (the default picture stays) and without text and colour profiles, which are compressed:
# Pillow unpacks every one of them, 1 kB to 1 MB, thousands in a file.
_PNG_KEEP = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _walk_png(data: bytes) -> Container:
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
    return Container(width, height, exif, b"".join(essence))


def _walk_webp(data: bytes) -> Container:
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
            return Container(width, height, data[at + 8 : end].removeprefix(b"Exif\0\0"), data)
        at = end + end % 2
        if at >= len(data):
            break
    return Container(width, height, b"", data)


def _at_most(limit: int) -> Iterator[int]:
    """Count to the limit.

    Raises:
        UnreadableImage: the loop was not left before.
    """
    yield from range(limit)
    raise unreadable()


_EXIF_ORIENTATION = 0x0112
_EXIF_LONG = 4


def orientation(exif: bytes) -> int:
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


def unreadable() -> UnreadableImage:
    """The error for a file that cannot be decoded."""
    return UnreadableImage("The image is damaged or cut off and cannot be decoded. Take or export the photo again.")
