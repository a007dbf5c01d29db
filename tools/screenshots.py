"""Take the pictures of the page that the documentation shows, from the real page and service, and draw its icons.

Usage: python -m tools.screenshots
"""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.functions import processes
from tests.page.browser import SIZES, chromium
from tests.page.conftest import LEAF, ROBOT, UNSURE, Site

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "page"
ICONS = ROOT / "static_ui" / "icons"


def _start(site: Site) -> None:
    site.open()
    expect(site.page.locator(".example img").first).to_be_visible()


def _diagnosis(site: Site) -> None:
    site.open().diagnose(LEAF)
    site.page.get_by_role("button", name="Show what it rests on").click()
    expect(site.page.locator("canvas.heat")).to_be_visible()
    site.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def _unsure(site: Site) -> None:
    site.open().diagnose(UNSURE)


def _many(site: Site) -> None:
    site.open("#/many").choose(LEAF, UNSURE, ROBOT, ROOT / "tests/photos/apple-cedar-rust-2.jpg", ROOT / "LICENSE")
    expect(site.page.locator("#polite")).to_contain_text("Finished")
    expect(site.page.locator("tr.failed")).to_have_count(1)
    site.page.locator("tbody").scroll_into_view_if_needed()


_SHOWN = [
    ("phone", "light", "start", _start),
    ("phone", "dark", "start", _start),
    ("phone", "light", "diagnosis", _diagnosis),
    ("phone", "dark", "unsure", _unsure),
    ("desktop", "light", "diagnosis", _diagnosis),
    ("desktop", "dark", "many", _many),
    ("desktop", "light", "many", _many),
    ("desktop", "dark", "diagnosis", _diagnosis),
]


def _save(page: Page, name: str) -> None:
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        width = 390 if picture.width < picture.height else 960
        small = picture.convert("RGB").resize(
            (width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS
        )
    small.save(PICTURES / f"{name}.webp", quality=82, method=6)


def pictures(browser: Browser, url: str) -> None:
    """Write docs/page/."""
    PICTURES.mkdir(exist_ok=True)
    for size, scheme, name, show in _SHOWN:
        with browser.new_context(
            **SIZES[size], color_scheme=scheme, locale="en-GB", reduced_motion="reduce"
        ) as context:
            site = Site(context, url)
            show(site)
            _save(site.page, f"{size}-{scheme}-{name}")


def icons(browser: Browser) -> None:
    """Write the PNG of the icon, for systems that take no SVG."""
    svg = (ICONS / "icon.svg").read_text()
    # A maskable icon is cut to any shape: the ground goes to the edge, and the leaf keeps clear of it.
    maskable = (
        svg.replace('rx="15" ', "")
        .replace("<path", '<g transform="translate(9.6 9.6) scale(.7)"><path', 1)
        .replace("</svg>", "</g></svg>")
    )
    page = browser.new_page()
    for name, drawing, size in (("icon-192", svg, 192), ("icon-512", svg, 512), ("maskable-512", maskable, 512)):
        page.set_viewport_size({"width": size, "height": size})
        page.set_content(f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{drawing}")
        with Image.open(io.BytesIO(page.screenshot(omit_background=True))) as picture:
            picture.quantize(64).save(ICONS / f"{name}.png", optimize=True)


def main() -> None:
    """Both."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        icons(browser)
        with processes.serve(Path(folder), PLANT_MODEL_LOADING="eager") as process:
            pictures(browser, process.url)


if __name__ == "__main__":
    main()
