"""The route of explain: one photo, and the evidence for a class."""

from typing import Literal, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from plant_disease.classifier import DEFAULT_TOP_K
from plant_disease.explanation.colormaps import ColormapName
from plant_disease.explanation.explainer import Method, Question
from plant_disease.explanation.overlay import PictureKind, Style
from plant_disease.service.engine import Engine
from plant_disease.service.inputs import fetch_photos, read_sources, request_body
from plant_disease.service.metering import METERED, described, metered
from plant_disease.service.problems import responses
from plant_disease.service.queries import parsed_query
from plant_disease.service.routes import PlainRoute
from plant_disease.service.schemas import PredictAnswer, answer_of, as_json, picture_of
from plant_disease.service.telemetry import record

router = APIRouter(tags=["explain"], route_class=PlainRoute)

_PICTURES: dict[str, PictureKind] = {"json": "jpeg", "png": "png", "heatmap": "heatmap"}


class ExplainQuery(BaseModel):
    """The query of /explain. A parameter that is not known is refused: a typo must not go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    target: str | None = Field(None, max_length=200, description="class id; the most probable class if not given")
    contrast: str | None = Field(
        None, max_length=200, description="class id: show what speaks for the target rather than for this class"
    )
    method: Method = Field("cam", description="all but cam need torch, which lean installations do not have")
    layer: str | None = Field(
        None, max_length=200, description="of the network, for the methods that need torch; default: the last map"
    )
    format: Literal["json", "png", "heatmap"] = Field(
        "json", description="everything; the overlay alone; or the heatmap alone in grey, for a client that blends"
    )
    alpha: float = Field(0.6, ge=0, le=1, description="how much of the photo the hottest spot hides")
    colormap: ColormapName = "inferno"
    faithfulness: bool = Field(False, description="measure how far the heatmap can be believed; only with json")

    @model_validator(mode="after")
    def _pictures_tell_no_numbers(self) -> Self:
        if self.faithfulness and self.format != "json":
            raise ValueError("faithfulness is a part of format=json only")
        return self

    def question(self) -> Question:
        """What to ask the core."""
        return Question(
            target=self.target,
            contrast=self.contrast,
            method=self.method,
            layer=self.layer,
            faithfulness=self.faithfulness,
            style=Style(_PICTURES[self.format], self.alpha, self.colormap),
        )


@router.post(
    "/explain",
    openapi_extra=described(ExplainQuery, request_body()),
    response_model=PredictAnswer,
    responses={
        200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(*METERED, 404, 408, 413, 415),
    },
)
async def post_explain(request: Request) -> Response:
    """Diagnose one photo, and show where on it the evidence for a class lies."""
    meter = await metered(request, "explain")
    query = parsed_query(ExplainQuery, request)
    engine: Engine = request.app.state.engine
    engine.refuse_if_full()
    with record().timed("receive"):
        sources = await read_sources(request, engine.settings, most=1)
    await meter.take(len(sources))
    encoded = await fetch_photos(sources, engine.readers)
    diagnosed = await engine.diagnose(encoded, top_k=DEFAULT_TOP_K, question=query.question())
    return as_json(answer_of(diagnosed)) if query.format == "json" else picture_of(diagnosed)
