"""Queries are read as FastAPI reads them, and described as FastAPI describes them."""

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI, Query, Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from functions.batch.routes import BatchQuery
from functions.explain.routes import ExplainQuery
from functions.predict.routes import PredictQuery
from plant_disease.service.queries import parsed_query, query_parameters

MODELS = {"predict": PredictQuery, "batch": BatchQuery, "explain": ExplainQuery}
NAMES = ["top_k", "crop", "explain", "details", "target", "method", "format", "alpha", "faithfulness", "typo"]
VALUES = [
    "1",
    "0",
    "-1",
    "x",
    "",
    "true",
    "false",
    "no",
    "0.5",
    "2",
    "cam",
    "png",
    "json",
    "Apple",
    "a" * 201,
    "é",
    "+",
]


def app_of(model: type[BaseModel]) -> FastAPI:
    """A route that reads the query as we do, and one that leaves it to FastAPI."""
    app = FastAPI()

    @app.get("/ours", openapi_extra={"parameters": query_parameters(model)})
    async def ours(request: Request) -> dict[str, Any]:
        return parsed_query(model, request).model_dump()

    @app.get("/theirs")
    async def theirs(query: Annotated[model, Query()]) -> dict[str, Any]:  # type: ignore[valid-type]
        return query.model_dump()  # type: ignore[attr-defined, no-any-return]

    return app


APPS = {name: app_of(model) for name, model in MODELS.items()}


def answers(app: FastAPI, query: str) -> list[tuple[int, Any]]:
    async def ask(path: str) -> tuple[int, Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
            answer = await client.get(f"{path}?{query}")
        if answer.status_code != 422:
            return answer.status_code, answer.json()
        return 422, [(fault["loc"], fault["type"], fault["msg"]) for fault in answer.json()["detail"]]

    async def both() -> list[tuple[int, Any]]:
        return [await ask("/ours"), await ask("/theirs")]

    return asyncio.run(both())


@pytest.mark.parametrize("function", MODELS)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4))
def test_read_alike(function: str, query: list[tuple[str, str]]) -> None:
    ours, theirs = answers(APPS[function], urlencode(query))
    assert ours == theirs


@pytest.mark.parametrize("query", ["", "crop=Apple&crop=Corn&top_k=2", "top_k=1&top_k=2", "%ff=1", "&&", "top_k"])
def test_read_alike_however_written(query: str) -> None:
    ours, theirs = answers(APPS["predict"], query)
    assert ours == theirs


@pytest.mark.parametrize("function", MODELS)
def test_described_alike(function: str) -> None:
    paths = APPS[function].openapi()["paths"]
    assert paths["/ours"]["get"]["parameters"] == paths["/theirs"]["get"]["parameters"]
