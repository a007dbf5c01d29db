"""Write the Grafana dashboard of the service: python tools/dashboard.py."""

import json
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parent.parent / "monitoring/grafana/dashboards/plant-disease.json"

_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_FUNCTION = 'function=~"$function"'
_WIDTH = 24

Query = tuple[str, str]
"""PromQL, and the legend of what it gives."""
Panel = dict[str, Any]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "plant-disease",
        "title": "Plant disease detector",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_choice("function", "label_values(plant_model_loaded, function)")]},
        "annotations": {"list": [_annotation("Woken", 'ALERTS{alertstate="firing",severity="page"}')]},
        "panels": _laid_out(
            {
                "Is it well?": [_WELL],
                "Requests": [_REQUESTS, _LATENCY, _STEPS],
                "Saturation": [_SATURATION],
                "Model": [_MODEL, _LOADS],
                "Edge": [_EDGE],
            }
        ),
    }


def _stat(title: str, about: str, unit: str, query: Query, steps: dict[str, float | None]) -> Panel:
    """A number whose colour says whether it is good; `steps` are colours and from which value on they hold."""
    thresholds = {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in steps.items()]}
    return {
        "type": "stat",
        "title": title,
        "description": about,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds}, "overrides": []},
        "options": {"colorMode": "background", "graphMode": "none", "textMode": "value_and_name"},
        "targets": _targets([query], instant=True),
    }


def _graph(title: str, about: str, unit: str, *queries: Query, stack: bool = False, dashed: str = "") -> Panel:
    """Lines over time; `dashed` is a regular expression for the legends of those that are for comparison."""
    style = {
        "fillOpacity": 25 if stack else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stack else "none"},
    }
    comparison = {
        "matcher": {"id": "byRegexp", "options": dashed},
        "properties": [{"id": "custom.lineStyle", "value": {"fill": "dash"}}],
    }
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "datasource": _SOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": style},
            "overrides": [comparison] if dashed else [],
        },
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": _targets(queries),
    }


def _targets(queries: "list[Query] | tuple[Query, ...]", *, instant: bool = False) -> list[dict[str, Any]]:
    return [
        {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
        | ({"instant": True, "range": False} if instant else {})
        for index, (expression, legend) in enumerate(queries)
    ]


def _choice(label: str, query: str) -> dict[str, Any]:
    return {
        "name": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _annotation(name: str, query: str) -> dict[str, Any]:
    about = {"titleFormat": "{{alertname}}", "textFormat": "{{function}}", "iconColor": "red"}
    return {"name": name, "enable": True, "datasource": _SOURCE, "expr": query} | about


def _laid_out(rows: dict[str, list[list[Panel]]]) -> list[Panel]:
    """Titles across the page, and under each its lines of panels, which share the width."""
    panels: list[Panel] = []
    y = 0

    def add(panel: Panel, x: int, width: int, height: int) -> None:
        place = {"x": x, "y": y, "w": width, "h": height}
        panels.append({"id": len(panels) + 1, **panel, "gridPos": place})

    for title, lines in rows.items():
        add({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, _WIDTH, 1)
        y += 1
        for line in lines:
            height = 5 if line[0]["type"] == "stat" else 8
            width = _WIDTH // len(line)
            for index, panel in enumerate(line):
                add(panel, index * width, width, height)
            y += height
    return panels


def _per_second(metric: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{_FUNCTION}{more}}}[$__rate_interval]))"


def _quantile_95(metric: str, by: str, window: str, more: str = "") -> str:
    return f"histogram_quantile(0.95, sum by ({by}, le) (rate({metric}_bucket{{{_FUNCTION}{more}}}[{window}])))"


_WELL = [
    _stat(
        "Instances with a model",
        "With none, requests are answered 503.",
        "none",
        (f"sum by (function) (plant_model_loaded{{{_FUNCTION}}})", "{{function}}"),
        {"red": None, "green": 1},
    ),
    _stat(
        "Failed requests, last hour",
        "Answered 5xx; less than 0.5 % is promised.",
        "percentunit",
        (f"function:plant_request_errors:ratio_rate1h{{{_FUNCTION}}}", "{{function}}"),
        {"green": None, "orange": 0.005, "red": 0.072},
    ),
    _stat(
        "Error budget left, three days",
        "Of the 0.5 % of requests that may fail.",
        "percentunit",
        (f"1 - function:plant_request_errors:ratio_rate3d{{{_FUNCTION}}} / 0.005", "{{function}}"),
        {"red": None, "orange": 0, "green": 0.5},
    ),
    _stat(
        "Alerts",
        "Firing now.",
        "none",
        ('count by (severity) (ALERTS{alertstate="firing"}) or on () vector(0)', "{{severity}}"),
        {"green": None, "red": 1},
    ),
    _stat(
        "Certificate valid for",
        "Of the load balancer.",
        "s",
        ("min(probe_ssl_earliest_cert_expiry) - time()", "certificate"),
        {"red": None, "orange": 3 * 86400, "green": 21 * 86400},
    ),
]

