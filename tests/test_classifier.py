from pathlib import Path

import numpy as np
import pytest

from plant_disease.bundle import open_bundle
from plant_disease.classifier import Classifier, evidence, softmax
from plant_disease.errors import TooManyClasses, UnknownCrop
from plant_disease.images import Photo, Pixels
from plant_disease.runtimes import Floats, Output
from tests.bundles import CLASS_IDS, write_bundle

SCAB, APPLE_HEALTHY, RUST, PEPPER_HEALTHY, BLIGHT, TOMATO_HEALTHY = range(6)


class Scripted:
    """A runtime that gives these logits, whatever it is shown."""

    def __init__(self, logits: Floats) -> None:
        self.logits = np.asarray(logits, dtype=np.float32)

    def run(self, batch: Pixels) -> Output:
        assert len(batch) == len(self.logits)
        return Output(self.logits, np.zeros((len(batch), 1, 1, 1), np.float32))


def logits(**scores: float) -> list[float]:
    names = {"scab": SCAB, "blight": BLIGHT, "tomato": TOMATO_HEALTHY, "apple": APPLE_HEALTHY, "rust": RUST}
    row = [0.0] * 6
    for name, score in scores.items():
        row[names[name]] = score
    return row


@pytest.fixture
def classifier_for(tmp_path: Path):
    write_bundle(tmp_path / "models")
    bundle = open_bundle(str(tmp_path / "models"), cache=tmp_path / "cache")

    def build(*rows: list[float]) -> tuple[Classifier, list[Photo]]:
        photo = Photo(np.zeros((64, 64, 3), np.uint8), 64, 64, "JPEG")
        return Classifier(bundle, Scripted(np.array(rows))), [photo] * len(rows)

    return build


def test_the_most_probable_classes_come_first(classifier_for) -> None:
    classifier, photos = classifier_for(logits(blight=8, tomato=6, scab=4))
    diagnosis = classifier.diagnose(photos, top_k=3)
    expected = softmax(np.array(logits(blight=8, tomato=6, scab=4)))
    assert [p.class_id for p in diagnosis.predictions] == [
        CLASS_IDS[BLIGHT],
        CLASS_IDS[TOMATO_HEALTHY],
        CLASS_IDS[SCAB],
    ]
    assert [p.probability for p in diagnosis.predictions] == pytest.approx([expected[i] for i in (4, 5, 0)], abs=1e-6)
    assert diagnosis.decision == "diagnosed"


@pytest.mark.parametrize(
    ("row", "decision"),
    [(logits(blight=9), "diagnosed"), (logits(blight=9, tomato=9), "uncertain"), (logits(), "rejected")],
)
def test_the_three_decisions(classifier_for, row: list[float], decision: str) -> None:
    classifier, photos = classifier_for(row)
    diagnosis = classifier.diagnose(photos)
    assert diagnosis.decision == decision
    assert diagnosis.is_leaf.binary == (decision != "rejected")
    assert diagnosis.is_leaf.threshold == 0.5


def test_healthy_is_the_sum_of_the_healthy_classes(classifier_for) -> None:
    row = logits(tomato=8, apple=8, blight=8)
    classifier, photos = classifier_for(row)
    diagnosis = classifier.diagnose(photos)
    probabilities = softmax(np.array(row))
    assert diagnosis.is_healthy.probability == pytest.approx(float(probabilities[[1, 3, 5]].sum()), abs=1e-6)
    assert diagnosis.is_healthy.binary


def test_a_crop_hint_renormalises_over_its_classes(classifier_for) -> None:
    classifier, photos = classifier_for(logits(scab=9, blight=7, tomato=6))
    diagnosis = classifier.diagnose(photos, top_k=6, crops=["tomato"])
    assert [p.crop for p in diagnosis.predictions] == ["Tomato", "Tomato"]
    assert sum(p.probability for p in diagnosis.predictions) == pytest.approx(1, abs=1e-5)
    assert diagnosis.predictions[0].probability == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-5)


def test_a_hint_that_the_photo_speaks_against_gives_no_diagnosis(classifier_for) -> None:
    # Pepper has a single class here, so its renormalised probability is 1 whatever the photo shows.
    classifier, photos = classifier_for(logits(blight=9))
    diagnosis = classifier.diagnose(photos, crops=["pepper"])
    assert diagnosis.predictions[0].probability == 1
    assert diagnosis.decision == "uncertain"
    assert classifier.diagnose(photos, crops=["pepper", "tomato"]).decision == "diagnosed"


def test_several_crops_may_be_named(classifier_for) -> None:
    classifier, photos = classifier_for(logits(rust=9, blight=7, scab=6))
    crops = {p.crop for p in classifier.diagnose(photos, top_k=6, crops=["tomato", "Apple"]).predictions}
    assert crops == {"Tomato", "Apple"}


def test_parameters_that_do_not_fit_the_model_are_refused(classifier_for) -> None:
    classifier, _ = classifier_for(logits())
    with pytest.raises(UnknownCrop, match="Apple, Corn"):
        classifier.check(3, ["banana"])
    with pytest.raises(TooManyClasses, match="6 classes"):
        classifier.check(7, [])
    classifier.check(6, ["corn"])
    classifier.check(3, [])


def test_photos_of_one_plant_are_averaged(classifier_for) -> None:
    classifier, photos = classifier_for(logits(blight=9), logits(tomato=9))
    diagnosis = classifier.diagnose(photos)
    top = diagnosis.predictions[0].probability
    assert top == pytest.approx(float(softmax(np.array(logits(blight=9)))[BLIGHT]) / 2, abs=1e-3)
    assert diagnosis.decision == "uncertain"


def test_a_photo_without_a_leaf_hardly_counts_among_others(classifier_for) -> None:
    rows = np.array([logits(blight=9), logits(), logits()])
    classifier, photos = classifier_for(*rows)
    diagnosis = classifier.diagnose(photos)
    # The gate of the test bundle: sigmoid(2 * evidence - 6).
    weights = 1 / (1 + np.exp(6 - 2 * evidence(rows)))
    expected = weights @ softmax(rows)[:, BLIGHT] / weights.sum()
    assert diagnosis.predictions[0].probability == pytest.approx(expected, abs=1e-5)
    assert expected > 0.85
    assert diagnosis.decision == "diagnosed"


def test_extreme_logits_stay_numbers(classifier_for) -> None:
    classifier, photos = classifier_for([1e4, -1e4, 0, 0, 0, 0], [-1e4] * 6)
    diagnosis = classifier.diagnose(photos, top_k=6)
    values = [p.probability for p in diagnosis.predictions]
    assert np.isfinite(values).all()
    assert sum(values) == pytest.approx(1, abs=1e-5)


def test_evidence_ignores_a_common_offset() -> None:
    row = np.array([logits(blight=5)], dtype=np.float32)
    assert evidence(row + 100) == pytest.approx(evidence(row), abs=1e-3)
    assert evidence(np.array([logits(blight=9)])) > evidence(row)
