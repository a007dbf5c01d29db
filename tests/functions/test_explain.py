"""Explanations over HTTP: what is in them, what is refused, and how large they get."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
import schemathesis
from PIL import Image

from tests.functions.conftest import Faces
from tests.functions.faces import Answer, Face, Http
from tests.functions.photos import CLASS_ID, form, leaf
from tests.functions.processes import ROOT

JPEG = {"content-type": "image/jpeg"}
ROBOT = (ROOT / "tests/photos/robot.png").read_bytes()
OTHER = "Apple___Apple_scab"


@pytest.fixture(scope="module")
def explain_face(faces: Faces) -> Face:
    return faces("explain", "uvicorn")


@pytest.fixture(scope="module")
def schema(explain_face: Http) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{explain_face.process.url}/openapi.json")


def ask(face: Face, query: str = "", photo: bytes = leaf(), path: str = "/explain") -> Answer:
    return face.ask("POST", path, content=photo, headers=JPEG, query=query)


def explanation(face: Face, query: str = "", photo: bytes = leaf(), path: str = "/explain") -> dict[str, Any]:
    answer = ask(face, query, photo, path)
    assert answer.status == 200, answer.content
    explained: dict[str, Any] = answer.json()["explanation"]
    return explained


def picture(overlay: str) -> Image.Image:
    head, _, data = overlay.partition(",")
    assert head == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format == "JPEG"
    return image


def test_answer(schema: schemathesis.BaseSchema, explain_face: Http) -> None:
    answer = httpx.post(f"{explain_face.process.url}/explain", content=leaf(), headers=JPEG, trust_env=False)
    schema["/explain"]["POST"].validate_response(answer)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    explained = body["explanation"]
    assert explained == {
        "photo": 0,
        "target": explained["target"],
        "contrast": None,
        "method": "cam",
        "layer": None,
        "heatmap": explained["heatmap"],
        "reason": None,
        "faithfulness": None,
    }
    assert explained["target"] == body["predictions"][0]
    assert explained["target"]["class_id"] == CLASS_ID
    heatmap = explained["heatmap"]
    assert np.array(heatmap["grid"]).shape == (7, 7)
    assert picture(heatmap["overlay"]).size == (224, 224)
    (box, *_) = heatmap["boxes"]
    assert set(box) == {"x", "y", "width", "height", "share"}
    assert box["x"] + box["width"] <= 256
    steps = [each.split(";")[0] for each in answer.headers["server-timing"].split(", ")]
    assert steps == ["receive", "decode", "model", "explain", "total"]


def test_predict_explains_too(face: Face, explain_face: Face) -> None:
    explained = explanation(face, "explain=true", path="/predict")
    assert explained == explanation(explain_face)
    content, headers = form(ROBOT, leaf())
    answer = face.ask("POST", "/predict", content=content, headers=headers, query="explain=true&details=true")
    assert answer.status == 200, answer.content
    assert answer.json()["explanation"]["photo"] == 1
    assert answer.json()["explanation"]["target"]["class_id"] == answer.json()["predictions"][0]["class_id"]
    assert answer.json()["predictions"][0]["details"]


def test_a_class_that_was_asked_for(explain_face: Face) -> None:
    top, other, contrast = (explanation(explain_face, query) for query in ("", f"target={OTHER}", f"contrast={OTHER}"))
    assert other["target"]["class_id"] == OTHER
    assert (contrast["target"]["class_id"], contrast["contrast"]["class_id"]) == (CLASS_ID, OTHER)
    grids = [np.array(each["heatmap"]["grid"]) for each in (top, other, contrast)]
    assert np.abs(grids[0] - grids[1] - grids[2]).max() < 1e-2


@pytest.mark.parametrize(("query", "mode"), [("format=png", "RGB"), ("format=heatmap", "L")])
@pytest.mark.parametrize("kind", ["uvicorn", "functions-framework", "lambda"])
def test_pictures(faces: Faces, kind: str, query: str, mode: str) -> None:
    answer = ask(faces("explain", kind), query)
    assert answer.status == 200, answer.content
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-request-id"]
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (224, 224))


def test_alpha_and_colours(explain_face: Face) -> None:
    def drawn(query: str) -> Any:
        with Image.open(io.BytesIO(ask(explain_face, f"format=png&{query}").content)) as image:
            return np.asarray(image).astype(int)

    plain = drawn("alpha=0")
    assert np.array_equal(plain, drawn("alpha=0&colormap=cividis"))
    assert np.abs(drawn("") - plain).max() < np.abs(drawn("alpha=1") - plain).max()
    assert not np.array_equal(drawn("colormap=viridis"), drawn("colormap=inferno"))


@pytest.mark.parametrize("query", ["", "faithfulness=true", f"target={CLASS_ID}"])
def test_no_leaf_no_heatmap(explain_face: Face, query: str) -> None:
    answer = ask(explain_face, query, ROBOT).json()
    assert answer["decision"] == "rejected"
    assert answer["explanation"]["heatmap"] is None
    assert answer["explanation"]["faithfulness"] is None
    assert "No leaf" in answer["explanation"]["reason"]


@pytest.mark.parametrize("query", ["format=png", "format=heatmap"])
def test_no_leaf_no_picture(explain_face: Face, query: str) -> None:
    answer = ask(explain_face, query, ROBOT)
    assert (answer.status, answer.json()["code"]) == (422, "not_a_leaf")


def test_faithfulness(explain_face: Face) -> None:
    measured = explanation(explain_face, "faithfulness=true")["faithfulness"]
    assert set(measured) == {"area", "drop", "drop_elsewhere"}
    assert 0 < measured["area"] < 1


def test_methods_that_need_torch(explain_face: Http) -> None:
    # The first such question loads torch.
    url = f"{explain_face.process.url}/explain?method=gradcam"
    assert httpx.post(url, content=leaf(), headers=JPEG, trust_env=False, timeout=120).status_code == 200
    closed = np.array(explanation(explain_face)["heatmap"]["grid"])
    same = np.array(explanation(explain_face, "method=gradcam")["heatmap"]["grid"])
    # What is served may be int8; torch has the float32 network.
    assert np.abs(closed / closed.max() - same / same.max()).max() < 0.1
    deep = explanation(explain_face, "method=layercam&layer=backbone.stage5")
    assert (deep["method"], deep["layer"]) == ("layercam", "backbone.stage5")
    assert np.array(deep["heatmap"]["grid"]).shape == (14, 14)


QUERIES = {
    "target=Banana___rot": "Banana___rot",
    "target=": "target",
    f"target={'x' * 201}": "target",
    "contrast=nothing": "contrast",
    f"contrast={CLASS_ID}": "both",
    "method=magic": "method",
    "method=GRADCAM": "method",
    "layer=backbone": "cam",
    "method=gradcam&layer=nowhere": "nowhere",
    "format=gif": "format",
    "alpha=1.1": "alpha",
    "alpha=-0.1": "alpha",
    "alpha=nan": "alpha",
    "colormap=jet": "colormap",
    "faithfulness=true&format=png": "faithfulness",
    "top_k=3": "top_k",
    "crop=apple": "crop",
}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
def test_wrong_parameter(schema: schemathesis.BaseSchema, explain_face: Http, query: str) -> None:
    url = f"{explain_face.process.url}/explain?{query}"
    answer = httpx.post(url, content=leaf(), headers=JPEG, trust_env=False)
    schema["/explain"]["POST"].validate_response(answer)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter"), answer.text
    assert QUERIES[query] in answer.json()["detail"]
    assert len(answer.content) < 1500


def test_one_photo_only(explain_face: Face) -> None:
    content, headers = form(leaf(), leaf())
    answer = explain_face.ask("POST", "/explain", content=content, headers=headers)
    assert (answer.status, answer.json()["code"]) == (413, "too_many_images")


@pytest.mark.parametrize("query", ["", "format=png", "format=heatmap", "method=hirescam&layer=backbone.stem"])
def test_answers_are_small_whatever_the_photo(explain_face: Face, query: str) -> None:
    # 12 megapixels around a leaf, and noise over all of it.
    rng = np.random.default_rng(0)
    with Image.open(io.BytesIO(leaf())) as image:
        large = np.asarray(image.resize((4000, 3000))).astype(int)
    noisy = np.clip(large + np.kron(rng.integers(-40, 40, (600, 800, 1)), np.ones((5, 5, 1), int)), 0, 255)
    file = io.BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(file, "JPEG")
    answer = ask(explain_face, f"target={CLASS_ID}&{query}", file.getvalue())
    assert answer.status == 200, answer.content
    assert len(answer.content) < 900_000 * 3 / 4, "and a third more as base64"
