"""From folders of photos to a served bundle, small: drawn leaves, one short training."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from plant_disease.bundle import open_bundle
from plant_disease.classifier import evidence, sigmoid
from plant_disease.training.augment import Augment, leaf_mask
from plant_disease.training.calibrate import Seen, fit_decision, fit_leaf_gate, fit_temperature
from plant_disease.training.data import hard_views
from plant_disease.training.export import export
from plant_disease.training.folders import NON_LEAF, Example, Gathered, gather, labelled, split
from plant_disease.training.loss import Loss
from plant_disease.training.metrics import auroc, expected_calibration_error, top_k_accuracy, wilson_interval
from plant_disease.training.provenance import Provenance
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
            drawn_leaf(colour).save(folder / "data/leaves" / name / f"{name}-{index * 8}.jpg", quality=90)
    (folder / "data/scenes").mkdir()
    for index in range(12):
        noise = np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 96)).save(folder / f"data/scenes/{index * 8}.png")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def run(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "plant-disease"), *arguments]
    return subprocess.run(command, cwd=workspace, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def models(workspace: Path) -> Path:
    trained = run(workspace, "train", "recipe.toml", "--data", "data", "--out", "run")
    assert trained.returncode == 0, trained.stderr
    exported = run(workspace, "export", "run", "--data", "data", "-o", "models", "--version", "1.0.0")
    assert exported.returncode == 0, exported.stderr
    promoted = run(workspace, "models", "promote", "1.0.0", "--model-uri", "models")
    assert promoted.returncode == 0, promoted.stderr
    return workspace / "models"


def test_training_writes_a_log_that_can_be_plotted(workspace: Path, models: Path) -> None:
    rows = [json.loads(line) for line in (workspace / "run/log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(0 <= row["holdout_top_1"] <= 1 and row["loss"] > 0 and row["holdout_loss"] > 0 for row in rows)
    assert rows[0]["learning_rate"] > rows[1]["learning_rate"] > 0


def test_an_exported_bundle_can_be_evaluated_and_used(workspace: Path, models: Path) -> None:
    arguments = ("--model-uri", str(models), "--json")
    evaluated = run(workspace, "evaluate", "data/leaves", "--non-leaves", "data/scenes", *arguments)
    assert evaluated.returncode == 0, evaluated.stderr
    report = json.loads(evaluated.stdout)
    quality = report["leaves"][0]["quality"]
    assert quality["photos"] == 48
    assert quality["top_1"]["share"] > 0.8
    assert report["non_leaves"][0]["refused"]["of"] == 12
    photo = sorted((workspace / "data/leaves/Fig___rust").iterdir())[0]
    predicted = run(workspace, "predict", str(photo), *arguments)
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads(predicted.stdout)[0]["predictions"][0]["class_id"] == "Fig___rust"


def test_the_bundle_says_what_it_was_trained_on_and_what_int8_and_fp16_cost(models: Path) -> None:
    manifest = open_bundle(str(models)).manifest
    notes = manifest.metrics["training"]
    assert notes["sources"][0] | {"origin": ""} == {
        "path": "leaves",
        "origin": "",
        "licence": "none stated (48 photos)",
        "photos": 48,
    }
    assert notes["recipe"]["optimisation"]["batch_size"] == 8
    assert manifest.precision == ("int8" if manifest.metrics["int8"]["agreement"] >= 0.99 else "fp32")
    assert ("model.int8.onnx" in manifest.files) == (manifest.precision == "int8")
    assert ("model.fp16.onnx" in manifest.files) == (manifest.metrics["fp16"]["agreement"] >= 0.99)
    assert len(manifest.leaf_gate.weights) == 1280


def test_no_half_precision_for_a_network_that_leaves_its_range(
    workspace: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plant_disease.training.export.FP16_RANGE", 100)  # the pixels are beyond that
    bundle = export(workspace / "run", workspace / "data", tmp_path / "models", "1.0.0", name="fig")
    assert "model.fp16.onnx" not in bundle.manifest.files
    assert "fp16" not in bundle.manifest.metrics


def killed_after_an_epoch(workspace: Path, recipe: str, out: str) -> None:
    command = [str(Path(sys.executable).parent / "plant-disease"), "train", recipe, "--data", "data", "--out", out]
    with subprocess.Popen(command, cwd=workspace, stderr=subprocess.DEVNULL, start_new_session=True) as training:
        deadline = time.monotonic() + 120
        while not (workspace / out / "checkpoint.safetensors").exists():
            assert time.monotonic() < deadline
            assert training.poll() is None
            time.sleep(0.05)
        os.killpg(training.pid, signal.SIGKILL)


def test_a_run_that_was_killed_goes_on_to_the_same_end(workspace: Path, models: Path) -> None:
    killed_after_an_epoch(workspace, "recipe.toml", "killed")
    again = run(workspace, "train", "recipe.toml", "--data", "data", "--out", "killed")
    assert again.returncode == 1
    assert "--resume" in again.stderr
    resumed = run(workspace, "train", "recipe.toml", "--data", "data", "--out", "killed", "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert [row["epoch"] for row in json.loads(resumed.stdout)["epochs"]] == [1, 2]
    name = "weights.safetensors"
    assert (workspace / "killed" / name).read_bytes() == (workspace / "run" / name).read_bytes()


def test_a_run_is_not_resumed_with_another_recipe(workspace: Path, models: Path) -> None:
    (workspace / "faster.toml").write_text(RECIPE.replace("learning_rate = 1e-3", "learning_rate = 2e-3"))
    resumed = run(workspace, "train", "faster.toml", "--data", "data", "--out", "run", "--resume")
    assert resumed.returncode == 1
    assert "another recipe" in resumed.stderr


def test_training_stops_when_nothing_is_gained(workspace: Path) -> None:
    still = RECIPE.replace("learning_rate = 1e-3", "learning_rate = 1e-12\npatience = 1").replace(
        "epochs = 2", "epochs = 9"
    )
    # With the whole backbone frozen, nothing can change: batch norm does not learn either.
    (workspace / "still.toml").write_text(still.replace("[model]", "[model]\nfrozen = 9"))
    stopped = run(workspace, "train", "still.toml", "--data", "data", "--out", "still", "--json")
    assert stopped.returncode == 0, stopped.stderr
    assert [row["epoch"] for row in json.loads(stopped.stdout)["epochs"]] == [1, 2]


def test_photos_are_left_out_by_licence(workspace: Path, tmp_path: Path) -> None:
    photos = sorted((workspace / "data/leaves").rglob("*.jpg"))
    data = tmp_path / "data"
    shutil.copytree(workspace / "data", data)
    rows = [f"{p.relative_to(workspace / 'data').as_posix()}\tCC BY 4.0\tx/{p.name}" for p in photos[:40]]
    (data / "MANIFEST.tsv").write_text("\n".join(["path\tlicence\tsource_path", *rows]))
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("holdout", 'without_licences = ["none stated"]\nholdout'))
    recipe = read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(RecipeError, match="0 scenes"):
        gather(recipe, data)
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("holdout", 'without_licences = ["CC BY"]\nholdout'))
    gathered = gather(read_recipe(tmp_path / "recipe.toml"), data)
    assert gathered.licences == [{"none stated": 8}, {"none stated": 12}]
    assert {e.path.name for e in [*gathered.fitted, *gathered.kept_back]} == {p.name for p in photos[40:]}


def test_a_manifest_of_photos_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MANIFEST.tsv").write_text("path\tlicense\na.jpg\tCC0\n")
    with pytest.raises(RecipeError, match="licence"):
        Provenance(tmp_path)


def test_photos_of_one_leaf_stay_on_one_side(tmp_path: Path) -> None:
    provenance = Provenance(tmp_path)
    examples = [Example(tmp_path / f"Fig___rust/1f98b949___FREC_Scab {n}.JPG", 0) for n in range(2900, 3400)]
    fitted, kept_back = split(examples, 0.2, provenance)
    assert 0.1 < len(kept_back) / len(examples) < 0.3
    numbers = [int(e.path.stem.split()[-1]) for e in kept_back]
    assert {n // 8 for n in numbers}.isdisjoint(int(e.path.stem.split()[-1]) // 8 for e in fitted)


@pytest.fixture
def two_crops(tmp_path: Path) -> Gathered:
    classes = ["Apple___scab", "Apple___healthy", "Fig___rust"]
    return Gathered(classes, [Example(tmp_path / "a.jpg", 0, 0), Example(tmp_path / "b.jpg", 2, 1)], [], [], [], [])


@pytest.mark.parametrize("absent", [1.0, 0.1])
def test_a_source_says_little_about_crops_that_it_lacks(workspace: Path, two_crops: Gathered, absent: float) -> None:
    recipe = read_recipe(workspace / "recipe.toml")
    apples = recipe.data.sources[0].model_copy(update={"absent_crops": absent})
    data = recipe.data.model_copy(update={"sources": [apples, apples]})
    plain = recipe.optimisation.model_copy(update={"label_smoothing": 0.0})
    loss = Loss(recipe.model_copy(update={"data": data, "optimisation": plain}), two_crops, torch.device("cpu"))
    logits = torch.tensor([[1.0, 0.5, 2.0]])
    value = loss(logits, torch.tensor([0]), torch.tensor([0])).item()
    expected = -1.0 + np.log(np.exp(1.0) + np.exp(0.5) + absent * np.exp(2.0))
    assert value == pytest.approx(expected, rel=1e-5)


def test_a_picture_without_a_leaf_should_look_like_no_class(workspace: Path, two_crops: Gathered) -> None:
    recipe = read_recipe(workspace / "recipe.toml")
    loss = Loss(recipe, two_crops, torch.device("cpu"))
    none, source = torch.tensor([NON_LEAF]), torch.tensor([1])
    assert loss(torch.zeros(1, 3), none, source) < loss(torch.tensor([[3.0, 0.0, 0.0]]), none, source)


def test_a_version_never_changes(workspace: Path, models: Path) -> None:
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    again = run(workspace, "export", "run", "--data", "data", "-o", "models", "--version", "1.0.0")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before


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


def test_the_shipped_recipe_is_valid() -> None:
    recipe = read_recipe(Path(__file__).parent.parent / "recipes/default.toml")
    assert {source.path for source in recipe.data.sources} >= {"leaves/train"}
    assert not any("val" in source.path or "unseen" in source.path for source in recipe.data.sources)


def test_the_split_never_moves_and_shares_nothing(workspace: Path) -> None:
    examples = labelled(workspace / "data/leaves", sorted(COLOURS))
    provenance = Provenance(workspace / "data")
    fitted, kept_back = split(examples, 0.3, provenance)
    assert split(list(reversed(examples)), 0.3, provenance)[1] == list(reversed(kept_back))
    assert not {e.path for e in fitted} & {e.path for e in kept_back}
    assert 0.1 < len(kept_back) / len(examples) < 0.5


def test_hard_views_are_always_the_same(workspace: Path) -> None:
    examples = labelled(workspace / "data/leaves", sorted(COLOURS), swap_background=True)[:6]
    augment = Augment(64, [np.zeros((96, 96, 3), np.uint8)])
    first, second = (hard_views(examples, augment, seed=3) for _ in range(2))
    assert first.shape == (6, 64, 64, 3)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, hard_views(examples, augment, seed=4))


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


def test_the_gate_keeps_to_its_budget() -> None:
    generator = np.random.default_rng(0)

    def seen(count: int, strength: float, shift: float) -> Seen:
        logits = np.eye(6)[generator.integers(0, 6, count)] * generator.normal(strength, 1, (count, 1))
        return Seen(logits, generator.normal(0, 1, (count, 10)) + shift * (np.arange(10) < 3))

    def refused(photos: Seen) -> float:
        score = gate.slope * evidence(photos.logits) + photos.pooled @ np.array(gate.weights) + gate.offset
        return float((sigmoid(score) < gate.threshold).mean())

    gate = fit_leaf_gate(seen(3000, 7, 1), seen(800, 1, -1))
    assert 0.01 < refused(seen(4000, 7, 1)) < 0.03
    assert refused(seen(800, 1, -1)) > 0.95


def test_the_decision_threshold_keeps_its_promise() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 5000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = (generator.uniform(size=5000) > confidence).astype(int)
    photos = (probabilities, labels)
    threshold = fit_decision(photos, photos).diagnosed_from
    above = confidence >= threshold
    assert (labels[above] == 0).mean() >= 0.98
    never = (np.array([[0.9, 0.1]] * 9), np.ones(9, int))
    assert fit_decision(never, photos).diagnosed_from == 0.99
    assert fit_decision(photos, never).diagnosed_from == 0.99


def test_metrics_against_values_worked_out_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
    labels = np.array([0, 2, 2])
    assert top_k_accuracy(probabilities, labels, 1) == pytest.approx(2 / 3)
    assert top_k_accuracy(probabilities, labels, 2) == 1
    # three bins of one photo each: gaps 0.3, 0.6 and 0.6
    assert expected_calibration_error(probabilities, labels) == pytest.approx((0.3 + 0.6 + 0.6) / 3)
    assert auroc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)
    assert wilson_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
