"""The route of predict: one plant, one to five photos, one diagnosis."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from plant_disease.service.auth import require_key
from plant_disease.service.engine import Engine
from plant_disease.service.inputs import read_photos, request_body
from plant_disease.service.problems import responses
from plant_disease.service.schemas import DetailedAnswer, ImageInfo, ModelIdentity, PredictAnswer, Timings
from plant_disease.service.telemetry import record

MAX_PHOTOS = 5

router = APIRouter(tags=["predict"])


class PredictQuery(BaseModel):
    """The query of /predict. A parameter that is not known is refused: a typo must not go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    top_k: int = Field(3, ge=1, description="how many classes to name, at most as many as there are")
    crop: list[Annotated[str, StringConstraints(max_length=100)]] = Field(
        [], max_length=20, description="the plant is one of these: only their classes are considered, and renormalised"
    )
    explain: bool = Field(False, description="not available yet: only false")
    details: bool = Field(False, description="say of every class named what it means for the plant and what to do")

    @field_validator("explain")
    @classmethod
    def _not_available_yet(cls, asked: bool) -> bool:
        if asked:
            raise ValueError("this service does not give it yet")
        return asked


@router.post(
    "/predict",
    dependencies=[Depends(require_key)],
    openapi_extra={"requestBody": request_body()},
    responses=responses(400, 401, 403, 404, 408, 413, 415, 422, 503),
)
async def post_predict(request: Request, query: Annotated[PredictQuery, Query()]) -> PredictAnswer | DetailedAnswer:
    """Diagnose one plant from one to five photos of it."""
    engine: Engine = request.app.state.engine
    engine.refuse_if_full()
    with record().timed("receive"):
        encoded = await read_photos(request, engine.settings, most=MAX_PHOTOS)
    bundle, photos, diagnosis = await engine.diagnose(encoded, top_k=query.top_k, crops=query.crop)
    noted = record()
    answer = PredictAnswer(
        request_id=noted.request_id,
        model=ModelIdentity.of(bundle),
        decision=diagnosis.decision,
        is_leaf=diagnosis.is_leaf,
        is_healthy=diagnosis.is_healthy,
        predictions=diagnosis.predictions,
        images=[ImageInfo(width=photo.width, height=photo.height, format=photo.format) for photo in photos],
        timings_ms=Timings(
            decode=round(noted.timings_ms["decode"], 1),
            model=round(noted.timings_ms["model"], 1),
            total=round(noted.total_ms(), 1),
        ),
    )
    return DetailedAnswer.of(answer) if query.details else answer
