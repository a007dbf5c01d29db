"""Figures from known logits against figures worked out by hand, and the card that states them."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plant_disease.bundle import open_bundle
from plant_disease.classifier import Classifier
from plant_disease.errors import PlantDiseaseError
from plant_disease.images import Pixels
from plant_disease.manifest import ClassInfo, Manifest
from plant_disease.runtimes import Floats, Output
from plant_disease.settings import bundled_models
from plant_disease.training.corruptions import CORRUPTIONS, STRENGTHS
from plant_disease.training.evaluation import card, plots
from plant_disease.training.evaluation.report import Share
from plant_disease.training.evaluation.run import Evaluation, evaluate
from plant_disease.training.metrics import auroc, confusion, expected_calibration_error, reliability, roc
from tests.bundles import manifest
from tests.samples import RUST, RUST_CLASS
from tools.other_scenes import drawings, synthetic

CLASS_IDS = ("Apple___Apple_scab", "Apple___healthy", "Grape___Black_rot", "Grape___healthy", "Tomato___Late_blight")
SCAB, APPLE, ROT, GRAPE, BLIGHT = range(5)

# Each photo is of one colour; red says which row of logits the network gives for it.
SURE, UNSURE = 9.0, 1.0
PHOTOS = {
    # truth: (what is answered, how clearly)
    "Apple___Apple_scab": [(SCAB, SURE), (SCAB, SURE), (APPLE, SURE), (SCAB, UNSURE)],
    "Apple___healthy": [(APPLE, SURE), (BLIGHT, SURE)],
    "Grape___Black_rot": [(ROT, SURE), (ROT, SURE)],
}
SCENES = {"drawing": [(SCAB, UNSURE), (ROT, SURE)], "noise": [(BLIGHT, UNSURE)]}


class Scripted:
    """A runtime that answers by the red of the first pixel."""

    def __init__(self) -> None:
        self.rows: list[Floats] = []
        self.seen = 0

    def add(self, answer: int, clearly: float) -> Image.Image:
        row = np.zeros(len(CLASS_IDS), np.float32)
        row[answer] = clearly
        self.rows.append(row)
        return Image.new("RGB", (64, 64), (len(self.rows) - 1, 90, 90))

    def run(self, batch: Pixels) -> Output:
        self.seen += len(batch)
        rows = np.minimum(batch[:, 0, 0, 0], len(self.rows) - 1)
        return Output(np.stack([self.rows[row] for row in rows]), np.zeros((len(batch), 1, 1, 1), np.float32))


def bundle(models: Path, **changes: object) -> Classifier:
    described = manifest(classes=tuple(ClassInfo.from_id(name) for name in CLASS_IDS), **changes)
    (models / described.version).mkdir(parents=True)
    (models / described.version / "manifest.json").write_text(described.model_dump_json())
    return Classifier(open_bundle(str(models), version=described.version), Scripted())


@pytest.fixture
def measured(tmp_path: Path) -> Evaluation:
    return measure(tmp_path)


def measure(folder: Path, *, corrupted: bool = False) -> Evaluation:
    runtime = Scripted()
    for name, photos in PHOTOS.items():
        (folder / "lab/val" / name).mkdir(parents=True)
        for number, (answer, clearly) in enumerate(photos):
            runtime.add(answer, clearly).save(folder / "lab/val" / name / f"{number}.png")
    (folder / "scenes").mkdir()
    for name, photos in SCENES.items():
        for number, (answer, clearly) in enumerate(photos):
            runtime.add(answer, clearly).save(folder / f"scenes/{name}-{number}.png")
    leaves, scenes = folder / "lab/val", folder / "scenes"
    # Evidence is 9 - 9/5 + log(1 + 4 e^-9) = 7.2 of clear answers, and less than 3 of others: see LeafGate.
    return evaluate(bundle(folder / "models"), runtime, [leaves], [scenes], leaves if corrupted else None)


def test_figures_against_those_worked_out_by_hand(measured: Evaluation) -> None:
    (report,) = measured.leaves
    quality = report.quality
    assert report.name == "lab/val"
    assert quality.photos == 8
    assert (quality.top_1.hits, quality.top_1.share) == (6, 0.75)
    assert quality.top_1_with_crop == 6 / 8  # blight becomes a tie among apples, which the first of them wins: scab
    assert (quality.refused.hits, quality.refused.of) == (1, 8)
    assert (quality.diagnosed.hits, quality.diagnosed.of) == (7, 8)
    assert (quality.diagnosed_right.hits, quality.diagnosed_right.of) == (5, 7)
    sure, unsure = np.exp(SURE) / (np.exp(SURE) + 4), np.e / (np.e + 4)
    # two bins: seven photos that are sure, of which five are right, and one that is not, and right
    assert quality.ece_after == pytest.approx((7 * (sure - 5 / 7) + (1 - unsure)) / 8, abs=1e-5)
    assert quality.ece_before == quality.ece_after  # the temperature is 1


def test_grape_is_stated_apart(measured: Evaluation) -> None:
    (report,) = measured.leaves
    assert report.apart is not None
    assert report.without_apart is not None
    assert (report.apart.photos, report.apart.top_1.share) == (2, 1.0)
    assert (report.without_apart.photos, report.without_apart.top_1.hits) == (6, 4)


def test_classes_and_confusion(measured: Evaluation) -> None:
    (report,) = measured.leaves
    by_name = {row.class_id: row for row in report.classes}
    scab = by_name["Apple___Apple_scab"]
    assert (scab.photos, scab.precision, scab.recall) == (4, 1.0, 0.75)
    assert scab.f1 == pytest.approx(2 * 0.75 / 1.75)
    assert scab.mistaken_for == "Apple___healthy"
    blight = by_name["Tomato___Late_blight"]
    assert (blight.photos, blight.precision, blight.recall, blight.mistaken_for) == (0, 0.0, None, None)
    assert "Grape___healthy" not in by_name
    assert report.confusion[SCAB] == [3, 1, 0, 0, 0]
    assert np.trace(report.confusion) == 6


def test_pictures_without_a_leaf_by_group(measured: Evaluation) -> None:
    (report,) = measured.non_leaves
    assert (report.refused.hits, report.refused.of) == (2, 3)
    assert (report.diagnosed.hits, report.diagnosed.of) == (1, 3)
    assert {name: share.hits for name, share in report.groups.items()} == {"drawing": 1, "noise": 1}


def test_the_gate_parts_leaves_from_scenes(measured: Evaluation) -> None:
    assert measured.gate is not None
    # seven leaves tie with one scene and beat two; one leaf ties with two and loses to one
    area = (7 * (0.5 + 2) + 2 * 0.5) / 24
    assert list(measured.gate.auroc["lab/val"].values()) == [pytest.approx(area)]
    corners = np.array(measured.gate.curves["lab/val"])
    assert corners == pytest.approx(np.array([(0, 0), (1 / 3, 7 / 8), (1, 1)]))


def test_each_photo_is_run_once_and_once_for_each_corruption(tmp_path: Path) -> None:
    measured = measure(tmp_path, corrupted=True)
    report = measured.corruptions
    assert report is not None
    assert set(report.top_1) == set(CORRUPTIONS)
    assert all(len(shares) == len(STRENGTHS) for shares in (*report.top_1.values(), *report.refused.values()))
    assert report.clean == 0.75
    # A photo of one colour stays what it is when it is blurred or turned.
    assert report.top_1["motion blur"] == report.top_1["rotation"] == (0.75, 0.75, 0.75)
    assert report.median == pytest.approx(np.median([share for shares in report.top_1.values() for share in shares]))
    assert report.lost == pytest.approx(0.75 - report.median)
    assert report.lost_apart is not None


def test_folders_that_cannot_be_measured_are_named_before_anything_is_run(tmp_path: Path) -> None:
    runtime, classifier = Scripted(), bundle(tmp_path / "models")
    (tmp_path / "leaves/Apple___healthy").mkdir(parents=True)
    runtime.add(APPLE, SURE).save(tmp_path / "leaves/Apple___healthy/1.png")
    (tmp_path / "roses/Rose___black_spot").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for others, message in (
        ({"leaves": [tmp_path / "leaves", tmp_path / "roses"]}, "Rose___black_spot"),
        ({"leaves": [tmp_path / "empty"]}, "empty holds no"),
        ({"leaves": [tmp_path / "leaves"], "others": [tmp_path / "empty"]}, "empty holds no"),
        ({"leaves": [tmp_path / "leaves"], "corrupted": tmp_path / "roses"}, "Rose___black_spot"),
    ):
        with pytest.raises(PlantDiseaseError, match=message):
            evaluate(classifier, runtime, **others)
    assert runtime.seen == 0


def test_folders_that_end_alike_are_told_apart_and_groups_may_be_subfolders(tmp_path: Path) -> None:
    runtime = Scripted()
    for place in ("a", "b"):
        for name in ("Apple___healthy", "Apple___Apple_scab"):
            (tmp_path / place / "lab/val" / name).mkdir(parents=True)
            runtime.add(APPLE, SURE).save(tmp_path / place / "lab/val" / name / "1.png")
        (tmp_path / "scenes" / place).mkdir(parents=True)
        runtime.add(APPLE, UNSURE).save(tmp_path / f"scenes/{place}/1.png")
    folders = [tmp_path / "a/lab/val", tmp_path / "b/lab/val"]
    measured = evaluate(bundle(tmp_path / "models"), runtime, folders, [tmp_path / "scenes"])
    assert [report.name for report in measured.leaves] == [str(folder) for folder in folders]
    assert set(measured.non_leaves[0].groups) == {"a", "b"}


SECTIONS = [
    "What it is for",
    "How good it is",
    "Class by class",
    "When it refuses",
    "Spoilt photos",
    "Limits",
    "Data and licences",
    "How it was calibrated",
    "How to repeat this",
]


def write(measured: Evaluation, **changes: object) -> tuple[str, dict[str, bytes]]:
    described: Manifest = manifest(classes=tuple(ClassInfo.from_id(name) for name in CLASS_IDS), **changes)
    drawn = plots.draw(measured, CLASS_IDS)
    return card.write(described, measured, "plant-disease evaluate lab/val --card", list(drawn)), drawn


def test_the_card_has_every_section_and_figure(tmp_path: Path) -> None:
    text, drawn = write(measure(tmp_path, corrupted=True))
    assert re.findall("^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert set(re.findall(r"\(card/(.*?)\)", text)) == set(drawn)
    assert set(drawn) == {"reliability.svg", "confusion.svg", "gate.svg", "corruptions.svg"}
    assert "| lab/val | 8 | 75.0% (41 to 93) | " in text
    assert "- without grape | 6 | 66.7%" in text
    assert "- grape alone | 2 | 100.0%" in text
    assert "6 of 8 photos right, 75.0% (41 to 93)." in text
    assert "| Apple: Apple scab | 4 (fewer than 5) | 100.0% | 75.0% | 85.7% | Apple: healthy |" in text
    assert "it does not know 33:" in text
    assert "Peach: Bacterial spot" in text
    assert "does not state which photos" in text
    assert "Not measured at all, for want of photos: Grape: healthy; Tomato: Late blight." in text
    assert all(kind in text for kind in CORRUPTIONS)
    assert "plant-disease evaluate lab/val --card\n```" in text


def test_the_card_states_the_data_that_the_manifest_states(measured: Evaluation) -> None:
    training = {
        "sources": [{"path": "leaves/train", "origin": "a|b", "licence": {"CC0": 5, "none stated": 2}, "photos": 1234}],
        "non_leaves": {"path": "scenes", "origin": "here", "licence": "CC BY", "photos": 9},
        "split": "by camera number",
    }
    text, _ = write(measured, metrics={"training": training})
    assert r"| `leaves/train` | a\|b | CC0 (5); none stated (2) | 1,234 |" in text
    assert "| `scenes` | here | CC BY | 9 |" in text
    assert "by camera number" in text
    assert "Not measured." in text  # corruptions were not asked for


def test_plots_are_the_same_each_time_small_and_well_formed(measured: Evaluation) -> None:
    drawn, again = plots.draw(measured, CLASS_IDS), plots.draw(measured, CLASS_IDS)
    assert drawn == again
    assert set(drawn) == {"reliability.svg", "confusion.svg", "gate.svg"}
    for data in drawn.values():
        assert ET.fromstring(data).tag.endswith("svg")
        assert len(data) < 200_000


@given(st.lists(st.booleans(), max_size=300))
def test_a_share_lies_in_its_interval(hits: list[bool]) -> None:
    share = Share.count(np.array(hits, dtype=bool))
    if not hits:
        assert share.share is share.low is share.high is None
        return
    assert share.share is not None
    assert share.low is not None
    assert share.high is not None
    assert -1e-9 <= share.low <= share.share + 1e-9
    assert share.share <= share.high + 1e-9 <= 1 + 2e-9
    assert share.high - share.low < 1 or len(hits) < 5


def rows(draw_from: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[list[float], int]]]:
    probabilities = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)
    return st.lists(st.tuples(probabilities, draw_from), min_size=1, max_size=60)


@given(rows(st.integers(0, 2)))
def test_calibration_error_is_bounded_and_nought_for_what_is_sure_and_right(
    pairs: list[tuple[list[float], int]],
) -> None:
    weights = np.array([weight for weight, _ in pairs])
    labels = np.array([label for _, label in pairs])
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    assert 0 <= expected_calibration_error(probabilities, labels) <= 1
    assert sum(b.photos for b in reliability(probabilities, labels)) == len(labels)
    assert expected_calibration_error(np.eye(3)[labels], labels) == 0
    assert expected_calibration_error(np.eye(3)[(labels + 1) % 3], labels) == 1
    counts = confusion(probabilities.argmax(axis=1), labels, 3)
    assert counts.sum() == len(labels)


scores = st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=40).map(np.array)


@given(scores, scores)
def test_the_curve_rises_and_its_area_is_the_chance_of_the_right_order(positive: Floats, negative: Floats) -> None:
    corners = np.array(roc(positive, negative))
    assert corners[0].tolist() == [0, 0]
    assert corners[-1].tolist() == [1, 1]
    assert (np.diff(corners, axis=0) >= 0).all()
    by_hand = np.mean([(p > n) + (p == n) / 2 for p in positive for n in negative])
    assert np.trapezoid(corners[:, 1], corners[:, 0]) == pytest.approx(by_hand)
    assert auroc(positive, negative) == pytest.approx(by_hand)


def test_synthetic_scenes_are_the_same_each_time() -> None:
    first, again = ([image.tobytes() for _, image in (*synthetic(12), *drawings())] for _ in range(2))
    assert first == again
    assert len(set(first)) == 36


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "plant-disease"), "evaluate", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn leaves as a data set, and the bundled model: 1 does not list its card in the manifest, 2 does."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "drawn" / RUST_CLASS).mkdir(parents=True)
    for photo in RUST.parent.glob("apple-cedar-rust-*.jpg"):
        shutil.copy(photo, folder / "drawn" / RUST_CLASS)
    (folder / "scenes").mkdir()
    shutil.copy(RUST.parent / "robot.png", folder / "scenes")
    source = sorted(Path(bundled_models()).glob("*/manifest.json"))[-1].parent
    described = json.loads((source / "manifest.json").read_text())
    files = {name: file for name, file in described["files"].items() if name != "MODEL_CARD.md"}
    for version, listed in (("1", files), ("2", {**files, "MODEL_CARD.md": {"sha256": "0" * 64, "size": 1}})):
        shutil.copytree(source, folder / "models" / version)
        changed = {**described, "version": version, "files": listed}
        (folder / "models" / version / "manifest.json").write_text(json.dumps(changed))
    return folder


def test_a_bundle_is_measured_and_described_from_the_command_line(workspace: Path) -> None:
    model = ("--model-uri", "models", "--version", "1")
    done = run("drawn", "--non-leaves", "scenes", "--card", "--json", *model, cwd=workspace)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["leaves"][0]["quality"]["top_1"] == {**report["leaves"][0]["quality"]["top_1"], "hits": 3, "of": 3}
    assert report["non_leaves"][0]["refused"]["share"] == 1
    assert report["model"]["version"] == "1"
    text = (workspace / "models/1/MODEL_CARD.md").read_text()
    assert "plant-disease evaluate drawn --non-leaves scenes --card --json --model-uri models --version 1" in text
    assert report["model"]["sha256"] in text
    for picture in re.findall(r"\((card/.*?)\)", text):
        assert (workspace / "models/1" / picture).is_file()


def test_a_table_for_people_fits_a_page(workspace: Path) -> None:
    done = run("drawn", "--non-leaves", "scenes", "--model-uri", "models", "--version", "1", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert "3" in done.stdout
    assert "scenes, no leaves" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--card", "--model-uri", "s3://bucket/models"), "local copy"),
        (("--card", "--model-uri", "models", "--version", "2"), "MODEL_CARD.md"),
    ],
)
def test_a_card_that_cannot_be_written_is_refused(workspace: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run("drawn", *arguments, cwd=workspace)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_classes_that_the_model_does_not_know_are_named(workspace: Path) -> None:
    (workspace / "other/Rose___black_spot").mkdir(parents=True, exist_ok=True)
    done = run("other", cwd=workspace)
    assert done.returncode == 1
    assert "Rose___black_spot" in done.stderr


def test_a_photo_that_cannot_be_read_is_named(workspace: Path) -> None:
    damaged = workspace / "damaged" / RUST_CLASS
    damaged.mkdir(parents=True)
    (damaged / "bad.jpg").write_bytes(b"\xff\xd8\xff no photo")
    done = run("damaged", cwd=workspace)
    assert done.returncode == 1
    assert "bad.jpg" in done.stderr
    assert "Traceback" not in done.stderr
