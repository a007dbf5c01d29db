"""Presigned PUTs: that they write, and that nothing else can be done with them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from plant_disease.errors import PermissionDenied
from plant_disease.storage import SignedPut, SignsPuts, Store, open_store
from tests import service_accounts
from tests.signatures import accepted_by_gcs, accepted_by_s3, put
from tests.storage.conftest import QUICK, Place

SECRET = "not-a-secret"
PHOTO = b"\xff\xd8\xff a leaf"


def signed(store: Store, name: str = "a b/grün.jpg", *, size: int = len(PHOTO)) -> SignedPut:
    assert isinstance(store, SignsPuts)
    return store.presign_put(name, content_type="image/jpeg", size=size, expires_s=60)


def send(url: str, headers: dict[str, str], data: bytes = PHOTO) -> requests.Response:
    return requests.put(url, headers=headers, data=data, timeout=10)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return service_accounts.new_key()


@pytest.fixture
def gcs(gcs_url: str, key: RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A bucket, and a service account with a key."""
    requests.post(f"{gcs_url}/storage/v1/b", json={"name": "signed-photos"}, timeout=5)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_accounts.key_file(tmp_path, key)))
    return open_store("gs://signed-photos/in", limits=QUICK)


def test_s3_takes_one_photo(make_place: Callable[..., Place]) -> None:
    store = make_place("s3").open()
    allowed = signed(store)
    assert send(allowed.url, allowed.headers).status_code == 200
    assert store.read("a b/grün.jpg").data == PHOTO
    # Whoever gets hold of the URL later cannot put another photo there.
    assert send(allowed.url, allowed.headers, b"another!!!!!").status_code == 412
    assert store.read("a b/grün.jpg").data == PHOTO


def test_gcs_takes_a_photo(gcs: Store) -> None:
    allowed = signed(gcs)
    assert send(allowed.url, allowed.headers).status_code == 200
    assert gcs.read("a b/grün.jpg").data == PHOTO


def test_a_folder_signs_nothing(tmp_path: Path) -> None:
    assert not isinstance(open_store(str(tmp_path)), SignsPuts)


def assert_bound(allowed: SignedPut, accepted: Callable[..., bool], *, size_header: str | None) -> None:
    """Only the very request that was signed is accepted, and only in time."""
    assert accepted(put(allowed.url, allowed.headers, PHOTO))
    path = urlsplit(allowed.url).path
    wrong = [
        put(allowed.url, {**allowed.headers, "Content-Type": "text/html"}, PHOTO),
        put(allowed.url.replace(path, f"{path[:-5]}x.jpg"), allowed.headers, PHOTO),
        put(allowed.url.replace("Expires=60", "Expires=600"), allowed.headers, PHOTO),
        *(put(allowed.url, {k: v for k, v in allowed.headers.items() if k != left}, PHOTO) for left in allowed.headers),
    ]
    if size_header:
        wrong.append(put(allowed.url, {**allowed.headers, size_header: "0,99999999"}, PHOTO))
    else:
        wrong += [put(allowed.url, allowed.headers, PHOTO + b"x"), put(allowed.url, allowed.headers, PHOTO[:-1])]
    assert [accepted(each) for each in wrong] == [False] * len(wrong)
    wrong_method = put(allowed.url, allowed.headers, PHOTO)
    wrong_method.method = "DELETE"
    assert not accepted(wrong_method)
    now = datetime.now(UTC)
    assert accepted(put(allowed.url, allowed.headers, PHOTO), at=now + timedelta(seconds=50))
    assert not accepted(put(allowed.url, allowed.headers, PHOTO), at=now + timedelta(seconds=61))


def test_s3_binds_type_and_size_and_time(make_place: Callable[..., Place]) -> None:
    def accepted(request: requests.PreparedRequest, at: datetime | None = None) -> bool:
        return accepted_by_s3(request, SECRET, at=at)

    assert_bound(signed(make_place("s3").open()), accepted, size_header=None)


def test_gcs_binds_type_and_size_and_time(gcs: Store, key: RSAPrivateKey) -> None:
    def accepted(request: requests.PreparedRequest, at: datetime | None = None) -> bool:
        return accepted_by_gcs(request, key.public_key(), at=at)

    allowed = signed(gcs)
    assert_bound(allowed, accepted, size_header="x-goog-content-length-range")
    assert allowed.headers["x-goog-content-length-range"] == f"{len(PHOTO)},{len(PHOTO)}"


