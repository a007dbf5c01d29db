"""What only a folder can get wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plant_disease.errors import NotFound, PermissionDenied, StorageError, StorageUnavailable
from plant_disease.storage import ABSENT, Entry, local, open_store

INCREMENT = """
import sys
from plant_disease.errors import PreconditionFailed
from plant_disease.storage import open_store
store = open_store(sys.argv[1])
for _ in range(25):
    while True:
        blob = store.read("folder/counter")
        try:
            store.write("folder/counter", str(int(blob.data) + 1).encode(), if_generation=blob.generation)
            break
        except PreconditionFailed:
            continue
"""


def test_processes_lose_no_update(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("folder/counter", b"0", if_generation=ABSENT)
    # Nested stores meet at the same file, and must meet at the same lock.
    processes = [
        subprocess.Popen([sys.executable, "-c", INCREMENT.replace("folder/counter", name), uri])
        for uri, name in [(str(tmp_path), "folder/counter"), (str(tmp_path / "folder"), "counter")]
        for _ in range(2)
    ]
    assert [process.wait(30) for process in processes] == [0, 0, 0, 0]
    assert store.read("folder/counter").data == b"100"
    assert list(store.list()) == [Entry("folder/counter", 3)]


def test_file_uri(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    open_store(folder.as_uri()).write("a", b"1")
    assert (folder / "a").read_bytes() == b"1"


def test_relative_path_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("models")
    store.write("a", b"1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.read("a").data == b"1"
    assert store.uri == "models"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path))
    store.write("a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        store.write("a", b"new")
    assert store.read("a").data == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".plant-disease-lock", "a"]


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    open_store(str(tmp_path)).write("a", b"1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_links_that_lead_out(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    store = open_store(str(root))
    for name in ("file", "folder/secret"):
        with pytest.raises(PermissionDenied, match="leads out"):
            store.read(name)
        with pytest.raises(PermissionDenied, match="leads out"):
            store.write(name, b"1")
        with pytest.raises(PermissionDenied, match="leads out"):
            store.download(name, tmp_path / "target")
    assert list(store.list()) == []
    with pytest.raises(StorageError):
        store.read("loop")


def test_links_inside_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "keys.json").write_bytes(b"1")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    assert open_store(str(tmp_path)).read("keys.json").data == b"1"
    assert Entry("keys.json", 1) in list(open_store(str(tmp_path)).list())


def test_a_file_where_a_folder_must_be(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("a", b"1")
    store.write("b/c", b"1")
    with pytest.raises(NotFound):
        store.read("a/b")
    with pytest.raises(NotFound):
        store.read("b")
    for name in ("a/b", "b"):
        with pytest.raises(StorageError, match="a file is where a folder must be"):
            store.write(name, b"1")


def test_a_lock_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LOCK_TIMEOUT_S", 0.1)
    store = open_store(str(tmp_path))
    with local._locked(tmp_path), pytest.raises(StorageUnavailable, match=r"locked for 0\.1 s"):
        store.write("a", b"1")
    store.write("a", b"1")
    assert store.read("a").data == b"1"


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As root nothing is forbidden, so the system call is made to say no.
    def forbidden(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    store = open_store(str(tmp_path))
    store.write("a", b"1")
    monkeypatch.setattr("io.open", forbidden)
    with pytest.raises(PermissionDenied, match="Permission denied"):
        store.read("a")
