"""Rules and dashboards ask for what a running service exposes, and each alert is tested and explained."""

import re
from collections.abc import Iterator

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.functions import processes
from tests.functions.photos import leaf
from tests.functions.processes import ROOT, wait_for
from tests.monitoring.documents import (
    MONITORING,
    alerts,
    dashboard,
    dashboard_queries,
    queries,
    rules,
    selectors,
    unit_tests,
)
from tools.dashboard import DOCUMENT, as_text

SCRAPED = {"function", "job", "instance"}
"""Labels that Prometheus adds to what it scrapes."""

OTHERS = {
    "up": SCRAPED,
    "ALERTS": {"alertname", "alertstate", "severity"},
    "probe_success": SCRAPED,
    "probe_ssl_earliest_cert_expiry": SCRAPED,
    "alertmanager_notifications_failed_total": {"integration", "reason"},
}
"""What Prometheus itself, the blackbox exporter and Alertmanager expose: test_prometheus.py asks them."""

RECORDED = {rule["record"] for rule in rules() if "record" in rule}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The samples of a service that has had work, with their labels."""
    with processes.uvicorn(tmp_path_factory.mktemp("service"), PLANT_METRICS="on") as process:
        client = httpx.Client(base_url=process.url, trust_env=False, timeout=30)
        assert client.post("/predict", content=leaf(), headers={"content-type": "image/jpeg"}).is_success
        assert client.post("/predict", content=b"no photo", headers={"content-type": "image/jpeg"}).status_code == 415
        # Requests are counted after their answers.
        wait_for(lambda: 'status="415"' in client.get("/metrics").text, 10)
        samples: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(client.get("/metrics").text):
            for sample in family.samples:
                samples.setdefault(sample.name, set()).update(sample.labels)
        yield samples


@pytest.mark.parametrize("query", queries())
def test_what_is_asked_for_is_exposed(query: str, exposed: dict[str, set[str]]) -> None:
    asked = selectors(query)
    for selector in asked:
        assert selector.name is not None
        if selector.name in RECORDED:
            continue
        known = OTHERS.get(selector.name) or exposed.get(selector.name)
        assert known is not None, f"nothing exposes {selector.name}"
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= known | SCRAPED, f"{selector.name} has only {known}"
    assert asked or query.startswith("vector(")


def test_what_is_recorded_is_used() -> None:
    used = {selector.name for query in queries() for selector in selectors(query)}
    assert used >= RECORDED


def test_codes_and_outcomes_are_those_of_the_service(exposed: dict[str, set[str]]) -> None:
    named = set(re.findall(r'code="(\w+)"', "\n".join(queries())))
    assert named <= set(re.findall(r"`(\w+)`", (ROOT / "docs/interface.md").read_text()))


@pytest.mark.parametrize("name", alerts())
def test_each_alert_is_tested_both_ways(name: str) -> None:
    cases = [case for test in unit_tests() for case in test["alert_rule_test"] if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases), "no test in which it fires"
    assert any(not case["exp_alerts"] for case in cases), "no test in which it does not fire"


@pytest.mark.parametrize("name", alerts())
def test_each_alert_says_what_to_do(name: str) -> None:
    alert = alerts()[name]
    assert alert["labels"]["severity"] in {"page", "warning"}
    document, _, anchor = alert["annotations"]["runbook"].partition("#")
    sections = re.split(r"^## ", (ROOT / document).read_text(), flags=re.MULTILINE)
    (section,) = [section for section in sections if section.partition("\n")[0] == name]
    assert anchor == name.lower()
    for part in ("**What it means.**", "**Look.**", "**Do.**"):
        assert part in section, f"the section has no {part}"


def test_the_runbook_has_no_other_sections() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(alerts())


def test_no_test_is_for_an_alert_that_is_gone() -> None:
    assert {case["alertname"] for test in unit_tests() for case in test["alert_rule_test"]} == set(alerts())


def test_the_dashboard_is_what_the_tool_writes() -> None:
    assert DOCUMENT.read_text() == as_text(), "run: python tools/dashboard.py"


def test_the_dashboard_reads_from_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    asking = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert asking
    for each in [*asking, *(target for panel in asking for target in panel["targets"])]:
        assert each["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_no_panel_hides_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_dashboard_shows_what_wakes_somebody() -> None:
    """Whoever is woken finds the metric of the alert on the dashboard."""
    shown = {selector.name for query in dashboard_queries() for selector in selectors(query)}
    for name, alert in alerts().items():
        if alert["labels"]["severity"] == "page":
            assert {selector.name for selector in selectors(alert["expr"])} & shown, name
