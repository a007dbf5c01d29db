"""The bundled model on pictures: the core from end to end, without HTTP."""

from pathlib import Path

import pytest

from plant_disease import images
from plant_disease.bundle import open_bundle
from plant_disease.classifier import Classifier, Diagnosis
from plant_disease.runtimes import open_runtime
from plant_disease.settings import bundled_models
from tests.samples import DRAWN, LEAVES, NOT_LEAVES, RUST, RUST_CLASS


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    bundle = open_bundle(bundled_models(), cache=tmp_path_factory.mktemp("cache"))
    return Classifier(bundle, open_runtime("onnx", bundle, threads=1))


def diagnose(classifier: Classifier, *paths: Path, crops: tuple[str, ...] = ()) -> Diagnosis:
    size = classifier.manifest.input.size
    return classifier.diagnose([images.load(path.read_bytes(), size) for path in paths], crops=crops)


@pytest.mark.parametrize(("path", "class_id"), DRAWN.items(), ids=lambda value: getattr(value, "name", ""))
def test_drawn_leaves_are_known(classifier: Classifier, path: Path, class_id: str) -> None:
    diagnosis = diagnose(classifier, path)
    assert diagnosis.predictions[0].class_id == class_id
    assert diagnosis.is_leaf.binary
    assert diagnosis.is_healthy.binary == class_id.endswith("healthy")


def test_nearly_all_leaves_are_known_and_next_to_none_refused(classifier: Classifier) -> None:
    answers = {path: diagnose(classifier, path) for path in LEAVES}
    right = [path for path, answer in answers.items() if answer.predictions[0].class_id == LEAVES[path]]
    leaves = [path for path, answer in answers.items() if answer.is_leaf.binary]
    assert len(right) >= 0.9 * len(LEAVES)
    assert len(leaves) >= 0.97 * len(LEAVES)


def test_what_is_diagnosed_is_right(classifier: Classifier) -> None:
    answers = {path: diagnose(classifier, path) for path in LEAVES}
    sure = {path: answer for path, answer in answers.items() if answer.decision == "diagnosed"}
    right = [path for path, answer in sure.items() if answer.predictions[0].class_id == LEAVES[path]]
    assert len(sure) >= 0.3 * len(LEAVES)
    assert len(right) >= 0.95 * len(sure)


@pytest.mark.parametrize("path", NOT_LEAVES, ids=lambda path: path.name)
def test_a_robot_is_no_healthy_tomato(classifier: Classifier, path: Path) -> None:
    diagnosis = diagnose(classifier, path)
    assert diagnosis.decision == "rejected"
    assert diagnosis.is_leaf.probability < 0.5


def test_three_photos_of_one_plant(classifier: Classifier) -> None:
    alone, hinted = diagnose(classifier, *DRAWN), diagnose(classifier, *DRAWN, crops=("apple",))
    assert alone.decision != "rejected"
    assert alone.predictions[0].class_id == hinted.predictions[0].class_id == RUST_CLASS
    assert hinted.decision == "diagnosed"


def test_knowing_the_crop_helps(classifier: Classifier) -> None:
    hinted = diagnose(classifier, RUST, crops=("apple",)).predictions[0]
    assert hinted.class_id == RUST_CLASS
    assert hinted.probability >= diagnose(classifier, RUST).predictions[0].probability
