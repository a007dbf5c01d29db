import pytest

from plant_disease.errors import ConfigurationError
from plant_disease.settings import Settings, read_settings
from tools.configuration import DOCUMENT, with_table


def test_every_setting_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert text == with_table(text), "run: python tools/configuration.py"
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PLANT_RUNTIME", "tensorflow"),
        ("PLANT_THREADS", "-77"),
        ("PLANT_MODEL_VERSION", "../1"),
        ("PLANT_MODEL_CHANNEL", "a/b"),
        ("PLANT_MAX_IMAGE_BYTES", "many"),
        ("PLANT_AUTH", "maybe"),
        ("PLANT_LIMITS_URI", "memcached://:secret@host"),
        ("PLANT_LIMITS_URI", "dynamodb://a/b"),
        ("PLANT_LIMITS_ON_ERROR", "maybe"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        read_settings()
    assert value not in str(caught.value), "a value may be a secret in the wrong place"


def test_secure_unless_told_otherwise() -> None:
    assert Settings.model_fields["auth"].default == "required"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_UPLOADS_URI", "")
    assert read_settings().uploads_uri is None
