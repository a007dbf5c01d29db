"""The answers of the service, as OpenAPI shows them."""

import base64
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, Self

from fastapi import Response
from pydantic import BaseModel, Field

from plant_disease.advice import Advice, advice_note, advise
from plant_disease.batch import Outcome
from plant_disease.bundle import Bundle
from plant_disease.classifier import Decision, Prediction, Verdict
from plant_disease.containers import Format
from plant_disease.explanation.explainer import NO_LEAF, Explanation, Heatmap, Method
from plant_disease.explanation.faithfulness import Faithfulness
from plant_disease.explanation.regions import Box
from plant_disease.manifest import ClassInfo
from plant_disease.service.engine import Diagnosed
from plant_disease.service.problems import Problem, ProblemDocument
from plant_disease.service.telemetry import record


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


class HeatmapAnswer(BaseModel):
    """Where on a photo the evidence lies."""

    overlay: str = Field(description="a data URL: the photo with the heat laid over it, upright, in its own aspect")
    grid: tuple[tuple[float, ...], ...] = Field(
        description="what each part of the photo says for the target, row by row from the top; below 0, against it"
    )
    boxes: tuple[Box, ...] = Field(description="hot regions in px of the upright photo, the one with most heat first")

    @classmethod
    def of(cls, heatmap: Heatmap) -> Self:
        """A heatmap with its picture inside."""
        picture = heatmap.picture
        overlay = f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}"
        return cls(overlay=overlay, grid=heatmap.grid, boxes=heatmap.boxes)


class ExplanationAnswer(BaseModel):
    """The evidence for a class on one photo."""

    photo: int = Field(description="index of the photo explained: of several, the one that speaks most for the target")
    target: Prediction = Field(description="with its probability on this photo alone")
    contrast: Prediction | None
    method: Method
    layer: str | None
    heatmap: HeatmapAnswer | None = Field(description="null where no leaf is to be seen")
    reason: str | None = Field(description="why there is no heatmap")
    faithfulness: Faithfulness | None = Field(
        description="if asked for: what blurring the hot region does to the probability, and blurring as much elsewhere"
    )

    @classmethod
    def of(cls, explanation: Explanation) -> Self:
        """The evidence, ready for JSON."""
        return cls(
            photo=explanation.photo,
            target=explanation.target,
            contrast=explanation.contrast,
            method=explanation.method,
            layer=explanation.layer,
            heatmap=HeatmapAnswer.of(explanation.heatmap) if explanation.heatmap else None,
            reason=explanation.reason,
            faithfulness=explanation.faithfulness,
        )


class PredictAnswer(BaseModel):
    """A diagnosis of one plant."""

    request_id: str
    model: ModelIdentity
    decision: Decision
    is_leaf: Verdict
    is_healthy: Verdict
    predictions: tuple[Prediction, ...]
    explanation: ExplanationAnswer | None = None
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


class BatchSuccess(BaseModel):
    """A photo of a batch that was diagnosed."""

    index: int = Field(description="in the batch, from 0")
    name: str | None = Field(description="of the file, or its image_uri; null for what has none")
    status: Literal["ok"]
    decision: Decision
    is_leaf: Verdict
    is_healthy: Verdict
    predictions: tuple[Prediction, ...]
    images: list[ImageInfo]


class BatchFailure(BaseModel):
    """A photo of a batch that was not diagnosed."""

    index: int = Field(description="in the batch, from 0")
    name: str | None = Field(description="of the file, or its image_uri; null for what has none")
    status: Literal["error"]
    problem: ProblemDocument = Field(description="what the photo alone would have been answered with")


BatchItem = Annotated[BatchSuccess | BatchFailure, Field(discriminator="status")]


class BatchSummary(BaseModel):
    """How many photos came, and what became of them."""

    total: int
    succeeded: int
    failed: int


class BatchEnd(BaseModel):
    """What is said once about a batch; in a stream the last line, without which the stream was broken off."""

    request_id: str
    model: ModelIdentity
    summary: BatchSummary


class BatchAnswer(BatchEnd):
    """Diagnoses of many plants, one photo each, in the order in which the photos were sent."""

    items: list[BatchItem]


class ClassesAnswer(BaseModel):
    """Everything that the model can answer."""

    classes: tuple[ClassInfo, ...]


class Health(BaseModel):
    """Whether requests can be served."""

    status: Literal["ok", "unavailable"]
    model: Annotated[str, Field(description="idle, loading, ready or failed")]


def answer_of(diagnosed: Diagnosed) -> PredictAnswer:
    """The answer to the request at hand."""
    bundle, photos, diagnosis, explanation = diagnosed
    noted = record()
    return PredictAnswer(
        request_id=noted.request_id,
        model=ModelIdentity.of(bundle),
        decision=diagnosis.decision,
        is_leaf=diagnosis.is_leaf,
        is_healthy=diagnosis.is_healthy,
        predictions=diagnosis.predictions,
        explanation=ExplanationAnswer.of(explanation) if explanation else None,
        images=[ImageInfo(width=photo.width, height=photo.height, format=photo.format) for photo in photos],
        timings_ms=Timings(
            decode=round(noted.timings_ms["decode"], 1),
            model=round(noted.timings_ms["model"], 1),
            total=round(noted.total_ms(), 1),
        ),
    )


def as_json(answer: BaseModel) -> Response:
    """An answer as it is sent. FastAPI would check once more what is a model already."""
    return Response(answer.model_dump_json(), media_type="application/json")


def item_of(outcome: Outcome) -> BatchSuccess | BatchFailure:
    """What became of one photo of a batch."""
    if isinstance(outcome.result, Problem):
        problem = outcome.result.document()
        return BatchFailure(index=outcome.index, name=outcome.name, status="error", problem=problem)
    return BatchSuccess.model_validate(outcome.as_dict())


def picture_of(diagnosed: Diagnosed) -> Response:
    """The picture that explains a diagnosis, as an answer of its own.

    Raises:
        Problem: 422, there is none, because no leaf is to be seen. A photo without heat would say something else.
    """
    explanation = diagnosed.explanation
    if explanation is None or explanation.heatmap is None:
        raise Problem(422, "not_a_leaf", NO_LEAF)
    picture = explanation.heatmap.picture
    return Response(picture.data, media_type=picture.media_type)
