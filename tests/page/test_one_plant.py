"""One plant: every way in, the three decisions, the evidence, what to do."""

import base64
import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from tests.page.conftest import LEAF, PHONE_PHOTO, ROBOT, UNSURE, Site, Sites

DROP = """([name, type, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type }));
    return transfer;
}"""


def base64_of_leaf() -> str:
    return base64.b64encode(LEAF.read_bytes()).decode()


def file(name: str, content: bytes, mime: str = "image/jpeg") -> dict[str, object]:
    return {"name": name, "mimeType": mime, "buffer": content}


NOTE_FORMS = """{
    const send = window.fetch;
    window.forms = [];
    window.fetch = (url, options) => {
        if (options?.body instanceof FormData) window.forms.push(options.body.getAll("image"));
        return send(url, options);
    };
}"""
READ_FORM = """async () => Promise.all(window.forms.at(-1).map(async (file) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}))"""


def photos_sent(page: Page) -> list[bytes]:
    """The photos in the last form; the browser does not tell them as a part of the request."""
    return [base64.b64decode(photo) for photo in page.evaluate(READ_FORM)]


def ask_and_see(page: Page, path: str = "/predict") -> Request:
    with page.expect_request(lambda request: path in request.url and request.method == "POST") as asked:
        page.get_by_role("button", name="Diagnose", exact=True).click()
    return asked.value


def test_upload_to_diagnosis(site: Site) -> None:
    site.open().diagnose(LEAF)
    page = site.page
    expect(page.locator(".verdict.diagnosed h1")).to_have_text("Apple: cedar apple rust")
    expect(page.locator(".badge.diagnosed").first).to_have_text("Disease")
    bars = page.locator(".bars li")
    expect(bars).to_have_count(5)
    assert re.fullmatch(r"Apple: cedar apple rust\s*9\d%\s*", bars.first.inner_text())
    share = bars.first.locator(".fill").evaluate("each => each.offsetWidth / each.parentElement.offsetWidth")
    assert share > 0.9
    expect(page.locator(".healthy-line")).to_contain_text("Chance that the plant is healthy: 0.")
    expect(page.locator(".advice")).to_contain_text("Gymnosporangium juniperi-virginianae")
    expect(page.locator(".sources a").first).to_have_attribute("href", re.compile("^https://"))
    expect(page.locator(".advice")).to_contain_text("general advice, not a prescription")


def test_uncertain_says_what_would_help_and_the_crop_helps(site: Site) -> None:
    site.open().diagnose(UNSURE)
    page = site.page
    expect(page.locator(".verdict.uncertain h1")).to_contain_text("Not sure: perhaps")
    expect(page.get_by_role("heading", name="Here is what would help")).to_be_visible()
    page.get_by_label("Which plant is it?").select_option("Apple")
    with page.expect_request("**/predict?*crop=Apple*"):
        page.get_by_role("button", name="Diagnose again").click()
    expect(page.locator(".verdict")).to_contain_text("Only looked for in: Apple")
    names = page.locator(".bar-name").all_inner_texts()
    assert names
    assert all(name.startswith("Apple: ") for name in names)


def test_no_leaf_is_neither_diagnosed_nor_explained(site: Site) -> None:
    site.open().diagnose(ROBOT)
    page = site.page
    expect(page.locator(".verdict.rejected h1")).to_have_text("This does not look like a leaf")
    expect(page.get_by_role("heading", name="How to photograph a leaf")).to_be_visible()
    for absent in (".bars", ".advice", "#strength"):
        expect(page.locator(absent)).to_have_count(0)
    expect(page.get_by_role("button", name="Show what it rests on")).to_have_count(0)
    assert "false" not in page.locator("main").inner_text()


