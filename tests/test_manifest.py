import pytest
from pydantic import ValidationError

from plant_disease.manifest import Channel, ClassInfo, Manifest, Pointer
from tests.bundles import manifest


@pytest.mark.parametrize(
    ("class_id", "crop", "disease", "healthy"),
    [
        ("Tomato___Late_blight", "Tomato", "Late blight", False),
        ("Corn_(maize)___Common_rust_", "Corn (maize)", "Common rust", False),
        ("Pepper,_bell___healthy", "Pepper, bell", "healthy", True),
        ("Tomato___Healthy", "Tomato", "Healthy", True),
    ],
)
def test_class_names_are_read(class_id: str, crop: str, disease: str, healthy: bool) -> None:
    info = ClassInfo.from_id(class_id)
    assert (info.class_id, info.crop, info.disease, info.healthy) == (class_id, crop, disease, healthy)


@pytest.mark.parametrize(
    ("class_id", "words"),
    [
        ("Corn_(maize)___Common_rust_", ["corn", "Maize", "Corn (maize)", "corn_(maize)", "  CORN "]),
        ("Pepper,_bell___healthy", ["pepper", "bell pepper", "Pepper, bell", "pepper bell"]),
        ("Cherry_(including_sour)___healthy", ["cherry"]),
    ],
)
def test_people_name_crops_in_many_ways(class_id: str, words: list[str]) -> None:
    info = ClassInfo.from_id(class_id)
    assert all(info.is_of(word) for word in words)
    assert not any(info.is_of(word) for word in ["", " ", "tomato", "co", "(", "pep"])


def test_a_manifest_survives_the_way_through_json() -> None:
    original = manifest()
    assert Manifest.model_validate_json(original.model_dump_json()) == original


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "../escape"),
        ("version", ""),
        ("schema_version", 2),
        ("classes", [ClassInfo.from_id("Tomato___healthy")]),
        ("classes", [ClassInfo.from_id("Tomato___healthy")] * 2),
        ("calibration", {"temperature": 0}),
        ("calibration", {"temperature": "inf"}),
        ("input", {"size": 64, "mean": [0, 0, 0], "std": [1, 0, 1]}),
        ("files", {}),
        ("files", {"model.onnx": {"sha256": "0" * 64, "size": 1}, "../x": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"model.onnx": {"sha256": "zz", "size": 1}}),
        ("surprise", True),
    ],
)
def test_what_is_wrong_in_a_manifest_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        manifest(**{field: value})


def test_a_channel_may_have_a_history() -> None:
    served = {"version": "2.0.0", "manifest_sha256": "2" * 64}
    before = {"version": "1.0.0", "manifest_sha256": "1" * 64}
    assert Channel.model_validate(served).previous == ()
    channel = Channel.model_validate({**served, "previous": [before]})
    assert channel.previous == (Pointer.model_validate(before),)
    assert Channel.model_validate_json(channel.model_dump_json()) == channel
    for wrong in ({"previous": [served | {"surprise": 1}]}, {"previous": ["1.0.0"]}):
        with pytest.raises(ValidationError):
            Channel.model_validate(served | wrong)
