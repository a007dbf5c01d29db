"""The answers of the service, as OpenAPI shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

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


class ClassesAnswer(BaseModel):
    """Everything that the model can answer."""

    classes: tuple[ClassInfo, ...]


class Health(BaseModel):
    """Whether requests can be served."""

    status: Literal["ok", "unavailable"]
    model: Annotated[str, Field(description="idle, loading, ready or failed")]
