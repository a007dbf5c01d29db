"""Photos in a ZIP from a stranger.

Nothing is written to disk, nothing is unpacked before it is needed, and what no archive of photos has is refused as a
whole: encryption, archives inside, links, names that lead out, more than a little compression.
"""

import io
import stat
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

from plant_disease.errors import ArchiveRefused, ArchiveTooLarge, ImageTooLarge, UnreadableImage
from plant_disease.storage import is_name

_END = b"PK\x05\x06"
_END_BYTES = 22
_ENTRY = b"PK\x03\x04"
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_MAX_DIRECTORY_BYTES = 256 * 1024
"""Size of the list of entries. An entry takes 46 bytes here and ten times that once parsed."""

_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flags of a general purpose bit field: encrypted, strongly encrypted, directory hidden."""

_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_MOST_COMPRESSION = 100
"""Photos are compressed already, and hardly shrink; deflate at its best makes a thousandth of a file."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError)
"""What zipfile trips over."""

Entry = tuple[str, Callable[[], bytes]]


def is_zip(data: bytes) -> bool:
    """Whether it starts like a ZIP, or like an empty one."""
    return data.startswith((_ENTRY, _END))


def open_zip(data: bytes, *, max_bytes: int, max_total_bytes: int) -> list[Entry]:
    """The files in a ZIP: the name of each, and a function that unpacks it.

    Folders are passed over, and what file managers add by themselves (`__MACOSX/`, names that start with a dot,
    `Thumbs.db`, `desktop.ini`). The functions may be called from several threads at once and raise
    `ImageTooLarge` (more than `max_bytes`) or `UnreadableImage` (damaged).

    Args:
        data: the whole ZIP.
        max_bytes: of one file, unpacked.
        max_total_bytes: of all of them.

    Raises:
        ArchiveTooLarge: all together unpack to more than that, or claim to.
        ArchiveRefused: it cannot be read, or holds what is not accepted.
    """
    archive = _open(data)
    infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    names = set()
    for info in infos:
        _check(info)
        if info.filename in names:
            raise ArchiveRefused("The ZIP has two files of the same name.")
        names.add(info.filename)
    if sum(info.compress_size for info in infos) > len(data):
        raise ArchiveRefused("Files in the ZIP overlap.")
    if sum(info.file_size for info in infos) > max_total_bytes:
        raise ArchiveTooLarge(f"The ZIP unpacks to more than {max_total_bytes:,} bytes. Send it in parts.")
    if any(_starts_as_zip(archive, info) for info in infos):
        raise ArchiveRefused("There is a ZIP inside the ZIP. Send the photos themselves.")
    return [
        (info.filename.removeprefix("./"), partial(_unpack, archive, info, max_bytes))
        for info in infos
        if not _is_clutter(info.filename)
    ]


def _open(data: bytes) -> zipfile.ZipFile:
    """Open it once the size of its directory is known to be harmless: zipfile parses all of it at once."""
    end = data.rfind(_END, max(0, len(data) - _END_BYTES - 0xFFFF))
    if end < 0 or len(data) < end + _END_BYTES:
        raise _damaged()
    if data[max(0, end - _ZIP64_LOCATOR_BYTES) : end].startswith(_ZIP64_LOCATOR):
        raise ArchiveRefused("The ZIP is of the kind for very large archives (ZIP64). Send it in parts.")
    if int.from_bytes(data[end + 12 : end + 16], "little") > _MAX_DIRECTORY_BYTES:
        raise ArchiveTooLarge("The ZIP has far more files than are accepted. Send it in parts.")
    # Ended here and without the comment, so that zipfile cannot find another end than the one that was checked.
    ended = data[: end + _END_BYTES - 2] + b"\0\0"
    try:
        return zipfile.ZipFile(io.BytesIO(ended))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, EOFError) as error:
        raise _damaged() from error


def _is_clutter(name: str) -> bool:
    path = name.removeprefix("./").split("/")
    return path[0] == "__MACOSX" or path[-1].startswith(".") or path[-1] in ("Thumbs.db", "desktop.ini")


def _check(info: zipfile.ZipInfo) -> None:
    # zipfile has turned backslashes into slashes where the machine knows them, and cut the name at a NUL.
    if not is_name(info.orig_filename.removeprefix("./")):
        raise ArchiveRefused("A name in the ZIP is absolute, leads out of it or cannot be the name of a file.")
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveRefused("The ZIP is encrypted. Send it without a password.")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ArchiveRefused("The ZIP has a link in it. Send the photos themselves.")
    if info.compress_type not in _METHODS:
        raise ArchiveRefused("The ZIP is compressed in an unusual way. Use the plain one (deflate), or none.")
    if info.file_size > _MOST_COMPRESSION * max(info.compress_size, 1024):
        raise ArchiveTooLarge("A file in the ZIP unpacks to over a hundred times its size. No photo does that.")


def _starts_as_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(info) as file:
            return file.read(4) in (_ENTRY, _END)
    except _DAMAGE:
        return False  # damaged; whoever unpacks it is told


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if info.file_size > max_bytes:
        raise ImageTooLarge(f"The photo has {info.file_size:,} bytes; at most {max_bytes:,} are accepted.")
    try:
        with archive.open(info) as file:
            # No further than it claims: to read until the end would unpack all of it first.
            return file.read(info.file_size)
    except _DAMAGE as error:
        raise UnreadableImage("The photo is damaged inside the ZIP. Pack it again.") from error


def _damaged() -> ArchiveRefused:
    return ArchiveRefused("The ZIP is damaged or cut off. Pack it again.")
