"""The FastAPI application that all functions share."""

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from plant_disease import __version__
from plant_disease.service import problems, upload_routes, usage_routes
from plant_disease.service.bodies import BoundedBodies
from plant_disease.service.edge import RefuseTooLarge, SecurityHeaders, cors
from plant_disease.service.engine import Engine
from plant_disease.service.idempotency import Replay
from plant_disease.service.keyring import Keyring
from plant_disease.service.limits import Limiter
from plant_disease.service.metering import Metering, replayed
from plant_disease.service.page import documentation_routes
from plant_disease.service.patience import Patience
from plant_disease.service.proxies import TrustedProxies
from plant_disease.service.schemas import ClassesAnswer, Health
from plant_disease.service.telemetry import Telemetry, configure_telemetry
from plant_disease.service.unread import CloseUnread
from plant_disease.service.usage import UsageLog
from plant_disease.settings import Settings, read_settings

TEXT_TYPES = ["text/", "application/json", problems.MEDIA_TYPE, "application/x-ndjson"]
"""What Lambda answers as text. The rest goes out as base64, which a REST API of API Gateway would leave as it is."""


def create_app(*routers: APIRouter, settings: Settings | None = None) -> FastAPI:
    """An application with the given routes, uploads, health, classes and documentation.

    Args:
        routers: what this function does; routes find the model as `request.app.state.engine`, and what counts
            their photos as `request.app.state.limiter`.
        settings: default: from the environment.
    """
    settings = settings or read_settings()
    metrics = configure_telemetry(settings)
    app = FastAPI(
        title="Plant disease detector",
        version=__version__,
        summary="A photo of a leaf goes in; a calibrated diagnosis with its evidence comes out.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        # FastAPI's own pages are fetched from elsewhere.
        docs_url=None,
        redoc_url=None,
        # A redirect would be built from the Host header, and have the photo sent twice.
        redirect_slashes=False,
        # Spans are ours (service/telemetry): FastAPI's would carry the query, and its logs what an exception says.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.engine = Engine(settings)
    app.state.keyring = Keyring(settings)
    app.state.limiter = Limiter(settings)
    app.state.usage = UsageLog(settings)
    app.state.patience = Patience("usage and kept answers")
    problems.install(app)
    app.add_exception_handler(Replay, replayed)
    # The last one added is the first to see a request.
    app.add_middleware(_Versioned)
    app.add_middleware(BoundedBodies, settings.max_bodies_bytes)
    app.add_middleware(RefuseTooLarge, settings)
    app.add_middleware(CloseUnread)
    app.add_middleware(Metering, app.state.usage)
    app.add_middleware(Telemetry)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, **cors(settings))
    app.add_middleware(SecurityHeaders)
    app.add_middleware(TrustedProxies, settings.trusted_proxies)
    for router in (*routers, _common, documentation_routes(), upload_routes.router, usage_routes.router):
        app.include_router(router)
    if metrics:
        app.add_api_route("/metrics", metrics.expose, include_in_schema=False)
    return app


_common = APIRouter()


@_common.get("/health/live", tags=["health"])
async def live(request: Request) -> Health:
    """The process answers."""
    return Health(status="ok", model=request.app.state.engine.state)


@_common.get("/health/ready", tags=["health"], responses={503: {"model": Health}})
async def ready(request: Request, response: Response) -> Health:
    """Requests can be served at once. A model that loads lazily counts as ready until the first request."""
    engine: Engine = request.app.state.engine
    engine.retry()
    state = engine.state
    is_ready = state == "ready" or (state == "idle" and engine.settings.model_loading == "lazy")
    if not is_ready:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return Health(status="ok" if is_ready else "unavailable", model=state)


@_common.get("/classes", tags=["model"], responses=problems.responses(503))
async def classes(request: Request) -> ClassesAnswer:
    """Everything that the model can answer."""
    classifier = await request.app.state.engine.classifier()
    return ClassesAnswer(classes=classifier.manifest.classes)


class _Versioned:
    """ASGI middleware: every path also answers under /v1."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        if scope["type"] == "http" and scope["path"].removeprefix(root).startswith("/v1/"):
            # In place: whoever is further out reads from the scope which route it was.
            scope["root_path"] = root + "/v1"
        await self._app(scope, receive, send)
