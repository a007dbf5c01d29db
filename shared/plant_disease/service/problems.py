"""Errors as RFC 9457 problems: what was wrong and what to do, and never a stack trace."""

import http
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from plant_disease import errors
from plant_disease.service.telemetry import record, request_id

MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """The body of every answer with a status of 400 or above."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unsupported Media Type"])
    status: int = Field(examples=[415])
    detail: str = Field(examples=["This is not a JPEG, PNG or WebP image."])
    code: str = Field(description="stable, for programs", examples=["unsupported_format"])
    request_id: str


class Problem(errors.PlantDiseaseError):
    """An answer that is an error, or in a batch an item that is.

    Args:
        status: HTTP status.
        code: a stable word for programs.
        detail: one or two sentences for a person.
        retry_after: seconds after which it is worth trying again.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def document(self) -> ProblemDocument:
        """The problem as it is written."""
        return ProblemDocument(
            type="about:blank",
            title=http.HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
            request_id=request_id(),
        )

    def response(self) -> JSONResponse:
        """The problem as an HTTP answer. That it is given is noted."""
        noted = record()
        noted.fields["code"] = self.code
        noted.problems[self.code] += 1
        return JSONResponse(self.document().model_dump(), self.status, self.headers, media_type=MEDIA_TYPE)


_STATUSES: dict[type[errors.PlantDiseaseError], int] = {
    errors.EmptyImage: 400,
    errors.UnsupportedFormat: 415,
    errors.UnreadableImage: 400,
    errors.ImageTooSmall: 400,
    errors.ImageTooLarge: 413,
    errors.ArchiveRefused: 400,
    errors.ArchiveTooLarge: 413,
    errors.BatchTooLarge: 413,
    errors.OutOfTime: 503,
}

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_HTTP_DETAILS = {
    404: "There is nothing at this address. The interface is described at /docs.",
    405: "This address does not take this method. The interface is described at /docs.",
}


def from_error(error: errors.PlantDiseaseError, *, which: str = "") -> Problem:
    """The problem for what is wrong with a photo or an archive; `which` says which of several."""
    return error if isinstance(error, Problem) else Problem(_STATUSES[type(error)], error.code, f"{which}{error}")


def install(app: FastAPI) -> None:
    """Let every error of the application leave it as a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(errors.InvalidQuestion, _invalid_question)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        # FastAPI knows of models only in answers of the type application/json.
        schema["components"]["schemas"].setdefault(ProblemDocument.__name__, ProblemDocument.model_json_schema())
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents


async def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - for the type checker: registered for this class only
    return error.response()


async def _invalid_question(_: Request, error: Exception) -> JSONResponse:
    return Problem(422, "invalid_parameter", str(error)).response()


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # The value itself stays out of the answer: it may be as long or as private as the caller likes.
    faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
    return Problem(422, "invalid_parameter", faults).response()


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _HTTP_CODES.get(error.status_code, "http_error")
    detail = _HTTP_DETAILS.get(error.status_code, str(error.detail))
    return Problem(error.status_code, code, detail, headers=error.headers).response()


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of problem answers."""
    return {
        status: {
            "description": http.HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in statuses
    }
