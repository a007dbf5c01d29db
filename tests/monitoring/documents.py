"""What lies in monitoring/, as Python sees it."""

import json
from typing import Any

import promql_parser
import yaml
from promql_parser import VectorSelector

from tests.functions.processes import ROOT

MONITORING = ROOT / "monitoring"


def rules() -> list[dict[str, Any]]:
    """All recording and alert rules."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted((MONITORING / "rules").glob("*.yml"))]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def unit_tests() -> list[dict[str, Any]]:
    """The tests that promtool runs."""
    tests: list[dict[str, Any]] = yaml.safe_load((MONITORING / "tests/alerts_test.yml").read_text())["tests"]
    return tests


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana reads it."""
    (path,) = (MONITORING / "grafana/dashboards").glob("*.json")
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def dashboard_queries() -> list[str]:
    """What the dashboard asks Prometheus, with its variables filled in."""
    shown = dashboard()
    queries = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", [])]
    queries += [annotation["expr"] for annotation in shown["annotations"]["list"]]
    return [query.replace("$function", ".*").replace("$__rate_interval", "1m") for query in queries]


def queries() -> list[str]:
    """All that is asked of Prometheus."""
    return [rule["expr"] for rule in rules()] + dashboard_queries()


def selectors(query: str) -> list[VectorSelector]:
    """The series that a query names.

    Raises:
        ValueError: it is no PromQL.
    """
    found: list[VectorSelector] = []
    promql_parser.walk(
        promql_parser.parse(query), lambda node: found.append(node) if isinstance(node, VectorSelector) else None
    )
    return found
