"""Languages, assistive technology, small and large, light and dark, with and without a line; key, settings, history."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.functions.processes import ROOT, Process
from tests.page.conftest import LEAF, ROBOT, UNSURE, Site, Sites, static_host

PAGE = ROOT / "static_ui"
LOCALES = sorted((PAGE / "locales").glob("*.json"))
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds, in words; of all its rules if none are named."""
    # Past the policy of the page, which is right to refuse a script from outside.
    page.evaluate(AXE)
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes']]}" for each in found]


def diagnosed(site: Site) -> None:
    site.open().diagnose(LEAF)
    site.page.get_by_role("button", name="Show what it rests on").click()
    expect(site.page.locator("canvas.heat")).to_be_visible()


def uncertain(site: Site) -> None:
    site.open().diagnose(UNSURE)


def rejected(site: Site) -> None:
    site.open().diagnose(ROBOT)


def chosen(site: Site) -> None:
    site.open().choose(LEAF, UNSURE)
    expect(site.page.locator(".photo")).to_have_count(2)


def many(site: Site) -> None:
    site.open("#/many").choose(LEAF, UNSURE, ROBOT, PAGE / "config.json")
    expect(site.page.locator("tr.failed, tr.diagnosed, tr.uncertain, tr.rejected")).to_have_count(4)
    expect(site.page.locator(".progress")).to_be_hidden()


def history(site: Site) -> None:
    site.open().diagnose(LEAF)
    site.page.get_by_role("link", name="History").click()
    expect(site.page.locator(".entry")).to_have_count(1)


def settings(site: Site) -> None:
    site.open("#/settings")


def problem(site: Site) -> None:
    site.open().answer_with("**/predict?*", 429, "rate_limited", **{"Retry-After": "300"})
    site.choose(LEAF)
    site.ask()
    expect(site.page.get_by_role("alert")).to_be_visible()


def waiting(site: Site) -> None:
    site.open()
    site.page.route("**/predict?*", lambda route: None)
    site.choose(LEAF)
    site.ask()
    expect(site.page.locator(".waiting")).to_be_visible()


def camera(site: Site) -> None:
    site.open()
    # A computer's dialog, whatever the size of the window.
    site.page.evaluate("import('./js/camera.js').then(({ takePhoto }) => void takePhoto())")
    expect(site.page.get_by_role("dialog").get_by_role("button", name="Take the photo")).to_be_enabled()


def documentation(site: Site) -> None:
    site.page.goto(f"{site.url}/docs")
    expect(site.page.locator("#schemas")).to_be_visible()


def start(site: Site) -> None:
    site.open()


VIEWS: list[Callable[[Site], None]] = [
    start, chosen, waiting, problem, camera, diagnosed, uncertain, rejected, many, history, settings, documentation,
]  # fmt: skip


@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_axe_finds_nothing(sites: Sites, view: Callable[[Site], None], size: str) -> None:
    site = sites(size, color_scheme="light", reduced_motion="reduce")
    view(site)
    assert violations(site.page) == []
    # The same elements in other colours.
    site.page.emulate_media(color_scheme="dark")
    assert violations(site.page, "color-contrast", "link-in-text-block") == []
    width = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = site.page.evaluate(width)
    assert needed <= there, "nobody scrolls sideways"


@pytest.mark.parametrize("path", LOCALES, ids=lambda path: path.stem)
def test_no_language_misses_a_text(path: Path) -> None:
    english = json.loads((PAGE / "locales/en.json").read_text())
    texts = json.loads(path.read_text())
    assert set(texts) == set(english)
    for key, text in texts.items():
        assert text.strip(), key
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), key


def test_texts_are_those_that_the_page_asks_for() -> None:
    texts = set(json.loads((PAGE / "locales/en.json").read_text()))
    code = "\n".join(path.read_text() for path in [PAGE / "index.html", *PAGE.glob("js/**/*.js")])
    named = set(re.findall(r"""\bt\("([\w.]+)\"""", code)) | set(re.findall(r'data-i18n(?:-label)?="([\w.]+)"', code))
    plural = {
        key.removesuffix(".other")
        for key in texts
        if key.endswith(".other") and key.removesuffix("other") + "one" in texts
    }
    forms = {f"{key}.{form}" for key in plural for form in ("one", "other")}
    assert named <= (texts - forms) | plural
    # The rest is put together, as `problem.${key}.title`, or its key stands in a table.
    made = tuple(f"{head}." for head in re.findall(r"`(\w+)\.\$\{", code))
    assert [
        key
        for key in (texts - forms) | plural
        if key not in named and not key.startswith(made) and f'"{key}"' not in code
    ] == []


