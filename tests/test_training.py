"""From folders of photos to a served bundle, small: drawn leaves, one short training."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from plant_disease.training.augment import leaf_mask
from plant_disease.training.calibrate import fit_decision, fit_leaf_gate, fit_temperature
from plant_disease.training.folders import labelled, split
from plant_disease.training.metrics import auroc, expected_calibration_error, top_k_accuracy, wilson_interval
from plant_disease.training.recipe import RecipeError, read_recipe

COLOURS = {"Fig___rust": (150, 90, 30), "Fig___healthy": (40, 140, 50)}

RECIPE = """
[data]
non_leaves = "scenes"
holdout = 0.3

[[data.sources]]
path = "leaves"
swap_background = true
repeat = 3

[model]
architecture = "efficientnet_lite0"
input_size = 64

[optimisation]
batch_size = 8
learning_rate = 1e-3

[[optimisation.stages]]
input_size = 64
epochs = 2
"""


def drawn_leaf(colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (96, 96), (200, 200, 205))
    x, y = random.randint(5, 25), random.randint(5, 25)
    shade = tuple(c + random.randint(-15, 15) for c in colour)
    ImageDraw.Draw(image).ellipse((x, y, x + random.randint(45, 65), y + random.randint(45, 65)), fill=shade)
    return image


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random.seed(0)
    folder = tmp_path_factory.mktemp("training")
    for name, colour in COLOURS.items():
        (folder / "data/leaves" / name).mkdir(parents=True)
        for index in range(24):
            drawn_leaf(colour).save(folder / "data/leaves" / name / f"{name}-{index}.jpg", quality=90)
    (folder / "data/scenes").mkdir()
    for index in range(12):
        noise = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 96)).save(folder / f"data/scenes/{index}.png")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def run(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "plant-disease"), *arguments]
    return subprocess.run(command, cwd=workspace, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def models(workspace: Path) -> Path:
    trained = run(workspace, "train", "recipe.toml", "--data", "data", "--out", "run")
    assert trained.returncode == 0, trained.stderr
    exported = run(
        workspace, "export", "run", "--data", "data", "-o", "models", "--version", "1.0.0", "--channel", "stable"
    )
    assert exported.returncode == 0, exported.stderr
    return workspace / "models"


def test_training_writes_a_log_that_can_be_plotted(workspace: Path, models: Path) -> None:
    rows = [json.loads(line) for line in (workspace / "run/log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(0 <= row["holdout"] <= 1 and row["loss"] > 0 for row in rows)


def test_an_exported_bundle_can_be_evaluated_and_used(workspace: Path, models: Path) -> None:
    arguments = ("--model-uri", str(models), "--json")
    evaluated = run(workspace, "evaluate", "data/leaves", "--non-leaves", "data/scenes", *arguments)
    assert evaluated.returncode == 0, evaluated.stderr
    report = json.loads(evaluated.stdout)
    assert report["leaves"][0]["photos"] == 48
    assert report["leaves"][0]["top_1"] > 0.8
    assert report["non_leaves"][0]["photos"] == 12
    photo = sorted((workspace / "data/leaves/Fig___rust").iterdir())[0]
    predicted = run(workspace, "predict", str(photo), *arguments)
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads(predicted.stdout)[0]["predictions"][0]["class_id"] == "Fig___rust"


def test_a_version_never_changes(workspace: Path, models: Path) -> None:
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    again = run(workspace, "export", "run", "--data", "data", "-o", "models", "--version", "1.0.0")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before


def test_evaluating_classes_that_the_model_does_not_know_is_an_error(workspace: Path, models: Path) -> None:
    other = workspace / "other/Rose___black_spot"
    other.mkdir(parents=True, exist_ok=True)
    evaluated = run(workspace, "evaluate", "other", "--model-uri", str(models))
    assert evaluated.returncode == 1
    assert "Rose___black_spot" in evaluated.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 2", "epochs = 0"), "epochs"),
        (("[model]", "[model"), "TOML"),
        (("batch_size", "batchsize"), "batchsize"),
        (('"efficientnet_lite0"', '"resnet18"'), "pretrained"),
        (("input_size = 64\nepochs", "input_size = 70\nepochs"), "input_size"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace(*change))
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


def test_a_missing_folder_is_named(workspace: Path) -> None:
    trained = run(workspace, "train", "recipe.toml", "--data", "run", "--out", "other-run")
    assert trained.returncode == 1
    assert "leaves" in trained.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("batch_size = 8", "batch_size = 500"), "less than one batch"),
        (('non_leaves = "scenes"', 'non_leaves = "none"'), "0 scenes"),
        (('architecture = "efficientnet_lite0"', 'architecture = "vgg"\npretrained = false'), "vgg"),
    ],
)
def test_a_recipe_that_does_not_fit_the_photos_is_refused_at_once(
    workspace: Path, change: tuple[str, str], message: str
) -> None:
    (workspace / "changed.toml").write_text(RECIPE.replace(*change))
    trained = run(workspace, "train", "changed.toml", "--data", "data", "--out", "refused")
    assert trained.returncode == 1
    assert message in trained.stderr
    assert "Traceback" not in trained.stderr
    assert not (workspace / "refused/weights.safetensors").exists()


def test_a_photo_that_cannot_be_read_is_named(workspace: Path, models: Path) -> None:
    bad = workspace / "damaged/Fig___rust/bad.jpg"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no photo")
    evaluated = run(workspace, "evaluate", "damaged", "--model-uri", str(models))
    assert evaluated.returncode == 1
    assert "bad.jpg" in evaluated.stderr


def test_the_shipped_recipe_is_valid() -> None:
    recipe = read_recipe(Path(__file__).parent.parent / "recipes/default.toml")
    assert {source.path for source in recipe.data.sources} >= {"leaves/train"}
    assert not any("val" in source.path or "unseen" in source.path for source in recipe.data.sources)


def test_the_split_never_moves_and_shares_nothing(workspace: Path) -> None:
    examples = labelled(workspace / "data/leaves", sorted(COLOURS))
    fitted, kept_back = split(examples, 0.3)
    assert split(list(reversed(examples)), 0.3)[1] == list(reversed(kept_back))
    assert not {e.path for e in fitted} & {e.path for e in kept_back}
    assert 0.1 < len(kept_back) / len(examples) < 0.5


def test_a_leaf_is_cut_out_of_its_paper() -> None:
    random.seed(1)
    leaf = drawn_leaf((40, 140, 50))
    mask = leaf_mask(leaf)
    assert mask is not None
    inside = np.asarray(leaf)[..., 2] < 100
    assert np.asarray(mask)[inside].mean() > 230
    assert np.asarray(mask)[~inside].mean() < 40
    assert leaf_mask(Image.new("RGB", (96, 96), (200, 200, 200))) is None


def test_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(0)
    true_logits = generator.normal(0, 2, (4000, 5))
    probabilities = np.exp(true_logits) / np.exp(true_logits).sum(1, keepdims=True)
    labels = np.array([generator.choice(5, p=row) for row in probabilities])
    assert fit_temperature(true_logits * 3, labels).temperature == pytest.approx(3, rel=0.1)


def test_the_gate_loses_one_leaf_in_a_hundred() -> None:
    generator = np.random.default_rng(0)
    leaves = np.eye(6)[generator.integers(0, 6, 1000)] * generator.normal(8, 1, (1000, 1))
    other = generator.normal(0, 0.5, (500, 6))
    gate = fit_leaf_gate(leaves, other)
    from plant_disease.classifier import evidence, sigmoid

    lost = sigmoid(gate.slope * evidence(leaves) + gate.offset) < gate.threshold
    refused = sigmoid(gate.slope * evidence(other) + gate.offset) < gate.threshold
    assert lost.mean() == pytest.approx(0.01, abs=0.002)
    assert refused.mean() > 0.99


def test_the_decision_threshold_keeps_its_promise() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 5000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = (generator.uniform(size=5000) > confidence).astype(int)
    threshold = fit_decision(probabilities, labels).diagnosed_from
    above = confidence >= threshold
    assert (labels[above] == 0).mean() >= 0.98
    assert fit_decision(np.array([[0.9, 0.1]] * 9), np.ones(9, int)).diagnosed_from == 0.99


def test_metrics_against_values_worked_out_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
    labels = np.array([0, 2, 2])
    assert top_k_accuracy(probabilities, labels, 1) == pytest.approx(2 / 3)
    assert top_k_accuracy(probabilities, labels, 2) == 1
    # three bins of one photo each: gaps 0.3, 0.6 and 0.6
    assert expected_calibration_error(probabilities, labels) == pytest.approx((0.3 + 0.6 + 0.6) / 3)
    assert auroc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)
    assert wilson_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
