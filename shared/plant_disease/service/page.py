"""The page and the documentation, as files of `static_ui/`: `plant-disease serve` serves all, every function /docs.

A file is served at a route of its own and from memory, so no address leads anywhere else.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plant_disease.errors import ConfigurationError
from plant_disease.settings import bundled

_DOCUMENTATION = "docs"
"""docs.html, and what it consists of in the folder of that name."""

# Not by Python's mimetypes, which ask the machine they run on.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_COMPRESSED = ("text/", "application/json", "application/manifest+json", "image/svg+xml")


class PageConfig(BaseModel):
    """config.json beside the page.

    Attributes:
        endpoints: function -> address, relative to the page or whole; `./` where there is none.
        upload_origins: where `upload_url` of /uploads leads to, such as `https://storage.googleapis.com`.
        max_request_bytes: of photos in one batch.
    """

    model_config = ConfigDict(extra="forbid")

    endpoints: dict[str, str] = {}
    upload_origins: list[str] = []
    max_request_bytes: int = Field(4_000_000, ge=1)

    @classmethod
    def read(cls, path: Path) -> "PageConfig":
        """Read a config.json.

        Raises:
            ConfigurationError: there is none, or it says something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"PLANT_PAGE_CONFIG: {path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ConfigurationError(f"PLANT_PAGE_CONFIG: {path}: {faults}. See docs/page.md.") from error

    def policy(self) -> str:
        """The Content-Security-Policy of the page: nothing but its own files, and requests to these addresses."""
        origins = {_origin(address) for address in (*self.endpoints.values(), *self.upload_origins)} - {""}
        return "; ".join(
            [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' blob: data:",
                "media-src 'self' blob:",
                " ".join(["connect-src 'self'", *sorted(origins)]),
                "manifest-src 'self'",
                "worker-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types page",
            ]
        )


def _origin(address: str) -> str:
    """Scheme, host and port; empty for an address relative to the page."""
    parts = urlsplit(address)
    if not parts.netloc:
        return ""
    # What else could stand in an address would end the directive and begin another.
    if parts.scheme not in ("http", "https") or any(sign in parts.netloc for sign in " ;,'\"@"):
        raise ConfigurationError(f"config.json of the page: {address!r} is no http or https address. See docs/page.md.")
    return f"{parts.scheme}://{parts.netloc}"


class File(NamedTuple):
    """A file as it is sent.

    Attributes:
        media_type: with its charset.
        bodies: content coding -> bytes.
    """

    media_type: str
    bodies: Mapping[str, bytes]

    @classmethod
    def read(cls, path: Path) -> "File":
        """Read it and compress it once."""
        media_type = _TYPES[path.suffix]
        content = path.read_bytes()
        bodies = {"identity": content}
        if media_type.startswith(_COMPRESSED):
            bodies["gzip"] = gzip.compress(content, 9, mtime=0)
        return cls(media_type, bodies)

    def answer(self, request: Request, policy: str) -> Response:
        """The file, or that it has not changed."""
        accepted = request.headers.get("accept-encoding", "")
        coding = "gzip" if "gzip" in self.bodies and "gzip" in accepted else "identity"
        body = self.bodies[coding]
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {
            # Always asked about, and hardly ever sent twice: a new version is there at once.
            "Cache-Control": "no-cache",
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "ETag": tag,
            "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if coding != "identity":
            headers["Content-Encoding"] = coding
        return Response(body, media_type=self.media_type, headers=headers)


def page_routes(config: Path | None = None) -> APIRouter:
    """The page at `/`, and each of its files at its address.

    Args:
        config: a config.json in place of the page's own.

    Raises:
        ConfigurationError: the config.json cannot be used.
    """
    folder = bundled("static_ui")
    config = config or folder / "config.json"
    policy = PageConfig.read(config).policy()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in _TYPES}
    files["config.json"] = config
    return _routes({**files, "": folder / "index.html"}, policy)


def documentation_routes() -> APIRouter:
    """/docs, and what it consists of."""
    folder = bundled("static_ui")
    files = {f"{_DOCUMENTATION}/{path.name}": path for path in (folder / _DOCUMENTATION).glob("*.*")}
    return _routes({**files, _DOCUMENTATION: folder / f"{_DOCUMENTATION}.html"}, PageConfig().policy())


def _routes(files: Mapping[str, Path], policy: str) -> APIRouter:
    router = APIRouter()
    for address, path in files.items():
        endpoint = _endpoint(File.read(path), policy)
        router.add_route(f"/{address}", endpoint, methods=["GET"], include_in_schema=False)
    return router


def _endpoint(file: File, policy: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return file.answer(request, policy)

    return endpoint
