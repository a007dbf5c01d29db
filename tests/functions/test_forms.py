"""Forms, however their bytes are cut up on the way."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant_disease.service import forms
from plant_disease.service.problems import Problem

TYPE = "multipart/form-data; boundary=edge"
NASTY = b"\r\n--edg\r\n--edge-\r\n--\r\n\r--edge"
"""Data of a file that looks like a boundary, and is none."""


def part(disposition: bytes, data: bytes) -> bytes:
    head = b"--edge\r\nContent-Type: image/jpeg\r\ncontent-disposition: form-data; " + disposition
    return head + b"\r\n\r\n" + data + b"\r\n"


def read(chunks: Sequence[bytes], *, most: int = 10) -> list[tuple[str, bytes]]:
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(forms.read_files(TYPE, body(), fields=("image", "images"), most=most))


FORM = (
    part(b'name="image"; filename="a.jpg"', b"one")
    + part(b'filename="b"; name=images', NASTY)
    + part(b'name="image"; filename=""', b"")
    + b"--edge--\r\nan epilogue"
)
FILES = [("a.jpg", b"one"), ("b", NASTY), ("", b"")]


@given(st.sets(st.integers(1, len(FORM) - 1), max_size=8))
def test_any_cut(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(FORM)]
    assert read([FORM[start:end] for start, end in pairwise(edges)]) == FILES


def test_byte_by_byte() -> None:
    assert read([FORM[i : i + 1] for i in range(len(FORM))]) == FILES


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b'filename="blatt.jpg"', "blatt.jpg"),
        ('filename="blätt 🍃.jpg"'.encode(), "blätt 🍃.jpg"),
        ('filename="blätt.jpg"'.encode("latin-1"), "blätt.jpg"),
        (b'filename="a;b.jpg"', "a;b.jpg"),
        (b'filename="C:\\leaves\\a.jpg"', "a.jpg"),
    ],
)
def test_names(sent: bytes, name: str) -> None:
    assert read([part(b'name="image"; ' + sent, b"1") + b"--edge--"]) == [(name, b"1")]


REFUSED = {
    "another field": ("unknown_field", part(b'name="photo"; filename="a"', b"1")),
    "no field": ("unknown_field", part(b'filename="a"', b"1")),
    "text": ("no_image", part(b'name="image"', b"1")),
    "too many": ("invalid_form", part(b'name="image"; filename="a"', b"1") * 11),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_refused_may_send_to_the_end(case: str) -> None:
    code, start = REFUSED[case]
    taken = []

    async def body() -> AsyncIterator[bytes]:
        for chunk in (start, part(b'name="image"; filename="a"', bytes(1000)), b"--edge--"):
            yield chunk
            taken.append(chunk)

    with pytest.raises(Problem) as refused:
        asyncio.run(forms.read_files(TYPE, body(), fields=("image",), most=10))
    assert (refused.value.status, refused.value.code, len(taken)) == (400, code, 3)


@pytest.mark.parametrize("end", [1, 60, len(FORM) - 30])
def test_cut_off(end: int) -> None:
    with pytest.raises(Problem) as refused:
        read([FORM[:end]])
    assert refused.value.code == "invalid_form"


def test_photos_do_not_wait_for_the_garbage_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        read([FORM])
        assert not [each for each in gc.get_objects() if isinstance(each, forms._Form)]
    finally:
        gc.enable()
