"""Explanations on the command line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.samples import NOT_LEAVES, RUST, RUST_CLASS
from tests.test_cli import run


@pytest.mark.parametrize(("name", "kind"), [("out.png", "PNG"), ("out.JPG", "JPEG")])
def test_a_picture_is_written(tmp_path: Path, name: str, kind: str) -> None:
    done = run("explain", str(RUST), "-o", str(tmp_path / name), "--faithfulness")
    assert done.returncode == 0, done.stderr
    assert RUST_CLASS in done.stdout
    assert "blurred" in done.stdout
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == (kind, (224, 224))


def test_for_machines(tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done = run("explain", str(RUST), "-o", str(out), "--contrast", "Apple___Apple_scab", "--json")
    assert done.returncode == 0, done.stderr
    explanation = json.loads(done.stdout)["explanation"]
    assert explanation["target"]["class_id"] == RUST_CLASS
    assert explanation["contrast"]["class_id"] == "Apple___Apple_scab"
    assert set(explanation["heatmap"]) == {"grid", "boxes"}
    assert out.exists()


def test_predict_explains_too(tmp_path: Path) -> None:
    done = run("predict", str(RUST), "--explain", str(tmp_path / "out.png"), "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    assert answer["explanation"]["target"] == answer["predictions"][0]
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize("command", [("explain", "-o"), ("predict", "--explain")])
def test_what_is_no_leaf_is_not_drawn(tmp_path: Path, command: tuple[str, str]) -> None:
    name, option = command
    done = run(name, str(NOT_LEAVES[0]), option, str(tmp_path / "out.png"))
    assert done.returncode == 1
    assert "No leaf" in done.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("explain", str(RUST)), 2),
        (("explain", str(RUST), "-o", "out.gif"), 2),
        (("explain", str(RUST), "-o", "out.png", "--alpha", "2"), 2),
        (("explain", str(RUST), "-o", "out.png", "--method", "magic"), 2),
        (("predict", str(RUST), str(RUST), "--explain", "out.png"), 2),
        (("explain", "nowhere.jpg", "-o", "out.png"), 1),
        (("explain", str(RUST), "-o", "/nowhere/out.png"), 1),
        (("explain", str(RUST), "-o", "out.png", "--target", "Banana"), 1),
        (("explain", str(RUST), "-o", "out.png", "--layer", "backbone"), 1),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int) -> None:
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not Path("out.png").exists()
