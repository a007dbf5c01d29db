import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plant_disease.bundle import list_versions, open_bundle
from plant_disease.errors import BundleError, NotFound
from plant_disease.storage import open_store
from tests.bundles import point_channel, write_bundle


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    write_bundle(folder, "1.0.0")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_the_channel_decides_unless_a_version_is_pinned(models: Path, cache: Path) -> None:
    write_bundle(models, "2.0.0")
    assert open_bundle(str(models), cache=cache).manifest.version == "2.0.0"
    assert open_bundle(str(models), version="1.0.0", cache=cache).manifest.version == "1.0.0"
    point_channel(models, "1.0.0", "canary")
    assert open_bundle(str(models), channel="canary", cache=cache).manifest.version == "1.0.0"


def test_a_bundle_is_identified_by_its_manifest(models: Path, cache: Path) -> None:
    raw = (models / "1.0.0/manifest.json").read_bytes()
    assert open_bundle(str(models), cache=cache).sha256 == hashlib.sha256(raw).hexdigest()


def test_only_what_is_asked_for_is_fetched_and_nothing_else_is_left(models: Path, cache: Path) -> None:
    path = open_bundle(str(models), cache=cache).fetch("model.onnx")
    assert path.read_bytes() == (models / "1.0.0/model.onnx").read_bytes()
    assert files_in(cache) == {"model.onnx"}


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "empty"])
def test_a_file_that_is_not_what_the_manifest_says_is_refused(models: Path, cache: Path, damage: str) -> None:
    victim = models / "1.0.0/model.onnx"
    good = victim.read_bytes()
    bad = {
        "flip": good[:100] + bytes([good[100] ^ 1]) + good[101:],
        "cut": good[:-1],
        "grow": good + b"x",
        "empty": b"",
    }[damage]
    victim.write_bytes(bad)
    bundle = open_bundle(str(models), cache=cache)
    with pytest.raises(BundleError, match=r"model\.onnx does not match its manifest"):
        bundle.fetch("model.onnx")
    assert files_in(cache) == set()
    victim.write_bytes(good)
    assert bundle.fetch("model.onnx").read_bytes() == good


def test_a_damaged_cache_is_replaced(models: Path, cache: Path) -> None:
    bundle = open_bundle(str(models), cache=cache)
    path = bundle.fetch("model.onnx")
    good = path.read_bytes()
    path.write_bytes(good[:-5] + b"wrong")
    assert bundle.fetch("model.onnx").read_bytes() == good


def test_a_good_cache_needs_no_store(models: Path, cache: Path) -> None:
    bundle = open_bundle(str(models), cache=cache)
    bundle.fetch("model.onnx")
    (models / "1.0.0/model.onnx").unlink()
    assert bundle.fetch("model.onnx").is_file()
    with pytest.raises(NotFound):
        (models / "1.0.0/weights.safetensors").unlink()
        bundle.fetch("weights.safetensors")


def test_many_threads_and_processes_fetch_at_the_same_time(models: Path, cache: Path) -> None:
    bundle = open_bundle(str(models), cache=cache)
    with ThreadPoolExecutor(16) as threads:
        paths = set(threads.map(lambda _: bundle.fetch("model.onnx"), range(16)))
    assert len(paths) == 1
    program = (
        "import sys; from pathlib import Path; from plant_disease.bundle import open_bundle;"
        "print(open_bundle(sys.argv[1], cache=Path(sys.argv[2])).fetch('weights.safetensors'))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(models), str(cache)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    outputs = {process.communicate(timeout=60)[0] for process in running}
    assert all(process.returncode == 0 for process in running)
    assert len(outputs) == 1
    assert files_in(cache) == {"model.onnx", "weights.safetensors"}


def test_a_channel_that_names_another_manifest_is_refused(models: Path, cache: Path) -> None:
    path = models / "1.0.0/manifest.json"
    path.write_text(path.read_text().replace('"name":"test"', '"name":"evil"'))
    with pytest.raises(BundleError, match="sha256 differs"):
        open_bundle(str(models), cache=cache)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("1.0.0/manifest.json", "{", "is not valid"),
        ("1.0.0/manifest.json", '{"name": "x"}', "version"),
        ("channels/stable.json", "[]", "is not valid"),
        ("channels/stable.json", '{"version": "../..", "manifest_sha256": "x"}', "version"),
    ],
)
def test_malformed_documents_are_refused(models: Path, cache: Path, name: str, text: str, message: str) -> None:
    (models / name).write_text(text)
    pinned = "1.0.0" if name.startswith("1") else None
    with pytest.raises(BundleError, match=message):
        open_bundle(str(models), version=pinned, cache=cache)


def test_what_is_missing_is_named(models: Path, cache: Path) -> None:
    with pytest.raises(NotFound, match=r"9\.9\.9"):
        open_bundle(str(models), version="9.9.9", cache=cache)
    with pytest.raises(NotFound, match="'beta'"):
        open_bundle(str(models), channel="beta", cache=cache)
    with pytest.raises(BundleError, match=r"no secrets\.txt"):
        open_bundle(str(models), cache=cache).fetch("secrets.txt")


def test_a_manifest_of_another_version_is_refused(models: Path, cache: Path) -> None:
    (models / "1.0.0").rename(models / "3.0.0")
    with pytest.raises(BundleError, match=r"says that it is version 1\.0\.0"):
        open_bundle(str(models), version="3.0.0", cache=cache)


def test_a_store_uri_that_is_malformed_is_an_error_for_people(cache: Path) -> None:
    with pytest.raises(BundleError, match="gs://"):
        open_bundle("ftp://host/models", cache=cache)


def test_versions_are_listed_with_their_channels(models: Path) -> None:
    write_bundle(models, "2.0.0")
    point_channel(models, "1.0.0", "old")
    assert list_versions(open_store(str(models))) == {"1.0.0": ["old"], "2.0.0": ["stable"]}


@pytest.mark.parametrize("version", ["../1.0.0", "a/b", "", "x" * 65])
def test_what_cannot_name_a_version_is_refused(models: Path, cache: Path, version: str) -> None:
    with pytest.raises(BundleError, match="cannot name a version"):
        open_bundle(str(models), version=version, cache=cache)


def test_the_cache_is_for_this_user_alone(models: Path, cache: Path) -> None:
    folder = open_bundle(str(models), cache=cache).fetch("model.onnx").parent
    assert [path.stat().st_mode & 0o777 for path in (cache, folder)] == [0o700, 0o700]


def test_a_cache_that_cannot_be_written_is_an_error_for_people(models: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(BundleError, match="PLANT_MODEL_CACHE"):
        open_bundle(str(models), cache=blocked).fetch("model.onnx")
