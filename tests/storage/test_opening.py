"""From a URI to a store, and what is not imported on the way."""

import subprocess
import sys

import pytest

from plant_disease.storage import open_store


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://example.com/a",
        "s3://",
        "gs:///prefix",
        "s3://UPPER",
        "s3://b",
        "gs://photos/../other",
        "gs://photos//a",
        "s3://photos/.plant-disease-x",
        "file://host/a",
        "file://",
        "file:///a?b",
    ],
)
def test_malformed(uri: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        open_store(uri)


def test_a_secret_in_a_uri_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="bucket name") as caught:
        open_store("s3://AKID:hunter2@photos/prefix")
    assert "hunter2" not in str(caught.value)


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout


def test_no_sdk_is_imported_for_nothing() -> None:
    code = """
import sys, plant_disease.storage as storage
storage.open_store("/tmp")
sdks = ("boto", "google.cloud.", "google.auth", "requests", "urllib3")
print(sorted(name for name in sys.modules if name.startswith(sdks)))
"""
    assert python(code) == "[]\n"


@pytest.mark.parametrize(
    ("uri", "module", "extra"), [("s3://photos", "boto3", "aws"), ("gs://photos", "google", "gcp")]
)
def test_missing_extra(uri: str, module: str, extra: str) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be imported.
    code = f"""
import sys
sys.modules[{module!r}] = None
from plant_disease.errors import StorageError
from plant_disease.storage import open_store
try:
    open_store({uri!r})
except StorageError as error:
    print(error)
"""
    assert python(code).strip().endswith(f'is missing): pip install "plant-disease-detector[{extra}]"')


@pytest.mark.parametrize("uri", ["s3://photos/a", "gs://photos/a"])
def test_opening_connects_to_nothing(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr("socket.socket.connect", forbidden)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    assert open_store(uri).uri == uri
