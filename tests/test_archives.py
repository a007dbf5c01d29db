"""archives.py against ZIPs that are honest, damaged and hostile."""

import contextlib
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant_disease.archives import is_zip, open_zip
from plant_disease.errors import ArchiveRefused, ArchiveTooLarge, ImageError, ImageTooLarge, UnreadableImage

MB = 1024 * 1024


def packed(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return file.getvalue()


def unpacked(data: bytes, *, max_bytes: int = MB, max_total_bytes: int = 10 * MB) -> dict[str, bytes]:
    entries = open_zip(data, max_bytes=max_bytes, max_total_bytes=max_total_bytes)
    assert len({name for name, _ in entries}) == len(entries)
    return {name: unpack() for name, unpack in entries}


FILES = (("a.jpg", b"one"), ("folder/ü b.png", b"two" * 1000), ("empty.jpg", b""))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_in_their_order(method: int) -> None:
    data = packed(*FILES, method=method)
    assert is_zip(data)
    assert list(unpacked(data).items()) == list(FILES)


def test_what_file_managers_add() -> None:
    clutter = ["__MACOSX/._a.jpg", ".DS_Store", "folder/.hidden.jpg", "folder/Thumbs.db", "desktop.ini", "folder/"]
    assert unpacked(packed(*((name, b"x") for name in clutter), ("./a.jpg", b"one"))) == {"a.jpg": b"one"}


def test_a_comment_and_bytes_before() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = b"PK\x05 a comment" * 100
        archive.writestr("a.jpg", b"one")
    assert unpacked(file.getvalue()) == {"a.jpg": b"one"}
    assert unpacked(b"#!/bin/sh\n" + file.getvalue()) == {"a.jpg": b"one"}


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "/etc/a.jpg",
        "a/../../b.jpg",
        "a//b.jpg",
        "C:\\a.jpg",
        "a\\..\\b.jpg",
        "a\x01.jpg",
        "x" * 300,
        "..",
        ".",
    ],
)
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(ArchiveRefused, match="name"):
        unpacked(packed(("a.jpg", b"one"), (name, b"two")))


def test_a_name_that_ends_early() -> None:
    data = packed(("a.jpgX../../b", b"one")).replace(b"a.jpgX", b"a.jpg\0")
    with pytest.raises(ArchiveRefused):
        unpacked(data)


def test_the_same_name_twice() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = packed(("a.jpg", b"one"), ("a.jpg", b"two"))
    with pytest.raises(ArchiveRefused, match="same name"):
        unpacked(data)


def test_a_link() -> None:
    info = zipfile.ZipInfo("a.jpg")
    info.external_attr = 0o120777 << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveRefused, match="link"):
        unpacked(file.getvalue())


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_encrypted(flag: int) -> None:
    data = bytearray(packed(("a.jpg", b"one")))
    at = data.index(b"PK\x01\x02") + 8
    data[at : at + 2] = struct.pack("<H", flag)
    with pytest.raises(ArchiveRefused, match="encrypted"):
        unpacked(bytes(data))


@pytest.mark.parametrize("inner", [packed(("a.jpg", b"one")), packed()], ids=["full", "empty"])
@pytest.mark.parametrize("name", ["inner.zip", "leaf.jpg"])
def test_a_zip_in_a_zip(name: str, inner: bytes) -> None:
    with pytest.raises(ArchiveRefused, match="inside"):
        unpacked(packed(("a.jpg", b"one"), (name, inner)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression(method: int) -> None:
    with pytest.raises(ArchiveRefused, match="unusual"):
        unpacked(packed(("a.jpg", b"one" * 1000), method=method))


# --- Bombs


def test_a_file_that_unpacks_to_a_thousand_times_its_size() -> None:
    with pytest.raises(ArchiveTooLarge, match="hundred"):
        unpacked(packed(("a.jpg", bytes(MB))), max_bytes=10 * MB)


def test_many_files_that_are_too_much_together() -> None:
    data = packed(*((f"{number}.jpg", bytes(range(256)) * 400) for number in range(100)), method=zipfile.ZIP_STORED)
    with pytest.raises(ArchiveTooLarge, match="more than"):
        unpacked(data, max_total_bytes=10_000_000)
    assert len(unpacked(data, max_total_bytes=10_240_000)) == 100


def test_files_that_overlap() -> None:
    """As in https://www.bamsoftware.com/hacks/zipbomb/: many entries of the directory for the same bytes."""
    data = packed(("0.jpg", bytes(range(256)) * 100), method=zipfile.ZIP_STORED)
    at = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entries = b"".join(data[at:end].replace(b"0.jpg", b"%d.jpg" % number) for number in range(10))
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 10, 10, len(entries), at, 0)
    with pytest.raises(ArchiveRefused, match="overlap"):
        unpacked(data[:at] + entries + tail)


def test_a_directory_of_a_million_entries() -> None:
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 30 * MB, 0, 0)
    with pytest.raises(ArchiveTooLarge, match="more files"):
        unpacked(bytes(30 * MB) + tail)


