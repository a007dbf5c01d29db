"""The three faces of each function, each in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import boto3
import httpx
import pytest

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
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


@pytest.fixture
def unharmed(server: processes.Process) -> Iterator[None]:
    """Whatever was done to the module's server, it serves the next one, and has noticed nothing to look at."""
    before = len(server.log())
    yield
    answer = httpx.post(
        f"{server.url}/predict", content=leaf(), headers={"content-type": "image/jpeg"}, trust_env=False
    )
    assert answer.status_code == 200
    assert "ERROR" not in server.log()[before:]
    assert "Traceback" not in server.log()[before:]


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


@pytest.fixture(scope="module")
def key_store(tmp_path_factory: pytest.TempPathFactory) -> KeyStore:
    """Where keys may be made, with a plan that sets no limit."""
    store = KeyStore(str(tmp_path_factory.mktemp("keys") / "keys.json"))
    keys.define_plan(store, "free", Plan())
    return store


Faces = Callable[[str, str], Face]

_STARTED = {
    "uvicorn": processes.uvicorn,
    "functions-framework": processes.functions_framework,
    "lambda": processes.lambda_emulator,
}


@pytest.fixture(scope="session")
def faces(folder: Path, uploads: Path) -> Iterator[Faces]:
    """Any face of any function; started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def started(function: str, kind: str) -> Face:
            process = stack.enter_context(_STARTED[kind](folder, function, PLANT_UPLOADS_URI=str(uploads)))
            return Lambda(process) if kind == "lambda" else Http(process)

        yield started


@pytest.fixture(scope="session")
def uvicorn_face(faces: Faces) -> Face:
    """Predict behind uvicorn."""
    return faces("predict", "uvicorn")


@pytest.fixture(scope="session")
def lambda_process(faces: Faces) -> processes.Process:
    """Predict in the Lambda emulator."""
    return faces("predict", "lambda").process


@pytest.fixture(params=_STARTED)
def kind(request: pytest.FixtureRequest) -> str:
    """Each of the three faces that a function has."""
    return str(request.param)


@pytest.fixture
def face(faces: Faces, kind: str) -> Face:
    """Each face of predict."""
    return faces("predict", kind)


@pytest.fixture(params=["predict", "explain"])
def function(request: pytest.FixtureRequest) -> str:
    """Each function that takes a photo of one plant; it answers at the path of its name."""
    return str(request.param)


@pytest.fixture
def any_face(faces: Faces, function: str, kind: str) -> Face:
    """Each face of each function."""
    return faces(function, kind)


@pytest.fixture(scope="session")
def s3_face(folder: Path, moto_url: str) -> Iterator[Http]:
    """All functions behind uvicorn, with the uploads in a bucket."""
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
    with processes.serve(
        folder, PLANT_UPLOADS_URI="s3://leaf-uploads/in", AWS_ENDPOINT_URL_S3=moto_url, **AWS
    ) as process:
        yield Http(process)