_REQUESTS = [
    _graph(
        "Requests",
        "For work: without probes, scrapes and what leads nowhere.",
        "reqps",
        (f"function:plant_requests:rate5m{{{_FUNCTION}}}", "{{function}}"),
        stack=True,
    ),
    _graph(
        "Failed requests",
        "Share answered 5xx.",
        "percentunit",
        (f"function:plant_request_errors:ratio_rate5m{{{_FUNCTION}}}", "{{function}}"),
        (f"function:plant_request_errors:ratio_rate1h{{{_FUNCTION}}}", "{{function}}, one hour"),
        dashed=".*one hour",
    ),
    _graph(
        "Problems",
        "By code: docs/interface.md says what each means.",
        "reqps",
        (_per_second("plant_problems_total", "code"), "{{code}}"),
        stack=True,
    ),
    _graph(
        "Answers by status",
        "none: the caller went away before.",
        "reqps",
        (_per_second("plant_requests_total", "status", ',path!~"/health/.+|/metrics"'), "{{status}}"),
        stack=True,
    ),
]

_LATENCY = [
    _graph(
        f"Latency, {percent} %",
        "Dashed: what is promised.",
        "s",
        (f"path:plant_request_duration_seconds:p{percent}_5m{{{_FUNCTION}}}", "{{path}}"),
        (f"path:plant_request_duration_seconds:p{percent}_target", "{{path}} promised"),
        dashed=".*promised",
    )
    for percent in (95, 99)
]

_STEPS = [
    _graph(
        "Where the time goes",
        "Mean of each step. receive is the caller's line, load is waiting for a model.",
        "s",
        (
            f"{_per_second('plant_step_duration_seconds_sum', 'step')}"
            f" / {_per_second('plant_step_duration_seconds_count', 'step')}",
            "{{step}}",
        ),
    ),
    _graph(
        "Forward pass, 95 %",
        "",
        "s",
        (_quantile_95("plant_step_duration_seconds", "function", "$__rate_interval", ',step="model"'), "{{function}}"),
    ),
    _graph(
        "Photos diagnosed",
        "Per second.",
        "none",
        (_per_second("plant_photos_diagnosed_total", "function"), "{{function}}"),
        stack=True,
    ),
]

_SATURATION = [
    _graph(
        "Requests in flight",
        "Of each instance: PLANT_THREADS of them work, PLANT_MAX_QUEUE may wait.",
        "none",
        (f"plant_requests_in_flight{{{_FUNCTION}}}", "{{function}} {{instance}}"),
    ),
    _graph(
        "Turned away",
        "Because too many waited.",
        "reqps",
        (_per_second("plant_problems_total", "function", ',code="overloaded"'), "{{function}}"),
    ),
    _graph(
        "CPU",
        "Of each instance, in cores.",
        "none",
        (f"rate(process_cpu_seconds_total{{{_FUNCTION}}}[$__rate_interval])", "{{function}} {{instance}}"),
    ),
    _graph(
        "Memory",
        "Of each instance.",
        "bytes",
        (f"process_resident_memory_bytes{{{_FUNCTION}}}", "{{function}} {{instance}}"),
    ),
]

_MODEL = [
    _graph(
        "Decisions",
        "What became of the plants in the last hour. Dashed: in the last week.",
        "percentunit",
        ("decision:plant_decisions:ratio1h", "{{decision}}"),
        ("decision:plant_decisions:ratio1w", "{{decision}}, one week"),
        dashed=".*one week",
    ),
    _graph(
        "Version served",
        "Number of instances.",
        "none",
        (f"count by (version) (plant_model_info{{{_FUNCTION}}})", "{{version}}"),
        stack=True,
    ),
    _graph(
        "Channel read",
        "How long ago.",
        "s",
        (f"time() - plant_model_channel_read_timestamp_seconds{{{_FUNCTION}}}", "{{function}} {{instance}}"),
    ),
]

_LOADS = [
    _graph(
        "Loads of a model",
        "Per hour.",
        "none",
        (f"sum by (outcome) (increase(plant_model_loads_total{{{_FUNCTION}}}[1h]))", "{{outcome}}"),
    ),
    _graph(
        "Load of a model, 95 %",
        "",
        "s",
        (_quantile_95("plant_model_load_duration_seconds", "outcome", "1h"), "{{outcome}}"),
    ),
    _graph(
        "Cold start, 95 %",
        "From the start of a process to its first model.",
        "s",
        (_quantile_95("plant_cold_start_seconds", "function", "1h"), "{{function}}"),
    ),
]

_EDGE = [
    _graph(
        "Limiter",
        "error: the store did not answer, so nothing was counted.",
        "reqps",
        (_per_second("plant_limiter_outcomes_total", "outcome"), "{{outcome}}"),
        stack=True,
    ),
    _graph("Front door", "1: the load balancer answers.", "none", ('probe_success{job="site"}', "{{instance}}")),
    _graph(
        "Notifications that failed",
        "Per second.",
        "none",
        ("sum by (integration) (rate(alertmanager_notifications_failed_total[$__rate_interval]))", "{{integration}}"),
    ),
]


def as_text() -> str:
    """What belongs into `DOCUMENT`."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(as_text())
