"""What the answers of S3 and Cloud Storage mean, where no emulator gives them."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plant_disease.errors import (
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    StorageError,
    StorageUnavailable,
    WrongRegion,
)
from plant_disease.storage import ABSENT, Entry, Store, open_store
from tests.servers import Answer, ScriptedServer
from tests.storage.conftest import QUICK

SECRETS = ("AKIDEXAMPLE", "not-a-secret", "Signature", "<Error>")


def s3_error(code: str, extra: str = "") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>AKIDEXAMPLE</Message>{extra}</Error>".encode()


@pytest.fixture(params=["s3", "gs"])
def open_at(request: pytest.FixtureRequest, aws_environment: pytest.MonkeyPatch) -> Callable[[ScriptedServer], Store]:
    """Opens a store of each remote kind at a server."""

    def open_at(server: ScriptedServer) -> Store:
        aws_environment.setenv("AWS_ENDPOINT_URL", server.url)
        aws_environment.setenv("STORAGE_EMULATOR_HOST", server.url)
        return open_store(f"{request.param}://photos/prefix", limits=QUICK)

    return open_at


@pytest.mark.parametrize(
    ("status", "meaning", "attempts"),
    [
        (400, StorageError, 1),
        (401, PermissionDenied, 1),
        (403, PermissionDenied, 1),
        (412, PreconditionFailed, 1),
        (408, StorageUnavailable, 3),
        (429, StorageUnavailable, 3),
        (500, StorageUnavailable, 3),
        (502, StorageUnavailable, 3),
        (503, StorageUnavailable, 3),
    ],
)
def test_statuses(
    open_at: Callable[[ScriptedServer], Store], status: int, meaning: type[StorageError], attempts: int, tmp_path: Path
) -> None:
    with ScriptedServer(Answer(status, s3_error("Whatever"))) as server:
        store = open_at(server)
        for use in (
            lambda: store.read("a"),
            lambda: store.download("a", tmp_path / "target"),
            lambda: list(store.list()),
            lambda: store.write("a", b"1"),
        ):
            server.requests.clear()
            with pytest.raises(StorageError, match="://photos/prefix") as caught:
                use()
            assert type(caught.value) is meaning
            assert len(server.requests) == attempts
            assert not any(secret in str(caught.value) for secret in SECRETS)


def test_overload_that_passes(open_at: Callable[[ScriptedServer], Store]) -> None:
    with ScriptedServer(Answer(503), Answer(429), Answer(200, b"leaf", {"ETag": '"1"'})) as server:
        assert open_at(server).read("a").data == b"leaf"
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "answer",
    [
        Answer(301, s3_error("PermanentRedirect"), {"x-amz-bucket-region": "ap-south-1"}),
        Answer(400, s3_error("AuthorizationHeaderMalformed", "<Region>ap-south-1</Region>")),
        Answer(400, s3_error("IllegalLocationConstraintException"), {"x-amz-bucket-region": "ap-south-1"}),
    ],
    ids=["redirect", "signature", "opt-in region"],
)
def test_wrong_region(aws_environment: pytest.MonkeyPatch, answer: Answer) -> None:
    with ScriptedServer(answer) as server:
        aws_environment.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(WrongRegion, match="Set AWS_DEFAULT_REGION=ap-south-1"):
            open_store("s3://photos", limits=QUICK).read("a")
        # boto3 itself follows once to the region named; we do not try again on top of that.
        assert len(server.requests) <= 2


@pytest.mark.parametrize(
    ("answer", "meaning", "attempts"),
    [
        (Answer(400, s3_error("ExpiredToken")), PermissionDenied, 1),
        (Answer(400, s3_error("RequestTimeout")), StorageUnavailable, 3),
        (Answer(409, s3_error("ConditionalRequestConflict")), PreconditionFailed, 1),
        (Answer(409, s3_error("OperationAborted")), StorageUnavailable, 3),
        (Answer(404, s3_error("NoSuchBucket")), NotFound, 1),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else None,
)
def test_codes_of_s3(
    aws_environment: pytest.MonkeyPatch, answer: Answer, meaning: type[StorageError], attempts: int
) -> None:
    with ScriptedServer(answer) as server:
        aws_environment.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(StorageError) as caught:
            open_store("s3://photos", limits=QUICK).write("a", b"1", if_generation=ABSENT)
        assert type(caught.value) is meaning
        assert len(server.requests) == attempts


def test_a_body_that_does_not_match_its_checksum(open_at: Callable[[ScriptedServer], Store]) -> None:
    headers = {
        "ETag": '"1"',
        "x-amz-checksum-crc32c": "AAAAAA==",
        "x-amz-checksum-crc32": "AAAAAA==",
        "X-Goog-Hash": "crc32c=AAAAAA==",
    }
    with ScriptedServer(Answer(200, b"leaf", headers)) as server:
        with pytest.raises(StorageUnavailable):
            open_at(server).read("a")
        assert len(server.requests) == 3


def test_gcs_lists_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    json = {"Content-Type": "application/json"}
    first = b'{"items": [{"name": "p/a", "size": "1"}, {"name": "p/folder/", "size": "0"}], "nextPageToken": "T"}'
    with ScriptedServer(
        Answer(200, first, json),
        Answer(503),
        Answer(200, b'{"nextPageToken": "U"}', json),
        Answer(200, b'{"items": [{"name": "p/b", "size": "2"}]}', json),
    ) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        assert list(open_store("gs://photos/p", limits=QUICK).list()) == [Entry("a", 1), Entry("b", 2)]
        assert ["pageToken=T" in each for each in server.requests] == [False, True, True, False]
        assert "pageToken=U" in server.requests[3]


def test_s3_lists_page_by_page(aws_environment: pytest.MonkeyPatch) -> None:
    def page(key: str, token: str) -> bytes:
        return (
            f"<ListBucketResult><Contents><Key>{key}</Key><Size>1</Size></Contents>{token}</ListBucketResult>".encode()
        )

    with ScriptedServer(
        Answer(200, page("p/a", "<NextContinuationToken>T</NextContinuationToken>")),
        Answer(503),
        Answer(200, page("p/b", "")),
    ) as server:
        aws_environment.setenv("AWS_ENDPOINT_URL", server.url)
        assert list(open_store("s3://photos/p", limits=QUICK).list()) == [Entry("a", 1), Entry("b", 1)]
        assert ["continuation-token=T" in each for each in server.requests] == [False, True, True]


def test_gcs_object_that_may_not_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(Answer(404), Answer(403)) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        with pytest.raises(NotFound, match="There is no gs://photos/a"):
            open_store("gs://photos", limits=QUICK).read("a")


def test_s3_without_credentials(aws_environment: pytest.MonkeyPatch) -> None:
    aws_environment.delenv("AWS_ACCESS_KEY_ID")
    aws_environment.delenv("AWS_SECRET_ACCESS_KEY")
    store = open_store("s3://photos", limits=QUICK)
    with pytest.raises(PermissionDenied, match="aws sts get-caller-identity"):
        store.read("a")
    aws_environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    aws_environment.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    with ScriptedServer(Answer(404, s3_error("NoSuchKey"))) as server:
        aws_environment.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(NotFound):
            open_store("s3://photos", limits=QUICK).read("a")


def test_gcs_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    store = open_store("gs://gcp-public-data-landsat", limits=replace(QUICK, attempt_s=10))
    for use in (lambda: store.read("a"), lambda: list(store.list()), lambda: store.write("a", b"1")):
        with pytest.raises(PermissionDenied, match="gcloud auth application-default login"):
            use()


def test_gcs_with_a_broken_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "private_key": "TOP-SECRET"}')
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    with pytest.raises(PermissionDenied) as caught:
        open_store("gs://photos", limits=QUICK).read("a")
    assert "TOP-SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "name"), [("s3://photos", "AWS_ENDPOINT_URL"), ("gs://photos", "STORAGE_EMULATOR_HOST")]
)
def test_an_endpoint_that_is_no_url(aws_environment: pytest.MonkeyPatch, uri: str, name: str) -> None:
    aws_environment.setenv(name, "nonsense" + os.sep)
    with pytest.raises(StorageError):
        open_store(uri, limits=QUICK).read("a")
