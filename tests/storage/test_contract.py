"""What every store promises, on a folder, moto and fake-gcs-server."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant_disease.errors import NotFound, PreconditionFailed, TooLarge
from plant_disease.storage import ABSENT, ANYTHING, Entry, Precondition, open_store
from tests.storage.conftest import Place

STRANGE = ("a b.txt", "50%20off+more.txt", "grün/葉/🍅.jpg", "a'b\"c&d<e>=f?g#h;i:j@k", "..data/x", "x./y.", "~")


@pytest.mark.parametrize("data", [b"", b"leaf", bytes(range(256)) * 2000], ids=["empty", "small", "large"])
def test_what_is_written_is_read(place: Place, data: bytes) -> None:
    store = place.open()
    generation = store.write("runs/a.bin", data)
    blob = store.read("runs/a.bin")
    assert blob.data == data
    assert blob.generation == generation


def test_more_than_the_sdk_uploads_in_one_request(place: Place) -> None:
    data = b"0123456789abcdef" * (9 * 1024 * 64)
    generation = place.open().write("large", data, if_generation=ABSENT)
    blob = place.open().read("large")
    assert (blob.data == data, blob.generation) == (True, generation)


def test_no_more_is_read_than_asked_for(place: Place) -> None:
    store = place.open()
    store.write("photo", bytes(100_000))
    assert store.read("photo", max_bytes=100_000).data == bytes(100_000)
    with pytest.raises(TooLarge, match="99,999"):
        store.read("photo", max_bytes=99_999)


def test_another_store_at_the_same_uri_sees_it(place: Place) -> None:
    place.open().write("a", b"1")
    assert open_store(place.uri + "/").read("a").data == b"1"


def test_uri_has_no_trailing_slash(place: Place) -> None:
    assert open_store(place.uri + "/").uri == place.uri


def test_strange_names(place: Place) -> None:
    store = place.open()
    for name in STRANGE:
        store.write(name, name.encode())
    for name in STRANGE:
        assert store.read(name).data == name.encode()
        assert list(store.list(name)) == [Entry(name, len(name.encode()))]
    assert [entry.name for entry in store.list()] == sorted(STRANGE)


def test_list(place: Place) -> None:
    store = place.open()
    assert list(store.list("nothing/")) == []
    for name in ("b/2.json", "a.txt", "b/10.json", "b.txt", "bb/c/d"):
        store.write(name, name.encode())
    assert [entry.name for entry in store.list()] == ["a.txt", "b.txt", "b/10.json", "b/2.json", "bb/c/d"]
    assert list(store.list("b/")) == [Entry("b/10.json", 9), Entry("b/2.json", 8)]
    assert [entry.name for entry in store.list("b/1")] == ["b/10.json"]
    assert [entry.name for entry in store.list("bb")] == ["bb/c/d"]


def test_prefix_is_a_border(place: Place) -> None:
    inner, outer = open_store(f"{place.uri}/in"), place.open()
    inner.write("a", b"1")
    outer.write("in2", b"2")
    assert list(inner.list()) == [Entry("a", 1)]
    assert outer.read("in/a").data == b"1"


def test_download(place: Place, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    store, target, arrived = place.open(), tmp_path / "target", list[int]()
    store.write("model.onnx", data)
    target.write_bytes(b"what was there before is overwritten")
    store.download("model.onnx", target, arrived.append)
    assert target.read_bytes() == data
    assert sum(arrived) == len(data)
    assert len(arrived) > 1
    assert max(arrived) <= 256 * 1024, "streamed, not read at once"


def test_download_of_nothing(place: Place, tmp_path: Path) -> None:
    store = place.open()
    store.write("empty", b"")
    store.download("empty", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b""


def test_download_to_a_bad_destination_is_the_callers_fault(place: Place, tmp_path: Path) -> None:
    store = place.open()
    store.write("a", b"1")
    with pytest.raises(FileNotFoundError):
        store.download("a", tmp_path / "no" / "such" / "folder")


def test_missing_object(place: Place, tmp_path: Path) -> None:
    store = place.open()
    store.write("a", b"1")
    with pytest.raises(NotFound, match=r"There is no .*/nothing"):
        store.read("nothing")
    with pytest.raises(NotFound, match=r"There is no .*/nothing"):
        store.download("nothing", tmp_path / "target")


def test_missing_bucket_or_folder(place: Place, tmp_path: Path) -> None:
    store = open_store(place.missing)
    for ask in (
        lambda: store.read("a"),
        lambda: store.download("a", tmp_path / "target"),
        lambda: list(store.list()),
    ):
        with pytest.raises(NotFound, match=r"There is no (bucket|folder)"):
            ask()


def test_a_bucket_is_not_created_by_writing(remote: Place) -> None:
    with pytest.raises(NotFound, match="There is no bucket"):
        open_store(remote.missing).write("a", b"1")


def test_write_if_absent(place: Place) -> None:
    store = place.open()
    store.write("a", b"1", if_generation=ABSENT)
    with pytest.raises(PreconditionFailed, match="changed by someone else"):
        store.write("a", b"2", if_generation=ABSENT)
    assert store.read("a").data == b"1"


def test_write_if_unchanged(place: Place) -> None:
    store = place.open()
    first = store.write("a", b"1", if_generation=ABSENT)
    second = store.write("a", b"2", if_generation=first)
    assert first != second
    with pytest.raises(PreconditionFailed):
        store.write("a", b"3", if_generation=first)
    assert store.read("a").data == b"2"
    store.write("a", b"4", if_generation=ANYTHING)
    assert store.read("a").data == b"4"


def test_generations_that_never_were(place: Place) -> None:
    store = place.open()
    store.write("a", b"1")
    for generation in ("", "0", "7", "*", '"7"', "stale\r\nX-Evil: 1", "9" * 40):
        for name in ("a", "nothing"):
            with pytest.raises(PreconditionFailed):
                store.write(name, b"2", if_generation=generation)
    assert [entry.name for entry in store.list()] == ["a"]
    assert store.read("a").data == b"1"


@pytest.mark.parametrize("there_before", [False, True])
def test_one_of_many_conditional_writers_wins(place: Place, there_before: bool) -> None:
    store, writers = place.open(), 8
    condition: Precondition = store.write("counter", b"start") if there_before else ABSENT
    barrier = Barrier(writers)

    def write(number: int) -> str | None:
        barrier.wait()
        try:
            return store.write("counter", b"%d" % number, if_generation=condition)
        except PreconditionFailed:
            return None

    with ThreadPoolExecutor(writers) as pool:
        generations = list(pool.map(write, range(writers)))
    (winner,) = [number for number, generation in enumerate(generations) if generation is not None]
    blob = store.read("counter")
    assert blob.data == b"%d" % winner
    assert blob.generation == generations[winner]


BAD = (
    "",
    "/",
    "/etc/passwd",
    "..",
    "../a",
    "a/../b",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "a\\b",
    "..\\a",
    "a\0b",
    "a\nb",
    "\x7f",
    "\ud800",
    "x" * 256,
    "/".join(["x" * 200] * 6),
    ".plant-disease-lock",
    "a/.plant-disease-1",
)


def test_bad_names(place: Place, tmp_path: Path) -> None:
    store = place.open()
    for name in BAD:
        for use in (store.read, lambda n: store.write(n, b"1"), lambda n: store.download(n, tmp_path / "target")):
            with pytest.raises(ValueError, match="cannot name an object"):
                use(name)
    assert list(store.list()) == []


def test_bad_prefixes(place: Place) -> None:
    store = place.open()
    for prefix in ("/", "../", "a/../", "a//", "\0", ".plant-disease-"):
        with pytest.raises(ValueError, match="cannot be the start of a name"):
            store.list(prefix)
    # Not bad yet: "..data" starts so.
    assert list(store.list("..")) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["..", ".", "", "a", "é", "\0", "~"]) | st.text(max_size=4), max_size=5).map("/".join))
def test_a_name_is_refused_or_stays_inside(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "outer" / "store"
        root.mkdir(parents=True)
        store = open_store(str(root))
        try:
            store.write(name, b"1")
        except ValueError:
            assert list(root.iterdir()) == []
        else:
            assert store.read(name).data == b"1"
            assert [entry.name for entry in store.list()] == [name]
        assert [path.name for path in Path(folder).iterdir()] == ["outer"]
        assert [path.name for path in (Path(folder) / "outer").iterdir()] == ["store"]