def test_photo_is_shrunk_upright_and_without_metadata(site: Site) -> None:
    site.page.add_init_script(NOTE_FORMS)
    site.open().choose(PHONE_PHOTO)
    page = site.page
    # Stored as 4000 x 3000 and turned by EXIF.
    expect(page.locator(".sizes")).to_contain_text("Original: 3000 × 4000, 391 kB")
    expect(page.locator(".sizes")).to_contain_text("Sent: 768 × 1024, ")
    ask_and_see(page)
    (photo,) = photos_sent(page)
    sent = Image.open(io.BytesIO(photo))
    assert (sent.format, sent.size) == ("JPEG", (768, 1024))
    assert not sent.getexif()
    assert b"Exif" not in photo
    with Image.open(PHONE_PHOTO) as original:
        assert original.getexif(), "the photo has something to lose"
        small = original.rotate(-90, expand=True).convert("RGB").resize((6, 8))
    seen = sent.convert("RGB").resize((6, 8))
    differences = [abs(a - b) for a, b in zip(small.tobytes(), seen.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 6, "orientation kept"


def test_paste(site: Site) -> None:
    site.open()
    transfer = site.page.evaluate_handle(DROP, ["pasted.jpg", "image/jpeg", base64_of_leaf()])
    site.page.evaluate(
        "transfer => window.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer, cancelable: true}))",
        transfer,
    )
    expect(site.page.locator(".photo .name")).to_have_text("pasted.jpg")


def test_drop(site: Site) -> None:
    site.open()
    transfer = site.page.evaluate_handle(DROP, ["dropped.jpg", "image/jpeg", base64_of_leaf()])
    site.page.dispatch_event(".drop", "dragenter", {"dataTransfer": transfer})
    expect(site.page.locator(".view.over")).to_have_count(1)
    site.page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
    expect(site.page.locator(".photo .name")).to_have_text("dropped.jpg")
    expect(site.page.locator(".view.over")).to_have_count(0)


def test_camera_of_a_computer(site: Site) -> None:
    site.open()
    site.page.get_by_role("button", name="Take a photo").click()
    dialog = site.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Take the photo").click()
    expect(dialog).to_have_count(0)
    expect(site.page.locator(".photo .name")).to_have_text("camera.jpg")
    assert site.page.evaluate("document.querySelector('.photo img').naturalWidth") > 100


def test_camera_that_is_refused(sites: Sites) -> None:
    site = sites(permissions=[])
    site.page.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }"
    )
    site.open()
    site.page.get_by_role("button", name="Take a photo").click()
    dialog = site.page.get_by_role("dialog")
    expect(dialog).to_contain_text("The camera cannot be used. Allow it in the browser")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def test_camera_of_a_phone_is_its_own(sites: Sites) -> None:
    site = sites("phone").open()
    with site.page.expect_file_chooser() as chooser:
        site.page.get_by_role("button", name="Take a photo").click()
    assert chooser.value.element.get_attribute("capture") == "environment"
    chooser.value.set_files(LEAF)
    expect(site.page.locator(".photo")).to_have_count(1)


def test_example(site: Site) -> None:
    site.open()
    expect(site.page.locator(".example")).to_have_count(3)
    site.page.get_by_role("button", name="Example 1").click()
    expect(site.page.locator(".photo")).to_have_count(1)
    site.ask()
    expect(site.page.locator(".verdict.diagnosed")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("IMG_0001.HEIC", b"\0\0\0\x18ftypheic" + b"\0" * 64, "This browser cannot open HEIC photos"),
        ("notes.jpg", b"no photo at all", "This file cannot be opened as a photo"),
        ("nothing.png", b"", "This file is empty"),
        ("cut.jpg", LEAF.read_bytes()[:300], "This file cannot be opened as a photo"),
    ],
)
def test_what_the_browser_cannot_open_is_said_plainly(site: Site, name: str, content: bytes, title: str) -> None:
    site.open().choose(file(name, content))
    alert = site.page.get_by_role("alert")
    expect(alert.get_by_role("heading")).to_have_text(title)
    expect(alert).to_contain_text(name)
    expect(site.page.locator(".waiting")).to_have_count(0)
    # And the way on is open.
    site.choose(LEAF)
    expect(site.page.locator(".photo")).to_have_count(1)
    expect(alert).to_have_count(0)


