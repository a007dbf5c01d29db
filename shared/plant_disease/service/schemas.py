"""The answers of the service, as OpenAPI shows them."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from plant_disease.advice import Advice, advice_note, advise
from plant_disease.bundle import Bundle
from plant_disease.classifier import Decision, Prediction, Verdict
from plant_disease.containers import Format
from plant_disease.manifest import ClassInfo


class ModelIdentity(BaseModel):
    """Which model answered; `sha256` is that of its manifest, which covers every file."""

    name: str
    version: str
    sha256: str

    @classmethod
    def of(cls, bundle: Bundle) -> "ModelIdentity":
        """The identity of a bundle."""
        return cls(name=bundle.manifest.name, version=bundle.manifest.version, sha256=bundle.sha256)


class ImageInfo(BaseModel):
    """A photo as it came, upright."""

    width: int
    height: int
    format: Format


class Timings(BaseModel):
    """Milliseconds spent."""

    decode: float
    model: float
    total: float


class PredictAnswer(BaseModel):
    """A diagnosis of one plant."""

    request_id: str
    model: ModelIdentity
    decision: Decision
    is_leaf: Verdict
    is_healthy: Verdict
    predictions: tuple[Prediction, ...]
    explanation: None = None
    images: list[ImageInfo]
    timings_ms: Timings


@dataclass(frozen=True, slots=True)
class DetailedPrediction(Prediction):
    """One class, how probable it is, and what it means for the plant; null where nothing is written about it."""

    details: Advice | None


class DetailedAnswer(PredictAnswer):
    """A diagnosis of one plant, and what each class named means for it."""

    predictions: tuple[DetailedPrediction, ...]
    advice_note: Annotated[str, Field(description="advice, not a prescription: show it with the details")]

    @classmethod
    def of(cls, answer: PredictAnswer) -> Self:
        """The same answer with details."""
        detailed = [DetailedPrediction(**asdict(each), details=advise(each.class_id)) for each in answer.predictions]
        return cls.model_validate({**dict(answer), "predictions": tuple(detailed), "advice_note": advice_note()})


class ClassesAnswer(BaseModel):
    """Everything that the model can answer."""

    classes: tuple[ClassInfo, ...]


class Health(BaseModel):
    """Whether requests can be served."""

    status: Literal["ok", "unavailable"]
    model: Annotated[str, Field(description="idle, loading, ready or failed")]
