"""What monitoring/alertmanager.sh makes of the environment."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.monitoring.documents import MONITORING, alerts

EMAIL = {
    "ALERT_EMAIL_TO": "team@example.com",
    "ALERT_SMTP_SMARTHOST": "smtp.example.com:587",
    "ALERT_SMTP_FROM": "alerts@example.com",
}
SLACK = {"ALERT_SLACK_URL": "https://hooks.example.com/services/T/B/secret"}
SMS = {"ALERT_SMS_WEBHOOK_URL": "https://sms.example.com/send"}


def written(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", MONITORING / "alertmanager.sh"],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
    )


def receivers(**environment: str) -> dict[str, dict[str, Any]]:
    done = written(**environment)
    assert done.returncode == 0, done.stderr
    return {receiver["name"]: receiver for receiver in yaml.safe_load(done.stdout)["receivers"]}


def test_nothing_is_sent_by_default() -> None:
    assert receivers() == {"team": {"name": "team"}, "sms": {"name": "sms"}}


def test_each_way_is_switched_on_by_itself() -> None:
    assert set(receivers(**EMAIL)["team"]) == {"name", "email_configs"}
    assert set(receivers(**SLACK)["team"]) == {"name", "slack_configs"}
    assert set(receivers(**SMS)["sms"]) == {"name", "webhook_configs"}
    everything = receivers(**EMAIL, **SLACK, **SMS)
    assert set(everything["team"]) == {"name", "email_configs", "slack_configs"}
    assert everything["team"]["email_configs"][0]["to"] == EMAIL["ALERT_EMAIL_TO"]
    assert everything["team"]["email_configs"][0]["require_tls"] is True
    assert everything["sms"]["webhook_configs"][0]["url"] == SMS["ALERT_SMS_WEBHOOK_URL"]


def test_secrets_come_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "slack"
    secret.write_text(SLACK["ALERT_SLACK_URL"] + "\n")
    (slack,) = receivers(ALERT_SLACK_URL_FILE=str(secret))["team"]["slack_configs"]
    assert slack["api_url"] == SLACK["ALERT_SLACK_URL"]


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"ALERT_EMAIL_TO": "team@example.com"}, "ALERT_SMTP_SMARTHOST"),
        ({"ALERT_SLACK_URL_FILE": "/nowhere/slack"}, "/nowhere/slack"),
        ({"ALERT_SLACK_URL": "https://hooks.example.com/secret\nroute: {}"}, "ALERT_SLACK_URL"),
        ({**EMAIL, "ALERT_SMTP_REQUIRE_TLS": "maybe"}, "ALERT_SMTP_REQUIRE_TLS"),
    ],
)
def test_what_cannot_work_is_refused(environment: dict[str, str], complaint: str) -> None:
    done = written(**environment)
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "secret" not in done.stderr


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), min_size=1).filter(str.strip))
def test_no_value_breaks_out_of_its_place(value: str) -> None:
    (email,) = receivers(**{**EMAIL, "ALERT_SMTP_USERNAME": value, "ALERT_SMTP_PASSWORD": value})["team"][
        "email_configs"
    ]
    assert email["auth_username"] == email["auth_password"] == value


def test_only_what_wakes_somebody_goes_out_as_sms() -> None:
    route = yaml.safe_load(written(**SMS).stdout)["route"]
    assert [(each["receiver"], each.get("matchers")) for each in route["routes"]] == [
        ("sms", ['severity = "page"']),
        ("team", None),
    ]


def test_inhibitions_name_alerts_that_exist() -> None:
    for rule in yaml.safe_load(written().stdout)["inhibit_rules"]:
        for matcher in rule["source_matchers"]:
            assert matcher.split('"')[1] in alerts()