def test_photos_of_one_plant_add_up(site: Site) -> None:
    site.page.add_init_script(NOTE_FORMS)
    site.open().diagnose(LEAF)
    page = site.page
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose photos").click()
    chooser.value.set_files(UNSURE)
    expect(page.locator(".verdict")).to_contain_text("From 2 photos of this plant together.")
    assert len(photos_sent(page)) == 2
    expect(page.locator(".strip")).to_have_count(2)
    page.get_by_role("button", name="Photo 2").click()
    expect(page.get_by_role("button", name="Photo 2")).to_have_attribute("aria-pressed", "true")


def test_more_photos_than_a_plant_can_have(site: Site) -> None:
    site.open().choose(*[LEAF] * 6)
    expect(site.page.locator(".photo")).to_have_count(5)
    expect(site.page.locator(".note")).to_contain_text("One plant can have 5 photos")
    site.page.get_by_role("button", name="Remove apple-cedar-rust-3.jpg").first.click()
    expect(site.page.locator(".photo")).to_have_count(4)


def pixels_of_heat(page: Page) -> str:
    return str(page.locator("canvas.heat").evaluate("canvas => canvas.toDataURL()"))


def test_heatmap(site: Site) -> None:
    site.open().diagnose(LEAF)
    page = site.page
    with page.expect_request(lambda request: "/explain" in request.url) as asked:
        page.get_by_role("button", name="Show what it rests on").click()
    assert "format=heatmap" in asked.value.url
    expect(page.locator("canvas.heat")).to_be_visible()
    slider = page.get_by_label("Strength of the heatmap")
    expect(slider).to_be_focused()
    at_70 = pixels_of_heat(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    slider.fill("20")
    at_20 = pixels_of_heat(page)
    assert at_20 != at_70
    slider.press("Home")
    opaque = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
        .data.some((value, at) => at % 4 === 3 && value > 0)"""
    assert not page.locator("canvas.heat").evaluate(opaque)
    slider.fill("70")
    assert pixels_of_heat(page) == at_70
    assert requests == [], "another strength asks nobody"
    page.get_by_label("rather than for").select_option(index=2)
    expect(page.locator(".waiting")).to_have_count(0)
    assert any("contrast=" in url for url in requests)
    assert pixels_of_heat(page) != at_70
    with page.expect_request("**/explain?*"):
        page.get_by_label("What speaks for").select_option(index=1)


def test_originals_go_through_the_uploads_of_the_real_service(site: Site) -> None:
    """All of the photo arrives there, in its own size, and is diagnosed by its name."""
    site.open()
    page = site.page
    site.choose(PHONE_PHOTO)
    page.get_by_label("Send the originals").check()
    with page.expect_response("**/uploads?ticket=*") as put, page.expect_response("**/predict?*") as answer:
        site.ask()
    assert put.value.status == 204
    assert answer.value.status == 200
    assert answer.value.json()["images"] == [{"width": 3000, "height": 4000, "format": "JPEG"}]
    expect(page.locator(".verdict")).to_be_visible()


def test_originals_go_through_uploads(site: Site) -> None:
    """As docs/interface.md and the contract have it: where to, the PUT without the key, and then by name."""
    site.open()
    page = site.page
    page.route(
        "**/uploads",
        lambda route: route.fulfill(
            json={
                "upload_url": f"{site.url}/bucket/1?signature=x",
                "headers": {"Content-Type": "image/jpeg", "x-test": "1"},
                "image_uri": "s3://uploads/1.jpg",
                "expires_at": "2030-01-01T00:00:00Z",
            }
        ),
    )
    put = []
    page.route("**/bucket/**", lambda route: (put.append(route.request), route.fulfill(status=200, body="")))
    page.evaluate("sessionStorage.setItem('leaf-check:key', 'pd_test')")
    site.choose(PHONE_PHOTO)
    page.get_by_label("Send the originals").check()
    site.answer_with("**/predict?*", 404, "image_not_found")
    request = ask_and_see(page)
    assert request.post_data_json == {"image_uris": ["s3://uploads/1.jpg"]}
    assert request.headers["x-api-key"] == "pd_test"
    assert put[0].method == "PUT"
    assert put[0].post_data_buffer == PHONE_PHOTO.read_bytes()
    assert put[0].headers["x-test"] == "1"
    assert "x-api-key" not in put[0].headers
    expect(page.get_by_role("alert")).to_contain_text("Said by the test.")


def test_back_and_reload(site: Site) -> None:
    site.open().diagnose(LEAF)
    page = site.page
    page.reload()
    expect(page.locator(".verdict.diagnosed")).to_be_visible()
    page.go_back()
    expect(page.locator(".drop")).to_be_visible()
    page.go_forward()
    expect(page.locator(".verdict.diagnosed")).to_be_visible()


def test_keyboard_alone(site: Site) -> None:
    """From the top of the page to the heatmap, with Tab, Enter and arrows."""
    site.open()
    page = site.page

    def tab_to(text: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if text in page.evaluate("document.activeElement.closest('a, button')?.innerText ?? ''"):
                return
        raise AssertionError(f"Tab never reaches {text!r}")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    tab_to("Choose photos")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(LEAF)
    expect(page.get_by_role("button", name="Diagnose", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".verdict h1")).to_be_focused()
    tab_to("Show what it rests on")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Strength of the heatmap")).to_be_focused()
    before = pixels_of_heat(page)
    page.keyboard.press("ArrowLeft")
    assert pixels_of_heat(page) != before
    tab_to("Another plant")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator(".drop")).to_be_visible()


def test_markup_in_names_and_messages_is_text(site: Site) -> None:
    evil = "<img src=x onerror=alert(1)>"
    page = site.open().page
    page.on("dialog", lambda dialog: site.said.append(f"dialog: {dialog.message}"))
    site.choose(file(f"{evil}.jpg", LEAF.read_bytes()))
    expect(page.locator(".photo .name")).to_have_text(f"{evil}.jpg")
    site.answer_with("**/predict?*", 400, "unreadable_image", detail=f"{evil}<script>alert(2)</script>")
    site.ask()
    expect(page.get_by_role("alert").locator("q")).to_have_text(f"{evil}<script>alert(2)</script>")
    page.unroute_all()
    # A model of one's own may call its classes anything.
    answer = {
        "decision": "uncertain",
        "is_leaf": {"probability": 0.9, "threshold": 0.5, "binary": True},
        "is_healthy": {"probability": 0.1, "threshold": 0.5, "binary": False},
        "predictions": [
            {"class_id": evil, "crop": evil, "disease": evil, "healthy": False, "probability": 0.5, "details": None}
        ],
        "advice_note": evil,
        "request_id": evil,
        "model": {"name": evil, "version": "1", "sha256": ""},
        "images": [],
    }
    page.route("**/predict?*", lambda route: route.fulfill(json=answer))
    site.ask()
    expect(page.locator(".verdict h1")).to_contain_text(evil)
    expect(page.locator("main img[src=x]")).to_have_count(0)


def test_share_and_print(sites: Sites) -> None:
    site = sites()
    site.page.add_init_script(
        "window.shared = [];"
        "navigator.share = async (data) => { window.shared.push({text: data.text, files: data.files?.length}); };"
        "navigator.canShare = () => true; window.print = () => { window.printed = true; };"
    )
    site.open().diagnose(LEAF)
    page = site.page
    page.get_by_role("button", name="Share").click()
    (shared,) = page.evaluate("window.shared")
    assert shared["files"] == 1
    assert "Apple: cedar apple rust" in shared["text"]
    page.get_by_role("button", name="Copy as text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "not a laboratory" in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Print or save as PDF").click()
    assert page.evaluate("window.printed")
    # A report of one page: count the pages of the PDF that the browser makes of it.
    pdf = page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "12mm"))
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
