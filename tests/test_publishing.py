"""Publish, promote, roll back: on a folder, moto and fake-gcs-server."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from plant_disease.bundle import list_versions, open_bundle, open_version, read_channel
from plant_disease.errors import BundleError, NotFound, PublishRefused, StorageUnavailable
from plant_disease.publishing import CLAIM_FILE, HISTORY, Release, open_release, promote, publish, rollback
from plant_disease.storage import Store
from tests.bundles import write_bundle
from tests.storage.conftest import Place, make_place, place, remote

__all__ = ["make_place", "place", "remote"]

CARD = {"MODEL_CARD.md": b"# Card\n", "card/reliability.svg": b"<svg/>"}


def release(folder: Path, version: str = "1.0.0", weights: bytes = b"weights") -> Release:
    """A version with a card, in a folder of its own."""
    made = write_bundle(folder / weights.decode(), version, {"model.onnx": b"graph", "weights.safetensors": weights})
    (made / "card").mkdir()
    for name, data in CARD.items():
        (made / name).write_bytes(data)
    return open_release(made)


def names(store: Store) -> list[str]:
    return [entry.name for entry in store.list()]


def assert_whole(store: Store, version: str, cache: Path) -> str:
    """Fetch and verify every file; the sha256 of the manifest."""
    bundle = open_version(store, version, cache=cache)
    for name in bundle.manifest.files:
        bundle.fetch(name)
    return bundle.sha256


def test_published(place: Place, tmp_path: Path) -> None:
    store, new, written = place.open(), release(tmp_path), list[int]()
    assert publish(new, store, written.append)
    assert assert_whole(store, "1.0.0", tmp_path / "cache") == new.sha256
    assert store.read("1.0.0/manifest.json").data == (new.folder / "manifest.json").read_bytes()
    assert {name: store.read(f"1.0.0/{name}").data for name in CARD} == CARD
    assert sum(written) == new.size
    assert list_versions(store) == {"1.0.0": []}, "no channel moves by itself"


def test_again_is_no_error_and_writes_nothing(place: Place, tmp_path: Path) -> None:
    store, new = place.open(), release(tmp_path)
    publish(new, store)
    generations = {name: store.read(name).generation for name in names(store)}
    assert not publish(new, store)
    assert {name: store.read(name).generation for name in names(store)} == generations


def test_a_version_never_changes(place: Place, tmp_path: Path) -> None:
    store, first, second = place.open(), release(tmp_path), release(tmp_path, weights=b"others!")
    publish(first, store)
    with pytest.raises(PublishRefused, match="exists already with other content"):
        publish(second, store)
    assert assert_whole(store, "1.0.0", tmp_path / "cache") == first.sha256


class _Killed(BaseException):
    pass


def killed_after(files: int, new: Release, store: Store) -> None:
    """Publish until so many files are written, and stop as if killed."""
    left = files

    def die(_: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise _Killed

    with pytest.raises(_Killed):
        publish(new, store, die)


@pytest.mark.parametrize("files", [1, 2, 4])
def test_what_was_cut_off_is_invisible_and_completed_by_doing_it_again(
    place: Place, tmp_path: Path, files: int
) -> None:
    store, new = place.open(), release(tmp_path)
    killed_after(files, new, store)
    assert list_versions(store) == {}
    with pytest.raises(NotFound):
        open_version(store, "1.0.0", cache=tmp_path / "cache")
    assert publish(new, store)
    assert assert_whole(store, "1.0.0", tmp_path / "cache") == new.sha256


def test_what_was_begun_is_not_mixed_with_other_content(place: Place, tmp_path: Path) -> None:
    store, first, second = place.open(), release(tmp_path), release(tmp_path, weights=b"others!")
    killed_after(1, first, store)
    before = {name: store.read(name).data for name in names(store)}
    with pytest.raises(PublishRefused, match=rf"delete .*/1\.0\.0/{CLAIM_FILE}"):
        publish(second, store)
    assert {name: store.read(name).data for name in names(store)} == before


def test_the_name_is_free_again_once_the_claim_is_deleted(tmp_path: Path) -> None:
    place = Place("local", str(tmp_path / "store"), "")
    store, first, second = place.open(), release(tmp_path), release(tmp_path, weights=b"others!")
    killed_after(2, first, store)
    (tmp_path / "store/1.0.0" / CLAIM_FILE).unlink()
    assert publish(second, store)
    assert assert_whole(store, "1.0.0", tmp_path / "cache") == second.sha256


def test_a_slow_publisher_cannot_spoil_what_a_faster_one_published(place: Place, tmp_path: Path) -> None:
    # The slow one has claimed the name and halts before each of its files while the other one publishes.
    store, slow, fast = place.open(), release(tmp_path), release(tmp_path, weights=b"others!")
    refused = 0

    def meanwhile(_: int) -> None:
        nonlocal refused
        with pytest.raises(PublishRefused):
            publish(fast, place.open())
        refused += 1

    publish(slow, store, meanwhile)
    assert refused == 4
    assert assert_whole(store, "1.0.0", tmp_path / "cache") == slow.sha256


def test_the_answer_to_the_last_write_is_lost(remote: Place, tmp_path: Path) -> None:
    assert remote.proxy is not None
    store, new, written = remote.open(), release(tmp_path), 0

    def trouble_at_the_end(size: int) -> None:
        nonlocal written
        written += size
        if written == new.size:
            # All attempts to write the manifest; that it is there is seen by reading it.
            remote.proxy.set("drop", times=3)

    assert publish(new, store, trouble_at_the_end)
    assert assert_whole(store, "1.0.0", tmp_path / "cache") == new.sha256


def test_a_store_that_goes_away_may_be_asked_again(remote: Place, tmp_path: Path) -> None:
    assert remote.proxy is not None
    store, new = remote.open(), release(tmp_path)
    with pytest.raises(StorageUnavailable):
        publish(new, store, lambda _: remote.proxy.set("refuse"))
    remote.proxy.set("pass")
    assert list_versions(store) == {}
    assert publish(new, store)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"other"), r"model\.onnx does not match its manifest"),
        (lambda folder: (folder / "model.onnx").unlink(), r"model\.onnx cannot be read"),
        (lambda folder: (folder / "manifest.json").unlink(), r"manifest\.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), r"manifest\.json is not valid"),
    ],
)
def test_a_bad_folder_is_refused(tmp_path: Path, damage: object, message: str) -> None:
    folder = release(tmp_path).folder
    damage(folder)  # type: ignore[operator]
    with pytest.raises(BundleError, match=message):
        open_release(folder)


def test_a_file_that_changes_while_it_is_published_is_not_sent(place: Place, tmp_path: Path) -> None:
    store, new = place.open(), release(tmp_path)
    (new.folder / "weights.safetensors").write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"weights\.safetensors does not match"):
        publish(new, store)
    assert "1.0.0/weights.safetensors" not in names(store)
    assert list_versions(store) == {}


def test_no_version_is_called_as_the_folder_of_the_channels(tmp_path: Path) -> None:
    store = Place("local", str(tmp_path / "store"), "").open()
    with pytest.raises(PublishRefused, match="channels"):
        publish(release(tmp_path, "channels"), store)


@pytest.fixture
def three(place: Place, tmp_path: Path) -> Store:
    """A store with 1.0.0, 2.0.0 and 3.0.0, and no channel."""
    store = place.open()
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        publish(release(tmp_path, version, weights=version.encode()), store)
    return store


def test_promoted_and_rolled_back(three: Store, tmp_path: Path) -> None:
    moves = [promote(three, "stable", version) for version in ("1.0.0", "2.0.0", "3.0.0")]
    assert [(move.before.version if move.before else None, move.now.version) for move in moves] == [
        (None, "1.0.0"),
        ("1.0.0", "2.0.0"),
        ("2.0.0", "3.0.0"),
    ]
    assert open_bundle(three.uri, cache=tmp_path / "cache").manifest.version == "3.0.0"
    assert rollback(three, "stable").now.version == "2.0.0"
    # Further back, and not to where it came from.
    assert rollback(three, "stable").now.version == "1.0.0"
    assert open_bundle(three.uri, cache=tmp_path / "cache").manifest.version == "1.0.0"
    with pytest.raises(PublishRefused, match=r"remembers no version before 1\.0\.0"):
        rollback(three, "stable")
    assert promote(three, "stable", "3.0.0").before == moves[0].now


def test_to_promote_what_is_served_changes_nothing(three: Store) -> None:
    promote(three, "stable", "1.0.0")
    promote(three, "stable", "2.0.0")
    move = promote(three, "stable", "2.0.0")
    assert move.before == move.now
    assert rollback(three, "stable").now.version == "1.0.0"


def test_channels_are_independent(three: Store) -> None:
    promote(three, "stable", "1.0.0")
    promote(three, "canary", "2.0.0")
    assert list_versions(three) == {"1.0.0": ["stable"], "2.0.0": ["canary"], "3.0.0": []}
    with pytest.raises(PublishRefused, match="'beta'"):
        rollback(three, "beta")


def test_a_channel_from_before_there_was_a_history(three: Store) -> None:
    promote(three, "stable", "1.0.0")
    document = json.loads(three.read("channels/stable.json").data)
    del document["previous"]
    three.write("channels/stable.json", json.dumps(document).encode())
    assert read_channel(three, "stable").previous == ()
    promote(three, "stable", "2.0.0")
    assert rollback(three, "stable").now.version == "1.0.0"


def test_the_history_ends_somewhere(tmp_path: Path) -> None:
    store = Place("local", str(tmp_path / "store"), "").open()
    for version in ("1", "2"):
        publish(release(tmp_path, version, weights=version.encode()), store)
    for _ in range(HISTORY):
        promote(store, "stable", "1")
        promote(store, "stable", "2")
    assert len(read_channel(store, "stable").previous) == HISTORY


def test_a_version_that_is_not_whole_is_not_promoted(three: Store) -> None:
    promote(three, "stable", "1.0.0")
    promote(three, "stable", "2.0.0")
    three.write("3.0.0/weights.safetensors", b"3.0.1")
    with pytest.raises(BundleError, match=r"3\.0\.0/weights\.safetensors does not match"):
        promote(three, "stable", "3.0.0")
    with pytest.raises(NotFound, match=r"4\.0\.0"):
        promote(three, "stable", "4.0.0")
    three.write("1.0.0/manifest.json", three.read("1.0.0/manifest.json").data + b"\n")
    with pytest.raises(BundleError, match="is not the manifest that channel 'stable' names"):
        rollback(three, "stable")
    assert read_channel(three, "stable").version == "2.0.0"


def test_what_lies_in_the_cache_does_not_stand_in_for_the_store(
    three: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_whole(three, "1.0.0", tmp_path / "cache")
    monkeypatch.setenv("PLANT_MODEL_CACHE", str(tmp_path / "cache"))
    three.write("1.0.0/model.onnx", b"GRAPH")
    with pytest.raises(BundleError):
        promote(three, "stable", "1.0.0")


@pytest.mark.parametrize("there_before", [False, True])
def test_of_two_who_promote_at_once_neither_is_lost(place: Place, three: Store, there_before: bool) -> None:
    if there_before:
        promote(three, "stable", "1.0.0")
    barrier = Barrier(2)

    def move(version: str) -> str | None:
        at_the_end = False

        def together(_: int) -> None:
            nonlocal at_the_end
            if not at_the_end:
                at_the_end = True
                barrier.wait()

        try:
            return promote(place.open(), "stable", version, together).now.version
        except PublishRefused as error:
            assert "Somebody else moved channel 'stable'" in str(error)
            return None

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(move, ("2.0.0", "3.0.0")))
    (winner,) = [version for version in done if version]
    channel = read_channel(three, "stable")
    assert channel.version == winner
    assert [pointer.version for pointer in channel.previous] == ["1.0.0"][:there_before]


def test_the_answer_to_a_move_is_lost(remote: Place, tmp_path: Path) -> None:
    assert remote.proxy is not None
    store, new = remote.open(), release(tmp_path)
    publish(new, store)
    fetched = 0

    def trouble_at_the_end(size: int) -> None:
        nonlocal fetched
        fetched += size
        if fetched == sum(file.size for file in new.manifest.files.values()):
            remote.proxy.set("drop", times=3)

    assert promote(store, "stable", "1.0.0", trouble_at_the_end).now.version == "1.0.0"
    assert read_channel(store, "stable").version == "1.0.0"


@pytest.mark.parametrize("channel", ["a/b", "../stable", "", "x" * 65, "stable.json"])
def test_what_cannot_name_a_channel(tmp_path: Path, channel: str) -> None:
    store = Place("local", str(tmp_path / "store"), "").open()
    for move in (lambda: promote(store, channel, "1.0.0"), lambda: rollback(store, channel)):
        with pytest.raises(BundleError, match="cannot name a channel"):
            move()
