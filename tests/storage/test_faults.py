"""What goes wrong on the way to a server, and what then passes again, with one and the same store."""

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plant_disease.errors import PreconditionFailed, StorageUnavailable
from plant_disease.storage import ABSENT, Blob, Entry, Limits, Store
from plant_disease.storage.remote import Clock, Sink
from tests.servers import FaultyProxy, Mode
from tests.storage.conftest import QUICK, Place

DATA = bytes(range(256)) * 1024
HASTY = replace(QUICK, read_s=0.3, attempt_s=0.6, min_bytes_per_s=1e9)

Operation = Callable[[Store, Path], object]
OPERATIONS: dict[str, Operation] = {
    "read": lambda store, _: store.read("a"),
    "download": lambda store, target: store.download("a", target),
    "list": lambda store, _: list(store.list()),
    "write": lambda store, _: store.write("b", DATA),
}
# The answer to a PUT of S3 has no body that could be cut.
BROKEN = [
    *((mode, name) for mode in ("refuse", "reset", "hang", "drop") for name in OPERATIONS),
    *(("cut", name) for name in ("read", "download", "list")),
    *(("slow", name) for name in ("download", "list", "write")),
]


def warm(place: Place, limits: Limits = QUICK) -> tuple[Store, FaultyProxy]:
    """A store that has an object and an open connection, and its proxy."""
    # Making the client counts as part of the first attempt, and takes longer than what is to be measured here.
    store = place.open(limits)
    for _ in range(9):
        with contextlib.suppress(StorageUnavailable):
            store.write("a", DATA)
            break
    else:
        store.write("a", DATA)
    assert place.proxy is not None
    return store, place.proxy


@pytest.mark.parametrize(("mode", "name"), BROKEN)
def test_broken_and_mended(remote: Place, mode: Mode, name: str, tmp_path: Path) -> None:
    operation, target = OPERATIONS[name], tmp_path / "target"
    store, proxy = warm(remote, HASTY)
    proxy.set(mode, after=20)
    start = time.monotonic()
    with pytest.raises(StorageUnavailable, match=r"is not available \(.+; attempts: 3\)") as caught:
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
    store, proxy = warm(remote, replace(QUICK, attempts=1, attempt_s=0.5, read_s=5))
    # Bytes go on arriving, so no time-out of the SDK ends the thread that is left behind.
    proxy.set("slow", after=1000)
    target = tmp_path / "target"
    with pytest.raises(StorageUnavailable):
        store.download("a", target)
    target.write_bytes(b"the caller's own")
    time.sleep(0.5)
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
    store, proxy = warm(remote, replace(QUICK, read_s=2.0))
    other, _ = warm(remote)

    def overwrite() -> None:
        proxy.on_drop = lambda: None
        other.write("new", b"theirs")

    proxy.on_drop = overwrite
    proxy.set("drop", times=1)
    with pytest.raises(PreconditionFailed):
        store.write("new", b"ours", if_generation=ABSENT)
    assert store.read("new").data == b"theirs"


def test_nothing_spins_after_a_write_was_cut_off(remote: Place) -> None:
    store, proxy = warm(remote, HASTY)
    for mode in ("slow", "drop"):
        proxy.set(mode, after=20)
        with pytest.raises(StorageUnavailable):
            store.write("b", DATA)
        proxy.set("refuse")
    time.sleep(HASTY.attempt_s)
    before = time.process_time()
    time.sleep(0.5)
    # What is left behind may wait for its connection to end, but must not keep a CPU busy meanwhile.
    assert time.process_time() - before < 0.25


def test_every_byte_grants_time() -> None:
    limits = Limits(attempt_s=1, min_bytes_per_s=100)
    assert Clock(limits).left() == pytest.approx(1, abs=0.1)
    assert Clock(limits, size=500).left() == pytest.approx(6, abs=0.1)
    clock = Clock(limits)
    Sink(io.BytesIO(), clock).write(bytes(300))
    assert clock.left() == pytest.approx(4, abs=0.1)
