"""The service with two more routes, to see what it makes of a request, and with callers who are simply believed."""

from fastapi import APIRouter, FastAPI, Request
from mangum import Mangum

from functions.predict.routes import router as predict
from plant_disease.service.app import TEXT_TYPES, create_app
from plant_disease.service.auth import Caller, caller

router = APIRouter()


@router.get("/whence")
async def whence(request: Request) -> dict[str, str]:
    """Where the request comes from."""
    assert request.client
    return {"host": request.client.host, "scheme": request.url.scheme}


@router.get("/broken")
async def broken() -> None:
    """An error of ours."""
    raise RuntimeError("broken")


async def believe(request: Request) -> Caller:
    """Let everybody be who they say they are."""
    request.state.caller = Caller(request.headers["x-caller"])
    return request.state.caller  # type: ignore[no-any-return]


app = create_app(router, predict)
if app.state.engine.settings.auth == "required":
    for asked in (caller("predict"), caller("predict", "batch", "explain")):
        app.dependency_overrides[asked] = believe

handler = Mangum(app, lifespan="off", text_mime_types=TEXT_TYPES)


async def probe(_: Request) -> FastAPI:
    """The functions-framework target."""
    return app
