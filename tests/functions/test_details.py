"""`details=true` over HTTP: what each class named means for the plant."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from plant_disease.advice import advice_note, all_advice
from tests.bundles import point_channel
from tests.functions import processes
from tests.functions.faces import Face, Http
from tests.functions.photos import CLASS_ID, leaf
from tests.functions.processes import ROOT

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def schema(uvicorn_face: Http) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{uvicorn_face.process.url}/openapi.json")


def ask(face: Face, query: str) -> dict[str, Any]:
    answer = face.ask("POST", "/predict", content=leaf(), headers=JPEG, query=query)
    assert answer.status == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_details_of_every_class(schema: schemathesis.BaseSchema, uvicorn_face: Http) -> None:
    url = f"{uvicorn_face.process.url}/predict?details=true&top_k=34"
    answer = httpx.post(url, content=leaf(), headers=JPEG, trust_env=False)
    assert answer.status_code == 200, answer.text
    schema["/predict"]["POST"].validate_response(answer)
    body = answer.json()
    assert body["advice_note"] == advice_note()
    assert len(body["predictions"]) == 34
    for prediction in body["predictions"]:
        assert prediction["details"] == all_advice()[prediction["class_id"]].model_dump(mode="json")
        assert (prediction["details"]["cause"] == "none") == prediction["healthy"]


def test_through_every_face(face: Face) -> None:
    body = ask(face, "details=true&top_k=1")
    (prediction,) = body["predictions"]
    assert prediction["details"]["organisms"][0]["eppo_code"] == "GYMNJV"
    assert prediction["class_id"] == CLASS_ID


def test_nothing_changes_without_them(uvicorn_face: Http) -> None:
    with_details, without, spelt_out = (ask(uvicorn_face, query) for query in ("details=1", "", "details=false"))
    assert list(without) == list(spelt_out)
    assert list(with_details) == [*without, "advice_note"]
    for detailed, plain in zip(with_details["predictions"], without["predictions"], strict=True):
        details = detailed.pop("details")
        assert details["sources"]
        assert detailed == plain
        assert list(plain) == ["class_id", "crop", "disease", "healthy", "probability"]


def test_they_are_in_the_openapi_document(uvicorn_face: Http) -> None:
    document = uvicorn_face.ask("GET", "/openapi.json").json()
    operation = document["paths"]["/predict"]["post"]
    content = operation["responses"]["200"]["content"]["application/json"]["schema"]
    named = {reference["$ref"].rsplit("/", 1)[1] for reference in content["anyOf"]}
    assert named == {"PredictAnswer", "DetailedAnswer"}
    schemas = document["components"]["schemas"]
    assert "advice_note" in schemas["DetailedAnswer"]["required"]
    assert {"type": "null"} in schemas["DetailedPrediction"]["properties"]["details"]["anyOf"]
    assert schemas["Advice"]["properties"]["cause"]["enum"][-1] == "none"
    (details,) = (each for each in operation["parameters"] if each["name"] == "details")
    assert details["schema"]["default"] is False
    assert "not available" not in details["description"]


@pytest.fixture(scope="module")
def own_model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """The bundled model, but it calls cedar apple rust "Apple___Rost", which nothing is written about."""
    models = tmp_path_factory.mktemp("own")
    version = json.loads((ROOT / "models/channels/stable.json").read_text())["version"]
    shutil.copytree(ROOT / "models" / version, models / version)
    manifest = models / version / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"{CLASS_ID}"', '"Apple___Rost"'))
    point_channel(models, version)
    with processes.uvicorn(folder, PLANT_MODEL_URI=str(models)) as process:
        yield Http(process)


def test_a_class_of_ones_own_has_none(own_model: Http) -> None:
    body = ask(own_model, "details=true&top_k=2")
    own, other = body["predictions"]
    assert (own["class_id"], own["details"]) == ("Apple___Rost", None)
    assert other["details"]["name"] == all_advice()[other["class_id"]].name
    assert body["advice_note"] == advice_note()
