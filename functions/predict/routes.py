"""The route of predict: one plant, one to five photos, one diagnosis."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from plant_disease.explanation.explainer import Question
from plant_disease.service.engine import Engine
from plant_disease.service.inputs import fetch_photos, read_sources, request_body
from plant_disease.service.metering import METERED, described, metered
from plant_disease.service.problems import responses
from plant_disease.service.queries import parsed_query
from plant_disease.service.routes import PlainRoute
from plant_disease.service.schemas import DetailedAnswer, PredictAnswer, answer_of, as_json
from plant_disease.service.telemetry import record

MAX_PHOTOS = 5

router = APIRouter(tags=["predict"], route_class=PlainRoute)


class PredictQuery(BaseModel):
    """The query of /predict. A parameter that is not known is refused: a typo must not go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    top_k: int = Field(3, ge=1, description="how many classes to name, at most as many as there are")
    crop: list[Annotated[str, StringConstraints(max_length=100)]] = Field(
        [], max_length=20, description="the plant is one of these: only their classes are considered, and renormalised"
    )
    explain: bool = Field(False, description="show where on the photo the evidence for the most probable class lies")
    details: bool = Field(False, description="say of every class named what it means for the plant and what to do")


@router.post(
    "/predict",
    openapi_extra=described(PredictQuery, request_body()),
    response_model=PredictAnswer | DetailedAnswer,
    responses=responses(*METERED, 404, 408, 413, 415),
)
async def post_predict(request: Request) -> Response:
    """Diagnose one plant from one to five photos of it."""
    meter = await metered(request, "predict")
    query = parsed_query(PredictQuery, request)
    engine: Engine = request.app.state.engine
    engine.refuse_if_full()
    with record().timed("receive"):
        sources = await read_sources(request, engine.settings, most=MAX_PHOTOS)
    await meter.take(len(sources))
    encoded = await fetch_photos(sources, engine.readers)
    question = Question() if query.explain else None
    diagnosed = await engine.diagnose(encoded, top_k=query.top_k, crops=query.crop, question=question)
    answer = answer_of(diagnosed)
    return as_json(DetailedAnswer.of(answer) if query.details else answer)
