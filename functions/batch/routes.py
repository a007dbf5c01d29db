"""The route of batch: many independent photos, a diagnosis each."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from plant_disease.service.batches import RunningBatch, Stream, while_connected
from plant_disease.service.engine import Engine
from plant_disease.service.inputs import read_sources, request_body
from plant_disease.service.metering import METERED, described, metered
from plant_disease.service.negotiation import preferred
from plant_disease.service.problems import responses
from plant_disease.service.queries import parsed_query
from plant_disease.service.routes import PlainRoute
from plant_disease.service.schemas import BatchAnswer
from plant_disease.service.telemetry import record

JSON, LINES, TABLE = "application/json", "application/x-ndjson", "text/csv"

router = APIRouter(tags=["batch"], route_class=PlainRoute)


class BatchQuery(BaseModel):
    """The query of /batch. A parameter that is not known is refused: a typo must not go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    top_k: int = Field(3, ge=1, description="how many classes to name for each photo, at most as many as there are")
    crop: list[Annotated[str, StringConstraints(max_length=100)]] = Field(
        [], max_length=20, description="all plants are of these: only their classes are considered, and renormalised"
    )


@router.post(
    "/batch",
    openapi_extra=described(BatchQuery, request_body(field="images", zips=True)),
    response_model=BatchAnswer,
    responses={
        200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in (LINES, TABLE)}},
        **responses(*METERED, 408, 413, 415),
    },
)
async def post_batch(request: Request) -> Response:
    """Diagnose each photo as a plant of its own. One that cannot be used fails alone.

    `Accept: application/x-ndjson` gives a line of JSON for each photo as soon as it is ready, `text/csv` a table.
    """
    meter = await metered(request, "batch")
    query = parsed_query(BatchQuery, request)
    engine: Engine = request.app.state.engine
    engine.refuse_if_full()
    with record().timed("receive"):
        sources = await read_sources(request, engine.settings, most=engine.settings.max_batch_images, zips=True)
    deadline = asyncio.get_running_loop().time() + engine.settings.batch_timeout_s
    classifier = await engine.classifier()
    classifier.check(query.top_k, query.crop)
    await meter.take(len(sources))
    batch = RunningBatch(engine, classifier, sources, top_k=query.top_k, crops=query.crop, deadline=deadline)
    media_type = preferred(request.headers.get("accept", ""), (JSON, LINES, TABLE))
    if media_type == LINES:
        return Stream(batch.as_lines(), media_type=LINES)
    body = await while_connected(request, batch.as_table() if media_type == TABLE else batch.as_document())
    return Response(body, media_type=media_type)
