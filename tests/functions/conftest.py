"""The three faces of predict, each in a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.functions import processes
from tests.functions.faces import Face, Http, Lambda
from tests.functions.photos import leaf
from tests.servers import REGION

AWS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(autouse=True)
def _logs_of_servers() -> Iterator[None]:
    """Print what the servers logged during a test; pytest shows it if the test fails."""
    before = {process: len(process.log()) for process in processes.running}
    yield
    for process in processes.running:
        print(f"--- {process.url}\n{process.log()[before.get(process, 0) :]}")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For logs."""
    return tmp_path_factory.mktemp("functions")


@pytest.fixture(scope="session")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PLANT_UPLOADS_URI of the faces, with a leaf.jpg in it."""
    uploads = tmp_path_factory.mktemp("uploads")
    (uploads / "leaf.jpg").write_bytes(leaf())
    return uploads


@pytest.fixture(scope="session")
def uvicorn_face(folder: Path, uploads: Path) -> Iterator[Http]:
    """Behind uvicorn."""
    with processes.uvicorn(folder, PLANT_UPLOADS_URI=str(uploads)) as process:
        yield Http(process)


@pytest.fixture(scope="session")
def framework_face(folder: Path, uploads: Path) -> Iterator[Http]:
    """Behind the Functions Framework."""
    with processes.functions_framework(folder, PLANT_UPLOADS_URI=str(uploads)) as process:
        yield Http(process)


@pytest.fixture(scope="session")
def lambda_process(folder: Path, uploads: Path) -> Iterator[processes.Process]:
    """In the Lambda emulator."""
    with processes.lambda_emulator(folder, PLANT_UPLOADS_URI=str(uploads)) as process:
        yield process


@pytest.fixture(params=["uvicorn", "functions-framework", "lambda"])
def face(request: pytest.FixtureRequest) -> Face:
    """Each of the three."""
    if request.param == "lambda":
        return Lambda(request.getfixturevalue("lambda_process"))
    fixture = {"uvicorn": "uvicorn_face", "functions-framework": "framework_face"}[request.param]
    http: Http = request.getfixturevalue(fixture)
    return http


@pytest.fixture(scope="session")
def s3_face(folder: Path, moto_url: str) -> Iterator[Http]:
    """Behind uvicorn, with the uploads in a bucket."""
    client = boto3.client(
        "s3",
        endpoint_url=moto_url,
        region_name=REGION,
        aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
    )
    location = {"LocationConstraint": REGION}
    client.create_bucket(Bucket="leaf-uploads", CreateBucketConfiguration=location)  # type: ignore[arg-type]
    client.put_object(Bucket="leaf-uploads", Key="in/leaf.jpg", Body=leaf())
    client.put_object(Bucket="leaf-uploads", Key="secret/leaf.jpg", Body=leaf())
    with processes.uvicorn(
        folder, PLANT_UPLOADS_URI="s3://leaf-uploads/in", AWS_ENDPOINT_URL_S3=moto_url, **AWS
    ) as process:
        yield Http(process)