def test_zip64() -> None:
    data = packed(("a.jpg", b"one"))
    at = data.index(b"PK\x05\x06")
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(ArchiveRefused, match="ZIP64"):
        unpacked(data[:at] + locator + data[at:])


def test_a_second_end_hidden_in_the_comment() -> None:
    """zipfile must not find another end of the directory than the one whose size was checked."""
    honest, other = packed(("a.jpg", b"one")), packed(("b.jpg", b"two"))
    hidden = other[other.index(b"PK\x05\x06") :]
    data = bytearray(honest + hidden)
    data[len(honest) - 2 : len(honest)] = struct.pack("<H", len(hidden))
    with contextlib.suppress(ArchiveRefused):
        assert unpacked(bytes(data)) in ({"a.jpg": b"one"}, {"b.jpg": b"two"})


def test_a_size_that_lies() -> None:
    """A file that says it is small is unpacked no further than that."""
    data = bytearray(packed(("a.jpg", bytes(range(256)) * 40)))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.index(signature) + offset
        data[at : at + 4] = struct.pack("<I", 10)
    with pytest.raises(UnreadableImage):
        unpacked(bytes(data))


def test_a_bomb_that_says_it_is_small_is_not_unpacked_to_see() -> None:
    """What deflate makes of the bytes beyond the stated size would need two hundred times the memory."""
    data = bytearray(packed(("a.jpg", bytes(200 * MB))))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.index(signature) + offset
        data[at : at + 4] = struct.pack("<I", 1000)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImage):
            unpacked(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 5 * MB
    finally:
        tracemalloc.stop()


def test_a_file_over_the_limit_fails_alone() -> None:
    data = packed(("large.jpg", bytes(range(256)) * 8), ("small.jpg", b"one"), method=zipfile.ZIP_STORED)
    large, small = open_zip(data, max_bytes=1000, max_total_bytes=MB)
    with pytest.raises(ImageTooLarge, match="2,048"):
        large[1]()
    assert small[1]() == b"one"


# --- Damage


def test_damaged_data_fails_alone() -> None:
    data = bytearray(packed(("a.jpg", b"abcdefgh" * 40), ("b.jpg", b"two"), method=zipfile.ZIP_STORED))
    data[data.index(b"abcdefgh")] = 0
    first, second = open_zip(bytes(data), max_bytes=MB, max_total_bytes=MB)
    with pytest.raises(UnreadableImage):
        first[1]()
    assert second[1]() == b"two"


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-10], lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"PK\x05\x06"],
)
def test_cut_off(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ArchiveRefused):
        unpacked(damage(packed(*FILES)))


GOOD = packed(*FILES, ("stored.jpg", bytes(range(256))))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["set", "insert", "delete", "copy"])):
            case "set":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[at:at] = draw(
                    st.binary(max_size=8) | st.sampled_from([b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07"])
                )
            case "delete":
                del data[at : at + draw(st.integers(1, 60))]
            case "copy":
                data[at:at] = data[at : at + draw(st.integers(1, 200))]
    return bytes(data)


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(damaged() | st.binary(max_size=200))
def test_whatever_comes(data: bytes) -> None:
    """It opens or is refused, and every file unpacks within the limit or is refused."""
    try:
        entries = open_zip(data, max_bytes=4000, max_total_bytes=20_000)
    except ArchiveRefused:
        return
    for name, unpack in entries:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        with contextlib.suppress(ImageError):
            assert len(unpack()) <= 4000
