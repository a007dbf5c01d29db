"""How the page is served: headers, size, speed, and no file but its own."""

import gzip
import hashlib
import http.client
import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route, expect

from plant_disease.errors import ConfigurationError
from plant_disease.service.page import PageConfig
from tests.functions import processes
from tests.functions.processes import ROOT, Process
from tests.page.conftest import LEAF, Sites, static_host
from tools.page import WORKER, with_version

PAGE = ROOT / "static_ui"
BUDGET = 150_000


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("", "text/html; charset=utf-8"),
        ("index.html", "text/html; charset=utf-8"),
        ("docs", "text/html; charset=utf-8"),
        ("v1/docs", "text/html; charset=utf-8"),
        ("v1/docs/docs.js", "text/javascript; charset=utf-8"),
        ("js/app.js", "text/javascript; charset=utf-8"),
        ("sw.js", "text/javascript; charset=utf-8"),
        ("css/page.css", "text/css; charset=utf-8"),
        ("locales/hi.json", "application/json"),
        ("manifest.webmanifest", "application/manifest+json"),
        ("icons/icon.svg", "image/svg+xml"),
        ("icons/icon-192.png", "image/png"),
    ],
)
def test_files(service: Process, path: str, media_type: str) -> None:
    answer = httpx.get(f"{service.url}/{path}", headers={"Accept-Encoding": "identity"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self';")
    again = httpx.get(
        f"{service.url}/{path}", headers={"If-None-Match": answer.headers["etag"], "Accept-Encoding": "identity"}
    )
    assert (again.status_code, again.content) == (304, b"")
    head = httpx.head(f"{service.url}/{path}")
    assert (head.status_code, head.content) == (200, b"")


def test_compressed(service: Process) -> None:
    with httpx.stream("GET", f"{service.url}/js/app.js", headers={"Accept-Encoding": "br, gzip"}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(body) == (PAGE / "js/app.js").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/js/../../pyproject.toml",
        "/js/%2e%2e/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/js/..%5c..%5cpyproject.toml",
        "/%00",
        "/js",
        "/js/",
        "//etc/passwd",
        "/locales/en.json/",
    ],
)
def test_nothing_else_is_served(service: Process, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port or 0)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 404
    assert json.loads(answer.read())["code"] == "not_found"
    connection.close()


def test_wrong_method_is_told(service: Process) -> None:
    answer = httpx.post(f"{service.url}/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_endpoints_of_config_may_be_asked_and_no_others(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        '{"endpoints": {"predict": "https://predict.example/", "batch": "./", "explain": "https://explain.example:8443/v1/"},'
        ' "upload_origins": ["https://storage.googleapis.com"]}'
    )
    with processes.serve(tmp_path, PLANT_PAGE_CONFIG=str(config)) as process:
        policy = httpx.get(process.url).headers["content-security-policy"]
        served = httpx.get(f"{process.url}/config.json").text
    sources = policy.partition("connect-src ")[2].partition(";")[0]
    assert sources == "'self' https://explain.example:8443 https://predict.example https://storage.googleapis.com"
    assert served == config.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        '{"endpoint": {}}',
        '{"endpoints": {"predict": "javascript://x/%0aalert(1)"}}',
        '{"endpoints": {"predict": "https://a.example; script-src *"}}',
        '{"upload_origins": ["https://a b.example"]}',
    ],
)
def test_config_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"docs/page\.md"):
        PageConfig.read(path).policy()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        PageConfig.read(tmp_path / "none.json")


def test_page_from_a_static_host(sites: Sites, service: Process, tmp_path: Path) -> None:
    """A bucket or a CDN: the same files in a folder of another origin, with a config.json of their own."""
    with static_host(tmp_path, service.url) as (host, _):
        site = sites(url=host)
        asked: list[str] = []
        site.page.on("request", lambda request: asked.append(request.url))

        def allow(route: Route) -> None:
            # What PLANT_CORS_ORIGINS has the service say.
            answer = route.fetch()
            route.fulfill(response=answer, headers={**answer.headers, "access-control-allow-origin": "*"})

        site.page.route(f"{service.url}/**", allow)
        site.open().diagnose(LEAF)
        expect(site.page.locator(".verdict.diagnosed")).to_be_visible()
        assert any(url.startswith(f"{service.url}/v1/predict?") for url in asked)
        assert {url for url in asked if url.startswith("http")} == {
            url for url in asked if url.startswith((f"{host}/", f"{service.url}/v1/"))
        }
        site.expect_console("404")
        site.page.goto(f"{host}/docs.html")
        expect(site.page.locator("#post-predict")).to_be_visible()


def test_worker_is_up_to_date() -> None:
    assert WORKER.read_text() == with_version(WORKER.read_text()), "run: python tools/page.py"


def test_bytes_before_the_first_photo_and_first_paint(sites: Sites, capsys: pytest.CaptureFixture[str]) -> None:
    """The budget holds for all that is loaded, and for all that the worker keeps; the time is told, not judged."""
    shell = json.loads(WORKER.read_text().partition("SHELL = ")[2].partition(";")[0])
    assert sum((PAGE / name).stat().st_size for name in [*shell, "sw.js", "config.json"]) < BUDGET

    site = sites("phone")
    session = site.context.new_cdp_session(site.page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8},
    )
    loaded: dict[str, int] = {}
    site.page.on("requestfinished", lambda request: loaded.update({request.url: len(request.response().body())}))  # type: ignore[union-attr]
    site.open()
    # The drawn leaves are photos; they are looked at apart.
    own = {url: size for url, size in loaded.items() if "/examples/" not in url and "/classes" not in url}
    assert sum(own.values()) < BUDGET
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    first = 0.0
    for _ in range(200):
        if first := site.page.evaluate(paint):
            break
        site.page.wait_for_timeout(50)
    with capsys.disabled():
        print(
            f"\nThe page: {sum(own.values()) / 1000:.0f} kB in {len(own)} files, "
            f"first contentful paint after {first:.0f} ms at 1.6 Mbit/s and 150 ms"
        )


def test_files_of_the_page_name_no_third_party() -> None:
    for path in PAGE.rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".json", ".webmanifest"):
            for address in set(re.findall(r"https?://[\w.-]+", path.read_text())):
                assert address in ("http://www.w3.org", "https://owasp.org"), f"{path.name}: {address}"


def test_every_file_is_served_as_it_is(service: Process) -> None:
    for path in PAGE.rglob("*"):
        if path.is_file():
            body = httpx.get(f"{service.url}/{path.relative_to(PAGE).as_posix()}").content
            assert hashlib.sha256(body).digest() == hashlib.sha256(path.read_bytes()).digest(), path