def test_every_class_of_the_model_has_a_name_in_every_language() -> None:
    manifests = sorted((ROOT / "models").glob("*/manifest.json"))
    classes = json.loads(manifests[-1].read_text())["classes"]
    texts = json.loads((PAGE / "locales/en.json").read_text())
    for each in classes:
        assert f"crop.{each['crop']}" in texts
        assert each["healthy"] or f"disease.{each['disease']}" in texts


TITLES = {
    "de-CH": ("de", "Was fehlt meiner Pflanze?", "Apfel: Wacholder-Apfelrost"),
    "es-MX": ("es", "¿Qué le pasa a mi planta?", "Manzano: roya del manzano y del enebro"),
    "fr-FR": ("fr", "Qu’a donc ma plante ?", "Pommier : rouille de Virginie (genévrier)"),
    "hi-IN": ("hi", "मेरे पौधे को क्या हुआ है?", "सेब: सीडर एप्पल रस्ट (रतुआ)"),
    "sv-SE": ("en", "What is wrong with my plant?", "Apple: cedar apple rust"),
}


@pytest.mark.parametrize("locale", TITLES)
def test_language_of_the_browser(sites: Sites, locale: str) -> None:
    language, title, disease = TITLES[locale]
    site = sites("phone", locale=locale).open()
    page = site.page
    expect(page.locator("h1")).to_have_text(title)
    assert page.evaluate("document.documentElement.lang") == language
    page.locator(".example").first.click()
    page.locator(".ask").click()
    expect(page.locator(".verdict h1")).to_have_text(disease)
    assert violations(page) == []
    needed, there = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert needed <= there


def test_language_chosen_is_remembered(site: Site) -> None:
    site.open()
    site.page.get_by_label("Language").select_option("de")
    expect(site.page.locator("h1")).to_have_text("Was fehlt meiner Pflanze?")
    site.page.reload()
    expect(site.page.locator("h1")).to_have_text("Was fehlt meiner Pflanze?")
    expect(site.page.get_by_label("Sprache")).to_have_value("de")


def test_right_to_left_is_not_precluded(site: Site) -> None:
    site.open().diagnose(LEAF)
    bar = site.page.locator(".fill").first
    frame = site.page.locator(".bar").first
    site.page.evaluate("document.documentElement.dir = 'rtl'")
    inner, outer = bar.bounding_box(), frame.bounding_box()
    assert inner
    assert outer
    assert abs(inner["x"] + inner["width"] - outer["x"] - outer["width"]) < 1, "bars start at the right"
    needed, there = site.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert needed <= there
    for path in PAGE.glob("**/*.css"):
        found = re.findall(
            r"(?<![\w-])(?:(?:margin|padding|border)-)?(?:left|right)\s*:|text-align: (?:left|right)",
            path.read_text(),
        )
        assert not found, f"{path.name}: {found}"


def test_reduced_motion(sites: Sites) -> None:
    site = sites(reduced_motion="reduce")
    waiting(site)
    assert "steps" in site.page.locator(".spinner").evaluate("each => getComputedStyle(each).animationTimingFunction")


def test_history_keeps_and_forgets(site: Site) -> None:
    page = site.page
    for photo in (LEAF, ROBOT):
        site.open().diagnose(photo)
    page.get_by_role("link", name="History").click()
    expect(page.locator(".entry")).to_have_count(2)
    page.reload()
    expect(page.locator(".entry")).to_have_count(2)
    assert page.evaluate("document.querySelector('.entry img').naturalWidth") > 0
    page.get_by_role("button", name="Delete No leaf").click()
    expect(page.locator(".entry")).to_have_count(1)
    page.get_by_role("link", name="Apple: cedar apple rust").click()
    expect(page.locator(".verdict.diagnosed")).to_be_visible()
    page.go_back()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator(".entry")).to_have_count(0)
    page.reload()
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()


def test_history_switched_off_keeps_nothing(site: Site) -> None:
    site.open("#/settings").page.get_by_label("Keep diagnoses in this browser").uncheck()
    site.open().diagnose(LEAF)
    site.open("#/history").page.reload()
    expect(site.page.get_by_text("Nothing here yet.")).to_be_visible()


LIMIT = {
    "name": "quota",
    "photos": 1000,
    "window": "month",
    "used": 12,
    "left": 988,
    "resets_at": "2030-01-01T00:00:00Z",
}