@pytest.mark.parametrize(
    ("bucket", "region", "start"),
    [
        ("photos", "eu-west-1", "https://photos.s3.eu-west-1.amazonaws.com/in/1.jpg?"),
        ("photos", "us-east-1", "https://photos.s3.us-east-1.amazonaws.com/in/1.jpg?"),
        ("photos", "cn-north-1", "https://photos.s3.cn-north-1.amazonaws.com.cn/in/1.jpg?"),
        ("pho.tos", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/pho.tos/in/1.jpg?"),
    ],
)
def test_s3_signs_for_the_host_of_the_region(
    aws_environment: pytest.MonkeyPatch, bucket: str, region: str, start: str
) -> None:
    # The host without a region redirects, and no signature survives that.
    aws_environment.setenv("AWS_DEFAULT_REGION", region)
    allowed = signed(open_store(f"s3://{bucket}/in", limits=QUICK), "1.jpg")
    assert allowed.url.startswith(start)
    assert f"%2F{region}%2Fs3%2Faws4_request" in allowed.url
    assert accepted_by_s3(put(allowed.url, allowed.headers, PHOTO), SECRET)


def test_s3_with_the_credentials_of_a_role(aws_environment: pytest.MonkeyPatch) -> None:
    aws_environment.setenv("AWS_SESSION_TOKEN", "of+the/role")
    allowed = signed(open_store("s3://photos", limits=QUICK))
    assert "X-Amz-Security-Token=of%2Bthe%2Frole" in allowed.url
    assert accepted_by_s3(put(allowed.url, allowed.headers, PHOTO), SECRET)


def test_s3_without_credentials(aws_environment: pytest.MonkeyPatch) -> None:
    aws_environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(PermissionDenied):
        signed(open_store("s3://photos", limits=QUICK))


def test_gcs_with_the_credentials_of_a_person(gcs_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person = {"type": "authorized_user", "client_id": "a", "client_secret": "SECRET", "refresh_token": "SECRET"}
    (tmp_path / "person.json").write_text(json.dumps(person))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "person.json"))
    with pytest.raises(PermissionDenied, match="service account") as caught:
        signed(open_store("gs://photos", limits=QUICK))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "../a", "a//b", "/a"])
def test_names_are_checked(place: Place, name: str) -> None:
    store = place.open()
    if isinstance(store, SignsPuts):
        with pytest.raises(ValueError, match="cannot name an object"):
            store.presign_put(name, content_type="image/jpeg", size=1, expires_s=60)


SIGN = """
import json, sys
from plant_disease.errors import StorageError
from plant_disease.storage import Limits, open_store
store = open_store("gs://photos/in", limits=Limits(attempts=1))
try:
    allowed = store.presign_put("1.jpg", content_type="image/jpeg", size=int(sys.argv[1]), expires_s=60)
    print(json.dumps([allowed.url, allowed.headers]))
except StorageError as error:
    print(json.dumps(type(error).__name__ + ": " + str(error)))
"""


def test_gcs_has_iam_sign_where_there_is_no_key(key: RSAPrivateKey, tmp_path: Path) -> None:
    # As on Cloud Run. In a process of its own: Google's library reads where the metadata are when it is imported.
    inherited = {k: v for k, v in os.environ.items() if k.lower() not in ("http_proxy", "https_proxy", "no_proxy")}
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "NO_GCE_CHECK"):
        inherited.pop(name, None)

    def run() -> object:
        command = [sys.executable, "-c", SIGN, str(len(PHOTO))]
        environment = {**inherited, **machine.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with service_accounts.machine(tmp_path, key) as machine:
        answer = run()
        assert isinstance(answer, list), answer
        url, headers = answer
        assert url.startswith("https://storage.googleapis.com/photos/in/1.jpg?")
        assert accepted_by_gcs(put(url, headers, PHOTO), key.public_key())
        ((path, asked),) = machine.asked
        assert path.startswith(f"/v1/projects/-/serviceAccounts/{service_accounts.EMAIL}:signBlob")
        assert asked["authorization"] == f"Bearer {service_accounts.TOKEN}"
        machine.refuses = True
        refused = str(run())
        assert refused.startswith("StorageUnavailable")
        assert "roles/iam.serviceAccountTokenCreator" in refused
        assert service_accounts.TOKEN not in refused
