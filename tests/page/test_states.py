"""What can go wrong, and what the page says to do next."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
from tests.functions import processes
from tests.page.conftest import LEAF, Site, Sites


@pytest.mark.parametrize(
    ("status", "code", "title", "action"),
    [
        (401, "key_required", "This service asks for a key", "Enter a key"),
        (401, "invalid_key", "This key is not accepted", "Enter a key"),
        (402, "quota_spent", "The quota is used up", "Enter a key"),
        (403, "scope_missing", "This key does not allow it", "Enter a key"),
        (413, "body_too_large", "Too large for the service", None),
        (422, "invalid_parameter", "The service did not take this", None),
        (500, "internal_error", "Something went wrong on our side", "Try again"),
        (504, "", "Something went wrong on our side", "Try again"),
    ],
)
def test_problem(site: Site, status: int, code: str, title: str, action: str | None) -> None:
    site.open().answer_with("**/predict?*", status, code)
    site.choose(LEAF)
    site.ask()
    alert = site.page.get_by_role("alert")
    expect(alert.get_by_role("heading")).to_have_text(title)
    expect(alert.get_by_role("heading")).to_be_focused()
    expect(alert).to_contain_text("Said by the test.")
    expect(alert).to_contain_text("request-of-the-test")
    if action:
        expect(alert.get_by_text(action, exact=True)).to_be_visible()
    # The photo is still there, and the next attempt has its chance.
    site.page.unroute_all()
    site.ask()
    expect(site.page.locator(".verdict.diagnosed")).to_be_visible()


def test_401_of_the_real_service_leads_to_the_key_and_back(sites: Sites, tmp_path: Path) -> None:
    with processes.serve(tmp_path, PLANT_AUTH="required", PLANT_LOG_LEVEL="WARNING") as closed:
        site = sites(url=closed.url).open()
        site.expect_console("status of 401")
        site.choose(LEAF)
        site.ask()
        site.page.get_by_role("alert").get_by_role("link", name="Enter a key").click()
        expect(site.page.get_by_role("heading", name="API key")).to_be_visible()
        site.page.go_back()
        expect(site.page.locator(".photo")).to_have_count(1)


def test_a_real_key_what_it_has_left_and_its_end(sites: Sites, tmp_path: Path) -> None:
    store = KeyStore(str(tmp_path / "keys.json"))
    keys.define_plan(store, "field", Plan(rates={"predict": "5/hour"}, quota="1/month"))
    key = keys.create(store, name="Me", scopes=["predict", "explain", "usage"], plan="field").text
    settings = {"PLANT_AUTH": "required", "PLANT_API_KEYS_URI": str(tmp_path / "keys.json")}
    with processes.serve(tmp_path, **settings, PLANT_MODEL_LOADING="eager") as service:
        site = sites(url=service.url).open("#/settings")
        page = site.page
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Save").click()
        usage = page.locator("section", has=page.get_by_role("heading", name="Used and left"))
        expect(usage).to_contain_text("Plan: field")
        expect(usage).to_contain_text("Quota: 1 of 1 left")
        expect(usage).to_contain_text("One plant: 5 of 5 left")
        site.open()
        site.diagnose(LEAF)
        site.expect_console("status of 402")
        # The heatmap came with it.
        site.open("#/settings")
        expect(usage).to_contain_text("Quota: 0 of 1 left")
        site.open()
        site.choose(LEAF)
        site.ask()
        expect(page.get_by_role("alert")).to_contain_text("request")
        expect(page.get_by_role("alert")).to_contain_text("begins anew")


def test_a_page_of_a_gateway_is_not_shown(site: Site) -> None:
    site.open()
    site.expect_console("status of 502")
    site.page.route(
        "**/predict?*", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>")
    )
    site.choose(LEAF)
    site.ask()
    expect(site.page.get_by_role("alert")).to_contain_text("Something went wrong on our side")
    expect(site.page.get_by_role("alert")).not_to_contain_text("Bad")


def test_429_counts_down(site: Site) -> None:
    limits = {
        "Retry-After": "3",
        "RateLimit-Policy": '"predict";q=60;w=60, "quota";q=1000;w=2592000',
        "RateLimit": '"predict";r=0;t=3, "quota";r=940;t=5000',
    }
    site.open().answer_with("**/predict?*", 429, "rate_limited", **limits)
    site.choose(LEAF)
    site.ask()
    alert = site.page.get_by_role("alert")
    again = alert.get_by_role("button")
    expect(again).to_have_text("Try again in 3 seconds")
    expect(again).to_be_disabled()
    expect(again).to_have_text("Try again in 1 second")
    expect(again).to_have_text("Try again")
    expect(again).to_be_enabled()
    expect(again).to_be_focused()
    site.page.unroute_all()
    again.click()
    expect(site.page.locator(".verdict.diagnosed")).to_be_visible()
    # And what is left is told.
    site.page.get_by_role("link", name="Settings").click()
    usage = site.page.locator("section", has=site.page.get_by_role("heading", name="Used and left"))
    expect(usage).to_contain_text("Quota: 940 of 1,000 left")
    expect(usage).to_contain_text("One plant: 0 of 60 left")


def test_503_is_tried_again_by_itself_because_nothing_was_done(site: Site) -> None:
    site.open()
    asked: list[float] = []

    def busy_once(route: Route) -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            problem = {"status": 503, "code": "overloaded", "title": "", "detail": "Too many.", "request_id": "1"}
            headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
            route.fulfill(status=503, headers=headers, json=problem)
        else:
            route.continue_()

    site.expect_console("status of 503")
    site.page.route("**/predict?*", busy_once)
    site.choose(LEAF)
    site.ask()
    expect(site.page.locator(".waiting")).to_contain_text("The service is busy. Trying again in 1 second")
    expect(site.page.locator(".verdict.diagnosed")).to_be_visible()
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1, "not before Retry-After"


def test_503_that_stays(site: Site) -> None:
    site.open().answer_with("**/predict?*", 503, "model_unavailable", **{"Retry-After": "1"})
    site.choose(LEAF)
    site.ask()
    expect(site.page.get_by_role("alert")).to_contain_text("The model cannot be loaded just now")
    expect(site.page.get_by_role("alert").get_by_role("button", name="Try again", exact=True)).to_be_enabled()


def test_a_lost_answer_is_not_asked_for_again_by_itself(site: Site) -> None:
    """The photo may have been counted before the line broke."""
    site.open()
    asked: list[str] = []

    def lose(route: Route) -> None:
        asked.append(route.request.url)
        route.abort("connectionreset")

    site.expect_console("net::ERR_CONNECTION_RESET")
    site.page.route("**/predict?*", lose)
    site.choose(LEAF)
    site.ask()
    alert = site.page.get_by_role("alert")
    expect(alert).to_contain_text("The service cannot be reached")
    assert len(asked) == 1
    site.page.unroute_all()
    alert.get_by_role("button", name="Try again").click()
    expect(site.page.locator(".verdict.diagnosed")).to_be_visible()


@pytest.mark.parametrize(
    ("state", "said"), [("loading", "The service is waking up."), ("ready", "It takes longer than usual.")]
)
def test_slow_says_why_and_can_be_cancelled(site: Site, state: str, said: str) -> None:
    site.open()
    held: list[Route] = []
    site.page.route("**/predict?*", lambda route: held.append(route))
    site.page.route("**/health/live", lambda route: route.fulfill(json={"status": "ok", "model": state}))
    site.choose(LEAF)
    site.ask()
    expect(site.page.locator(".waiting")).to_contain_text(said)
    expect(site.page.locator("#polite")).to_contain_text(said)
    site.page.get_by_role("button", name="Cancel").click()
    expect(site.page.locator(".waiting")).to_have_count(0)
    expect(site.page.get_by_role("alert")).to_have_count(0)
    expect(site.page.get_by_role("button", name="Diagnose", exact=True)).to_be_enabled()


def test_no_answer_in_time(site: Site) -> None:
    # A minute, made short by the browser's own clock.
    site.page.clock.install()
    site.page.add_init_script(
        "AbortSignal.timeout = (milliseconds) => { const control = new AbortController();"
        " setTimeout(() => control.abort(), milliseconds); return control.signal; };"
    )
    site.open()
    held: list[Route] = []
    site.page.route("**/predict?*", lambda route: held.append(route))
    site.choose(LEAF)
    site.ask()
    expect(site.page.locator(".waiting")).to_be_visible()
    site.page.clock.run_for(61_000)
    expect(site.page.get_by_role("alert")).to_contain_text("No answer came in time")


def test_offline_goes_on_by_itself(site: Site) -> None:
    site.open()
    site.choose(LEAF)
    site.context.set_offline(True)
    expect(site.page.locator(".notice.offline")).to_contain_text("You are offline")
    site.ask()
    expect(site.page.get_by_role("alert")).to_contain_text("It goes on by itself as soon as there is a line.")
    site.context.set_offline(False)
    expect(site.page.locator(".verdict.diagnosed")).to_be_visible()
    expect(site.page.locator(".notice.offline")).to_have_count(0)


def test_without_storage_the_page_works_all_the_same(sites: Sites) -> None:
    site = sites()
    site.page.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])"
        " Object.defineProperty(window, name, { get() { throw new DOMException('', 'SecurityError'); } });"
    )
    site.open().diagnose(LEAF)
    expect(site.page.locator(".verdict.diagnosed")).to_be_visible()


def test_model_that_cannot_be_loaded(sites: Sites, tmp_path: Path) -> None:
    """By the real service."""
    with processes.serve(
        tmp_path, PLANT_MODEL_URI=str(tmp_path / "nowhere"), PLANT_MODEL_RETRY_S="0", PLANT_LOG_LEVEL="ERROR"
    ) as broken:
        site = sites(url=broken.url)
        site.expect_console("status of 503")
        site.open()
        site.choose(LEAF)
        site.ask()
        alert = site.page.get_by_role("alert")
        expect(alert).to_contain_text("The model cannot be loaded just now", timeout=60_000)
        expect(alert).to_contain_text("The service says:")
