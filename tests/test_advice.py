"""What is written about every class: complete, short, sourced, and found by any spelling of the class."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from plant_disease.advice import MAX_TEXT, Advice, Organism, Source, advice_note, advise, all_advice
from plant_disease.manifest import ClassInfo
from tests.samples import RUST, RUST_CLASS
from tools.diseases import DOCUMENT, page

ROOT = Path(__file__).parent.parent
COMMAND = str(Path(sys.executable).parent / "plant-disease")

PLANTVILLAGE = """
Apple___Apple_scab
Apple___Black_rot
Apple___Cedar_apple_rust
Apple___healthy
Blueberry___healthy
Cherry_(including_sour)___Powdery_mildew
Cherry_(including_sour)___healthy
Corn_(maize)___Cercospora_leaf_spot Gray_leaf_spot
Corn_(maize)___Common_rust_
Corn_(maize)___Northern_Leaf_Blight
Corn_(maize)___healthy
Grape___Black_rot
Grape___Esca_(Black_Measles)
Grape___Leaf_blight_(Isariopsis_Leaf_Spot)
Grape___healthy
Orange___Haunglongbing_(Citrus_greening)
Peach___Bacterial_spot
Peach___healthy
Pepper,_bell___Bacterial_spot
Pepper,_bell___healthy
Potato___Early_blight
Potato___Late_blight
Potato___healthy
Raspberry___healthy
Soybean___healthy
Squash___Powdery_mildew
Strawberry___Leaf_scorch
Strawberry___healthy
Tomato___Bacterial_spot
Tomato___Early_blight
Tomato___Late_blight
Tomato___Leaf_Mold
Tomato___Septoria_leaf_spot
Tomato___Spider_mites Two-spotted_spider_mite
Tomato___Target_Spot
Tomato___Tomato_Yellow_Leaf_Curl_Virus
Tomato___Tomato_mosaic_virus
Tomato___healthy
""".strip().splitlines()


def texts(advice: Advice) -> list[str]:
    report = [advice.report] if advice.report else []
    return [advice.looks, *advice.look_alikes, *advice.now, *advice.prevent, *report]


def test_every_class_of_plantvillage_and_no_other() -> None:
    assert list(all_advice()) == PLANTVILLAGE
    assert len(PLANTVILLAGE) == 38


def test_every_class_of_the_bundled_model() -> None:
    channel = json.loads((ROOT / "models/channels/stable.json").read_text())
    manifest = json.loads((ROOT / "models" / channel["version"] / "manifest.json").read_text())
    for info in manifest["classes"]:
        advice = advise(info["class_id"])
        assert advice is all_advice()[info["class_id"]]
        assert (advice.cause == "none") == info["healthy"]


@pytest.mark.parametrize("class_id", PLANTVILLAGE)
def test_what_is_written(class_id: str) -> None:
    advice = all_advice()[class_id]
    healthy = ClassInfo.from_id(class_id).healthy
    assert (advice.cause == "none") == healthy == (not advice.organisms)
    assert 2 <= len(re.findall(r"[.]( |$)", advice.looks)) <= 4
    assert all(text[-1] == "." and "\n" not in text and "  " not in text for text in texts(advice))
    assert all(3 < len(text) <= MAX_TEXT for text in texts(advice))
    assert len(set(texts(advice))) == len(texts(advice))
    assert any(source.url for source in advice.sources)
    assert len(set(advice.sources)) == len(advice.sources)
    if healthy:
        assert "cannot exclude an" in advice.looks
        assert any("week" in each for each in advice.prevent)


def test_no_class_is_described_like_another() -> None:
    counts = Counter(advice.looks for advice in all_advice().values())
    assert set(counts.values()) == {1}
    assert len({advice.name for advice in all_advice().values()}) == 38


def test_no_doses_and_no_spray_programmes() -> None:
    amounts = re.compile(
        r"\d\s*(g|kg|ml|l|oz|lb|ppm)\b|per (litre|liter|gallon|hectare|acre)|fungicide|mancozeb|copper"
    )
    for class_id, advice in all_advice().items():
        for text in texts(advice):
            assert not amounts.search(text.casefold()), (class_id, text)


def test_one_name_has_one_code() -> None:
    organisms = [each for advice in all_advice().values() for each in advice.organisms]
    assert len({each.name for each in organisms}) == len({(each.name, each.eppo_code) for each in organisms})
    codes = {each.eppo_code: each.name for each in organisms if each.eppo_code}
    assert len(set(codes.values())) == len(codes)


@pytest.mark.parametrize("class_id", ["Orange___Haunglongbing_(Citrus_greening)", RUST_CLASS, "Peach___Bacterial_spot"])
def test_what_is_regulated_is_reported(class_id: str) -> None:
    assert "plant protection authority" in (all_advice()[class_id].report or "")


def test_the_note() -> None:
    assert "advice, not a prescription" in advice_note()
    assert len(advice_note()) <= MAX_TEXT


@pytest.mark.parametrize(
    ("spelling", "class_id"),
    [
        ("Corn___Common_rust", "Corn_(maize)___Common_rust_"),
        ("corn (maize) - northern leaf blight", "Corn_(maize)___Northern_Leaf_Blight"),
        ("Pepper__bell___Bacterial_spot", "Pepper,_bell___Bacterial_spot"),
        ("Tomato__Tomato_YellowLeaf__Curl_Virus", "Tomato___Tomato_Yellow_Leaf_Curl_Virus"),
        ("Tomato_Spider_mites_Two_spotted_spider_mite", "Tomato___Spider_mites Two-spotted_spider_mite"),
        ("Grape___Esca", "Grape___Esca_(Black_Measles)"),
        ("Cherry___healthy", "Cherry_(including_sour)___healthy"),
    ],
)
def test_a_folder_may_be_spelt_otherwise(spelling: str, class_id: str) -> None:
    assert advise(spelling) is all_advice()[class_id]


@pytest.mark.parametrize(
    "class_id", ["", "___", "healthy", "Banana___healthy", "Apple", "Tomato___Black_rot", "ä" * 999]
)
def test_nothing_is_written_about_other_classes(class_id: str) -> None:
    assert advise(class_id) is None


@pytest.mark.parametrize("code", ["ventin", "VENT", "VENTINX", "VENT-N", ""])
def test_a_code_that_is_none(code: str) -> None:
    with pytest.raises(ValidationError):
        Organism(name="Venturia inaequalis", eppo_code=code)


@pytest.mark.parametrize("url", ["http://example.org/x", "https://", "https://example.org", "javascript:alert(1)", "x"])
def test_a_source_is_a_page_over_https(url: str) -> None:
    with pytest.raises(ValidationError):
        Source(title="Apple scab", publisher="Somebody", url=url)


def test_it_is_read_only_when_asked_for() -> None:
    program = "import sys, plant_disease.advice as advice; print('tomllib' in sys.modules, advice._book.cache_info())"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("False CacheInfo(hits=0, misses=0")


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run: python tools/diseases.py"


def command(*arguments: str) -> str:
    done = subprocess.run([COMMAND, "predict", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_details_on_the_command_line() -> None:
    shown = command(str(RUST), "--details", "--top-k", "1")
    advice = all_advice()[RUST_CLASS]
    unwrapped = " ".join(shown.split())
    for text in [advice.name, "GYMNJV", advice_note(), *texts(advice), *(each.title for each in advice.sources)]:
        assert text in unwrapped
    assert unwrapped.count(advice_note()) == 1
    assert str(advice.sources[0].url) in shown


def test_details_on_the_command_line_for_machines() -> None:
    (answer,) = json.loads(command(str(RUST), "--details", "--json"))
    assert answer["advice_note"] == advice_note()
    for prediction in answer["predictions"]:
        expected = advise(prediction["class_id"])
        assert expected is not None
        assert prediction["details"] == expected.model_dump(mode="json")


def test_no_details_unless_asked_for() -> None:
    (answer,) = json.loads(command(str(RUST), "--json"))
    assert "advice_note" not in answer
    assert all("details" not in prediction for prediction in answer["predictions"])
