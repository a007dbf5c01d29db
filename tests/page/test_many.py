"""Many photos: a table that fills, with failures, retry, cancel, sort, filter and CSV."""

import csv
import io
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.page.conftest import LEAF, ROBOT, UNSURE, Site


def file(name: str, content: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def tiny() -> bytes:
    """A photo that the browser opens and the service refuses."""
    output = io.BytesIO()
    Image.new("RGB", (16, 16), "green").save(output, "PNG")
    return output.getvalue()


def names(page: Page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


def test_batch_of_30_with_two_bad_files(site: Site, tmp_path: Path) -> None:
    photos = [file(f"leaf-{number:02}.jpg", (LEAF if number % 2 else UNSURE).read_bytes()) for number in range(27)]
    photos += [
        file("=cmd|' /C calc'!A0.jpg", b"no photo"),
        file("tiny.png", tiny()),
        file("robot.png", ROBOT.read_bytes()),
    ]
    site.open("#/many").choose(*photos)
    page = site.page
    expect(page.locator("#polite")).to_have_text("Finished: 30 of 30 photos, 2 failed.")
    expect(page.locator("tbody tr")).to_have_count(30)
    expect(page.locator("tbody tr td.picture img")).to_have_count(29)
    expect(page.locator("tr.failed")).to_have_count(2)
    expect(page.locator("tr.failed").nth(0)).to_contain_text("This file cannot be opened as a photo")
    expect(page.locator("tr.failed").nth(1)).to_contain_text("needs at least 32 px")
    expect(page.locator("tr.rejected")).to_have_count(1)

    page.locator("th.probability button").click()
    expect(page.locator("th.probability")).to_have_attribute("aria-sort", "ascending")
    page.locator("th.probability button").click()
    expect(page.locator("th.probability")).to_have_attribute("aria-sort", "descending")
    expect(page.locator("tbody td.probability").first).to_have_text("97%")
    page.get_by_label("Show").select_option("failed")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Show").select_option("all")
    page.get_by_label("Search").fill("ROBOT")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Search").fill("")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "leaves.csv")
    text = (tmp_path / "leaves.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 30
    assert rows[1]["class_id"] == "Apple___Cedar_apple_rust"
    assert float(rows[1]["probability"]) > 0.9
    # No cell is a formula, whatever a photo is called.
    assert rows[27]["name"].startswith("'=cmd")
    assert (rows[28]["status"], rows[28]["error"]) == ("error", "image_too_small")


def test_columns_are_those_of_the_service(site: Site) -> None:
    from plant_disease.tables import COLUMNS

    source = (Path(__file__).parents[2] / "static_ui/js/csv.js").read_text()
    line = re.search(r"COLUMNS = \[(.*)\]", source)
    assert line
    assert re.findall(r'"(\w+)"', line[1]) == list(COLUMNS)


def test_retry_of_a_single_failure(site: Site) -> None:
    page = site.open("#/many").page
    site.answer_with("**/batch*", 500, "internal_error")
    site.choose(LEAF, ROBOT)
    expect(page.get_by_role("alert")).to_contain_text("Something went wrong on our side")
    expect(page.get_by_role("alert")).to_contain_text("request-of-the-test")
    expect(page.locator("tr.failed")).to_have_count(2)
    page.unroute_all()
    page.get_by_role("button", name="Retry robot.png").click()
    expect(page.locator("tr.rejected")).to_have_count(1)
    expect(page.locator("tr.failed")).to_have_count(1)
    page.get_by_role("button", name="Retry all that failed").click()
    expect(page.locator("tr.diagnosed")).to_have_count(1)
    page.get_by_role("button", name="Look closer at apple-cedar-rust-3.jpg").click()
    expect(page.locator(".photo .name")).to_have_text("apple-cedar-rust-3.jpg")
    # The table is still there.
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_cancel(site: Site) -> None:
    page = site.open("#/many").page
    held: list[Route] = []
    page.route("**/batch*", lambda route: held.append(route))
    site.choose(LEAF, ROBOT)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("tr.failed")).to_have_count(2)
    expect(page.locator("tr.failed").first).to_contain_text("Cancelled.")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.unroute_all()
    page.get_by_role("button", name="Retry all that failed").click()
    expect(page.locator("tr.diagnosed")).to_have_count(1)


def test_a_stream_that_breaks_off_keeps_what_had_come(site: Site) -> None:
    page = site.open("#/many").page

    def break_off(route: Route) -> None:
        lines = route.fetch().text().splitlines()
        whole = next(line for line in lines if '"index":0' in line)
        route.fulfill(content_type="application/x-ndjson", body=f'{whole}\n{{"index":1,"na')

    page.route("**/batch*", break_off)
    site.choose(LEAF, ROBOT)
    expect(page.get_by_role("alert")).to_contain_text("The line broke in the middle")
    expect(page.locator("tr.diagnosed")).to_have_count(1)
    expect(page.locator("tr.failed")).to_have_count(1)
    page.unroute_all()
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(page.locator("tr.rejected")).to_have_count(1)


def test_large_batches_go_in_parts(site: Site) -> None:
    page = site.open("#/many").page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/batch" in request.url else None)
    site.choose(*[LEAF] * 20)
    expect(page.locator("tr.diagnosed")).to_have_count(20)
    assert len(sent) == 2