def test_key_is_kept_for_the_session_or_on_the_device(site: Site) -> None:
    page = site.open("#/settings").page
    page.route(
        "**/usage",
        lambda route: route.fulfill(json={"key_id": None, "name": None, "plan": "field", "limits": [LIMIT]}),
    )
    stored = "[sessionStorage.getItem('leaf-check:key'), localStorage.getItem('leaf-check:key')]"
    page.get_by_label("Key", exact=True).fill(" pd_secret ")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#polite")).to_contain_text("The key is used from now on.")
    assert page.evaluate(stored) == ["pd_secret", None]
    usage = page.locator("section", has=page.get_by_role("heading", name="Used and left"))
    expect(usage).to_contain_text("Plan: field")
    expect(usage).to_contain_text("Quota: 988 of 1,000 left")
    page.get_by_label("Remember on this device").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#polite")).to_contain_text("The key is used from now on.")
    assert page.evaluate(stored) == [None, "pd_secret"]
    with page.expect_request("**/predict?*") as asked:
        site.open()
        site.choose(LEAF)
        site.ask()
    assert asked.value.headers["x-api-key"] == "pd_secret"
    expect(page.locator(".verdict")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Forget the key").click()
    expect(page.locator("#polite")).to_contain_text("no key here any more")
    assert page.evaluate(stored) == [None, None]


def test_colours_can_be_chosen(site: Site) -> None:
    page = site.open("#/settings").page
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_label("Dark").check()
    assert page.evaluate(paper) != light
    page.reload()
    expect(page.get_by_label("Dark")).to_be_checked()
    assert page.evaluate(paper) != light


def test_offline_shell(sites: Sites) -> None:
    site = sites(workers=True, locale="de-DE")
    site.expect_console("Failed to load resource|ERR_INTERNET_DISCONNECTED|ERR_FAILED")
    page = site.open().page
    kept = """async () => {
        const cache = await caches.open((await caches.keys())[0]);
        return (await cache.keys()).map(({ url }) => url).join();
    }"""
    page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    for _ in range(200):
        if "locales/de.json" in page.evaluate(kept) and "config.json" in page.evaluate(kept):
            break
        page.wait_for_timeout(50)
    site.context.set_offline(True)
    page.reload()
    expect(page.locator(".drop")).to_be_visible()
    expect(page.locator("h1")).to_have_text("Was fehlt meiner Pflanze?")
    for tab, title in (("Viele Fotos", "Viele Fotos"), ("Verlauf", "Verlauf"), ("Einstellungen", "Einstellungen")):
        page.get_by_role("link", name=tab).click()
        expect(page.locator("h1")).to_have_text(title)
    site.context.set_offline(False)


def test_update_is_offered_and_taken(sites: Sites, service: Process, tmp_path: Path) -> None:
    with static_host(tmp_path, service.url) as (url, files):
        site = sites(url=url, workers=True)
        # The service does not allow this origin; nobody asks it anything here.
        site.expect_console("CORS policy|net::ERR_FAILED")
        page = site.open().page
        page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
        worker = (files / "sw.js").read_text()
        (files / "sw.js").write_text(re.sub(r'VERSION = "\w+"', 'VERSION = "newer"', worker))
        english = files / "locales" / "en.json"
        english.write_text(english.read_text().replace("What is wrong with my plant?", "What is new?"))
        page.reload()
        expect(page.locator("h1")).to_have_text("What is wrong with my plant?")
        page.get_by_role("button", name="Use it now").click()
        expect(page.locator("h1")).to_have_text("What is new?")
        expect(page.locator(".view")).to_be_attached()
        for _ in range(200):
            if page.evaluate("caches.keys()") == ["shell-newer"]:
                break
            page.wait_for_timeout(50)
        assert page.evaluate("caches.keys()") == ["shell-newer"], "nothing of the old version is left"
        expect(page.locator(".notice.update")).to_have_count(0)


def test_installable(site: Site) -> None:
    site.open()
    manifest = json.loads((PAGE / "manifest.webmanifest").read_text())
    from PIL import Image

    for icon in manifest["icons"]:
        path = PAGE / icon["src"]
        if path.suffix == ".png":
            width, _, height = icon["sizes"].partition("x")
            with Image.open(path) as image:
                assert image.size == (int(width), int(height))
        else:
            assert path.exists()
    session = site.context.new_cdp_session(site.page)
    assert session.send("Page.getAppManifest")["errors"] == []
