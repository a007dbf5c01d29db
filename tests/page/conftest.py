"""The page in a real browser, served by the real service with the real model."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect

from tests.functions import processes
from tests.functions.processes import ROOT, Process
from tests.page.browser import SIZES, chromium

PHOTOS = ROOT / "tests/photos"
LEAF = PHOTOS / "apple-cedar-rust-3.jpg"
"""Diagnosed as cedar apple rust."""
UNSURE = PHOTOS / "apple-cedar-rust-1.jpg"
"""The same, less surely."""
ROBOT = PHOTOS / "robot.png"
"""No leaf."""
PHONE_PHOTO = PHOTOS / "phone-12mp.jpg"
"""12 megapixels, turned by EXIF, with a place."""

PATIENCE_MS = 30_000
"""For a machine that is busy with something else."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """`plant-disease serve`."""
    with processes.serve(
        tmp_path_factory.mktemp("page"), PLANT_MODEL_LOADING="eager", PLANT_LOG_LEVEL="WARNING"
    ) as process:
        yield process


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as browser:
        yield browser


class _SilentFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def static_host(folder: Path, endpoint: str) -> Iterator[tuple[str, Path]]:
    """The page as a bucket or a CDN has it: its files alone, in a folder of another origin.

    Args:
        folder: to copy the page into.
        endpoint: of the functions, for its config.json.

    Returns:
        Where it is, and its files.
    """
    files = folder / "some" / "folder"
    shutil.copytree(ROOT / "static_ui", files)
    endpoints = dict.fromkeys(("predict", "batch", "explain"), f"{endpoint}/v1/")
    (files / "config.json").write_text(json.dumps({"endpoints": endpoints}))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_SilentFiles, directory=str(folder))) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{host.server_port}/some/folder", files
        host.shutdown()


class Site:
    """The page in a browser of its own, and what its console has said."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.context = context
        self.page: Page = context.new_page()
        self.said: list[str] = []
        self.expected: list[str] = []
        self.page.on("console", self._note)
        # Whoever listens only when a dialog is about to open may be too late for it.
        self.page.on("filechooser", lambda _: None)
        self.page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text}")

    def expect_console(self, pattern: str) -> None:
        """Allow what the browser itself says of an answer that the test has asked for."""
        self.expected.append(pattern)

    def check(self) -> None:
        """Fail if the console said anything that was not expected."""
        assert [text for text in self.said if not any(re.search(pattern, text) for pattern in self.expected)] == []

    def open(self, path: str = "") -> "Site":
        """Show a view, as somebody who follows a link."""
        self.page.goto(f"{self.url}/{path}")
        expect(self.page.locator("main h1")).to_be_visible()
        expect(self.page.locator("main .view")).to_be_attached()
        return self

    def choose(self, *photos: Path | dict[str, Any]) -> None:
        """Take photos from the file dialog."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=re.compile("^(Choose|Add) photos")).click()
        chooser.value.set_files(list(photos))  # type: ignore[arg-type]

    def diagnose(self, *photos: Path | dict[str, Any]) -> None:
        """Choose photos, ask, and wait for the answer."""
        self.choose(*photos)
        expect(self.page.locator(".photo")).to_have_count(len(photos))
        self.ask()
        expect(self.page.locator(".verdict")).to_be_visible()

    def ask(self) -> None:
        """Press Diagnose."""
        self.page.get_by_role("button", name="Diagnose", exact=True).click()

    def answer_with(
        self, pattern: str, status: int, code: str, detail: str = "Said by the test.", **headers: str
    ) -> None:
        """Answer requests with a problem, as docs/interface.md has it. The page's own code stays real."""
        problem = {
            "type": "about:blank",
            "title": "Title",
            "status": status,
            "detail": detail,
            "code": code,
            "request_id": "request-of-the-test",
        }

        def fulfil(route: Route) -> None:
            route.fulfill(
                status=status,
                headers={"Content-Type": "application/problem+json", **headers},
                body=json.dumps(problem),
            )

        self.page.route(pattern, fulfil)
        self.expect_console(rf"status of {status}")


Sites = Callable[..., Site]


@pytest.fixture
def sites(browser: Browser, service: Process) -> Iterator[Sites]:
    """Makes sites. Arguments: those of Playwright's new_context, and `size`: phone or desktop."""
    made: list[Site] = []
    with ExitStack() as stack:

        def make(size: str = "desktop", url: str = service.url, workers: bool = False, **options: Any) -> Site:
            settings: dict[str, Any] = {
                **SIZES[size],
                "locale": "en-GB",
                "permissions": ["camera", "clipboard-read", "clipboard-write"],
                # The worker answers from its cache, past what a test has put in place.
                "service_workers": "allow" if workers else "block",
                **options,
            }
            context = stack.enter_context(browser.new_context(**settings))
            context.set_default_timeout(PATIENCE_MS)
            site = Site(context, url)
            site.expect_console("Service Worker registration blocked by Playwright")
            made.append(site)
            return site

        yield make
        for site in made:
            site.check()


@pytest.fixture
def site(sites: Sites) -> Site:
    """The page on a desktop, in English."""
    return sites()
