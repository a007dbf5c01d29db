"""The service with more routes, to see what it makes of a request."""

import gc

from fastapi import APIRouter, FastAPI, Request
from mangum import Mangum

from functions.predict.routes import router as predict
from plant_disease.service.app import TEXT_TYPES, create_app

router = APIRouter()


@router.get("/whence")
async def whence(request: Request) -> dict[str, str]:
    """Where the request comes from."""
    assert request.client
    return {"host": request.client.host, "scheme": request.url.scheme}


@router.get("/garbage")
async def garbage() -> dict[str, int]:
    """Whether garbage is collected, and how many objects are spared."""
    return {"is_collected": gc.isenabled(), "spared": gc.get_freeze_count()}


@router.get("/broken")
async def broken() -> None:
    """An error of ours."""
    raise RuntimeError("broken")


app = create_app(router, predict)

handler = Mangum(app, lifespan="off", text_mime_types=TEXT_TYPES)


async def probe(_: Request) -> FastAPI:
    """The functions-framework target."""
    return app
