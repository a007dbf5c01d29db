"""A Chromium for the tests: the one installed, or else the one that `make test` has fetched."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

INSTALLED = Path("/usr/bin/chromium")
FETCHED = Path(sys.prefix) / "chromium"

SIZES: Mapping[str, dict[str, Any]] = {
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
    "desktop": {"viewport": {"width": 1280, "height": 860}},
}

_FLAGS = (
    # The tests may run as root, and visit nothing but themselves.
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


def _found() -> tuple[Path, dict[str, str]]:
    """The program, and the environment that it needs."""
    if INSTALLED.exists():
        return INSTALLED, {}
    program = FETCHED / "chromium"
    if not program.exists():
        raise FileNotFoundError(
            f"There is no Chromium: install Debian's as {INSTALLED}, or let `make {program}` fetch one."
        )
    own = {"LD_LIBRARY_PATH": str(FETCHED / "lib")}
    if not Path("/etc/fonts/fonts.conf").exists():
        own["FONTCONFIG_FILE"] = str(FETCHED / "fonts.conf")
    return program, own


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser until the block ends."""
    program, own = _found()
    with sync_playwright() as playwright:
        # Debian's start script adds to the environment; the proxies of the machine must not get in between.
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS, env={**env, **own})
        try:
            yield browser
        finally:
            browser.close()
