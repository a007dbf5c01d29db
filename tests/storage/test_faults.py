"""What goes wrong on the way to a server, and what then passes again, with one and the same store."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plant_disease.errors import PreconditionFailed, StorageUnavailable
from plant_disease.storage import ABSENT, Blob, Entry, Limits, Store
from tests.servers import FaultyProxy, Mode
from tests.storage.conftest import QUICK, Place

DATA = bytes(range(256)) * 1024
HASTY = replace(QUICK, read_s=0.2, attempt_s=0.4, min_bytes_per_s=1e9)

Operation = Callable[[Store, Path], object]
OPERATIONS: dict[str, Operation] = {
    "read": lambda store, _: store.read("a"),
    "download": lambda store, target: store.download("a", target),
    "list": lambda store, _: list(store.list()),
    "write": lambda store, _: store.write("b", DATA),
}
# The answer to a PUT of S3 has no body that could be cut.
BROKEN = [(mode, name) for mode in ("refuse", "reset", "hang", "slow", "drop") for name in OPERATIONS] + [
    ("cut", "read"),
    ("cut", "download"),
    ("cut", "list"),
]


def warm(place: Place, limits: Limits = QUICK) -> tuple[Store, FaultyProxy]:
    """A store that has an object and an open connection, and its proxy."""
    # Making the client counts as part of the first attempt, and takes longer than what is to be measured here.
    place.open().write("a", DATA)
    store = place.open(limits)
    for _ in range(10):
        try:
            assert store.read("a").data == DATA
            break
        except StorageUnavailable:
            continue
    assert place.proxy is not None
    return store, place.proxy


@pytest.mark.parametrize(("mode", "name"), BROKEN)
def test_broken_and_mended(remote: Place, mode: Mode, name: str, tmp_path: Path) -> None:
    operation, target = OPERATIONS[name], tmp_path / "target"
    store, proxy = warm(remote, HASTY)
    proxy.set(mode, after=20)
    start = time.monotonic()
    with pytest.raises(StorageUnavailable, match=r"is not available \(\w+; attempts: 3\)") as caught:
        operation(store, target)
    assert time.monotonic() - start < 3 * HASTY.attempt_s + 1
    assert caught.value.__cause__ is not None
    # Neither more than our own attempts, as if an SDK tried again by itself, nor fewer.
    assert proxy.connections == (0 if mode == "refuse" else 3)
    proxy.set("pass")
    operation(store, target)
    assert store.read("a").data == DATA


@pytest.mark.parametrize("mode", ["reset", "hang", "cut", "slow", "drop"])
def test_one_fault_is_not_noticed(remote: Place, mode: Mode, tmp_path: Path) -> None:
    store, proxy = warm(remote, replace(QUICK, attempt_s=0.6))
    target, arrived = tmp_path / "target", list[int]()
    proxy.set(mode, after=100_000, times=1)
    store.download("a", target, arrived.append)
    assert target.read_bytes() == DATA
    assert sum(arrived) == len(DATA), "no byte is reported twice"
    proxy.set(mode, after=100, times=1)
    assert list(store.list()) == [Entry("a", len(DATA))]


def test_silence_ends_with_the_read_timeout(remote: Place) -> None:
    store, proxy = warm(remote, replace(QUICK, attempts=1))
    proxy.set("hang")
    start = time.monotonic()
    with pytest.raises(StorageUnavailable, match="Timeout"):
        store.read("a")
    assert QUICK.read_s <= time.monotonic() - start < QUICK.attempt_s


def test_an_attempt_left_behind_writes_no_more(remote: Place, tmp_path: Path) -> None:
    store, proxy = warm(remote, replace(QUICK, attempts=1, attempt_s=0.4))
    proxy.set("hang")
    target = tmp_path / "target"
    with pytest.raises(StorageUnavailable):
        store.download("a", target)
    target.write_bytes(b"the caller's own")
    proxy.set("pass")
    time.sleep(0.2)
    assert target.read_bytes() == b"the caller's own"


@pytest.mark.parametrize("there_before", [False, True])
def test_our_own_write_whose_answer_was_lost(remote: Place, there_before: bool) -> None:
    store, proxy = warm(remote)
    condition = store.read("a").generation if there_before else ABSENT
    name = "a" if there_before else "new"
    proxy.set("drop", times=1)
    generation = store.write(name, b"ours", if_generation=condition)
    assert proxy.connections >= 2
    assert store.read(name) == Blob(b"ours", generation)
    store.write(name, b"next", if_generation=generation)


def test_anothers_write_after_an_answer_was_lost(remote: Place) -> None:
    store, proxy = warm(remote)

    def overwrite() -> None:
        proxy.on_drop = lambda: None
        remote.open().write("new", b"theirs")

    proxy.on_drop = overwrite
    proxy.set("drop", times=1)
    with pytest.raises(PreconditionFailed):
        store.write("new", b"ours", if_generation=ABSENT)
    assert store.read("new").data == b"theirs"


def test_a_big_object_gets_the_time_it_needs(remote: Place) -> None:
    # Without the allowance for bytes this attempt would end after 50 ms.
    limits = replace(QUICK, attempts=1, attempt_s=0.05, min_bytes_per_s=len(DATA) / 20)
    store = remote.open()
    store.write("a", DATA)
    impatient = remote.open(limits)
    with pytest.raises(StorageUnavailable):
        impatient.read("a")  # the client alone takes longer to make
    time.sleep(1)
    impatient.write("b", DATA)
    assert store.read("b").data == DATA
