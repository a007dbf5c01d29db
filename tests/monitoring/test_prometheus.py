"""With the real programs: promtool, Prometheus, Alertmanager, the blackbox exporter; see `make test-monitoring`."""

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.functions import processes
from tests.functions.photos import leaf
from tests.functions.processes import ROOT, Process, free_port, wait_for
from tests.monitoring.documents import MONITORING, dashboard_queries, queries, selectors

pytestmark = pytest.mark.monitoring

FUNCTIONS = ("predict", "batch", "explain")

WITHIN_S = 120
"""All intervals here are a second; the rest is patience with a slow machine."""


def program(name: str) -> str:
    """Where a program is. Debian calls some of them prometheus-NAME."""
    found = shutil.which(name) or shutil.which(f"prometheus-{name}")
    if found is None:
        pytest.fail(
            f"{name} is not installed. On Debian and Ubuntu: "
            "apt-get install prometheus prometheus-alertmanager prometheus-blackbox-exporter"
        )
    return found


def check(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_is_accepted() -> None:
    check(program("promtool"), "check", "config", MONITORING / "prometheus.yml")
    check(program("promtool"), "check", "rules", *(MONITORING / "rules").glob("*.yml"))
    check(program("blackbox-exporter"), f"--config.file={MONITORING}/blackbox.yml", "--config.check")


def test_every_alert_fires_and_does_not_fire() -> None:
    assert "SUCCESS" in check(program("promtool"), "test", "rules", MONITORING / "tests/alerts_test.yml")


@dataclass
class Inbox:
    """Where notifications arrive: a server of webhooks, and one of mail."""

    url: str
    smtp_port: int
    posted: list[tuple[str, dict[str, Any]]]
    mails: list[str]

    def alerts(self, path: str, status: str) -> set[str]:
        """The names of the alerts that a webhook was told of."""
        return {
            alert["labels"]["alertname"]
            for posted, body in self.posted
            if posted == path
            for alert in body["alerts"]
            if alert["status"] == status
        }

    def slack(self) -> str:
        return "\n".join(json.dumps(body) for path, body in self.posted if path == "/slack")


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    posted: list[tuple[str, dict[str, Any]]] = []
    mails: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Mail:
        async def handle_DATA(  # noqa: N802 - the name that aiosmtpd looks for
            self, _server: SMTP, _session: Session, envelope: Envelope
        ) -> str:
            mails.append(bytes(envelope.content or b"").decode())
            return "250 OK"

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mail = Controller(Mail(), hostname="127.0.0.1", port=free_port())
    mail.start()
    yield Inbox(f"http://127.0.0.1:{server.server_port}", mail.port, posted, mails)
    mail.stop()
    server.shutdown()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front door with a certificate of its own."""
    folder = tmp_path_factory.mktemp("site")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    check("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", *names, *files)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/health/ready"
    server.shutdown()


@dataclass
class System:
    """The functions, watched.

    Attributes:
        functions: by name; predict has no model.
        models: where predict looks for one.
        prometheus: which watches them.
    """

    functions: dict[str, Process]
    models: Path
    prometheus: httpx.Client

    def query(self, query: str) -> list[dict[str, Any]]:
        answer = self.prometheus.get("/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", f"{query}: {answer}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, inbox: Inbox, site: str) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    models = folder / "models"
    models.mkdir()
    settings = {"PLANT_METRICS": "on", "PLANT_MODEL_LOADING": "background", "PLANT_MODEL_RETRY_S": "1"}
    with ExitStack() as stack:
        functions = {
            name: stack.enter_context(
                processes.uvicorn(
                    folder, name, **settings, **({"PLANT_MODEL_URI": str(models)} if name == "predict" else {})
                )
            )
            for name in FUNCTIONS
        }

        # Some series begin with the first request that fails.
        assert (
            httpx.post(f"{functions['predict'].url}/predict", files={"image": leaf()}, trust_env=False).status_code
            == 503
        )

        def start(name: str, *arguments: str, listen: str = "--web.listen-address") -> int:
            port = free_port()
            command = [program(name), *arguments, f"{listen}=127.0.0.1:{port}"]
            stack.enter_context(processes.started(command, port, folder, {}, health=False))
            return port

        blackbox = start("blackbox-exporter", f"--config.file={MONITORING}/blackbox.yml")
        configuration = folder / "alertmanager.yml"
        configuration.write_text(alertmanager(inbox))
        check(program("amtool"), "check-config", configuration)
        storage = f"--storage.path={folder}/alerts"
        alerts = start("alertmanager", f"--config.file={configuration}", storage, "--cluster.listen-address=")
        configuration = folder / "prometheus.yml"
        targets = {name: f"127.0.0.1:{process.port}" for name, process in functions.items()}
        configuration.write_text(prometheus(folder, targets, blackbox, alerts, site))
        storage = f"--storage.tsdb.path={folder}/series"
        port = start("prometheus", f"--config.file={configuration}", storage)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
        yield System(functions, models, stack.enter_context(client))


def alertmanager(inbox: Inbox) -> str:
    """What monitoring/alertmanager.sh writes, with intervals of a second."""
    environment = {
        "ALERT_EMAIL_TO": "team@example.com",
        "ALERT_SMTP_SMARTHOST": f"127.0.0.1:{inbox.smtp_port}",
        "ALERT_SMTP_FROM": "alerts@example.com",
        "ALERT_SMTP_REQUIRE_TLS": "false",
        "ALERT_SLACK_URL": f"{inbox.url}/slack",
        "ALERT_SMS_WEBHOOK_URL": f"{inbox.url}/sms",
    }
    script = ["sh", MONITORING / "alertmanager.sh"]
    done = subprocess.run(script, env={"PATH": "/usr/bin:/bin", **environment}, check=True, stdout=subprocess.PIPE)
    written = yaml.safe_load(done.stdout)
    written["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    return yaml.safe_dump(written)


def prometheus(folder: Path, functions: dict[str, str], blackbox: int, alerts: int, site: str) -> str:
    """monitoring/prometheus.yml with intervals of a second, and the addresses of here."""
    text = (MONITORING / "prometheus.yml").read_text()
    text = text.replace("alertmanager:9093", f"127.0.0.1:{alerts}").replace("blackbox:9115", f"127.0.0.1:{blackbox}")
    written = yaml.safe_load(text.replace("https://nginx:8443/health/ready", site))
    written["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    jobs = {job["job_name"]: job for job in written["scrape_configs"]}
    # Prometheus asks a DNS server for addresses; there is none here.
    del jobs["plant-disease"]["dns_sd_configs"], jobs["plant-disease"]["relabel_configs"]
    jobs["plant-disease"]["static_configs"] = [
        {"targets": [address], "labels": {"function": name}} for name, address in functions.items()
    ]
    # It does not know its own address yet.
    written["scrape_configs"] = [job for name, job in jobs.items() if name != "prometheus"]
    for path in (MONITORING / "rules").glob("*.yml"):
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = "1s"
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / path.name).write_text(yaml.safe_dump(rules))
    return yaml.safe_dump(written)


def test_an_alert_arrives_and_resolves(system: System, inbox: Inbox) -> None:
    """Predict finds no model: it is told by every way there is. A model is published: that is told, too."""
    wait_for(lambda: "NoModelLoaded" in inbox.alerts("/sms", "firing"), WITHIN_S)
    wait_for(lambda: "NoModelLoaded" in inbox.slack(), WITHIN_S)
    wait_for(lambda: any("NoModelLoaded" in mail for mail in inbox.mails), WITHIN_S)
    told = [alert for path, body in inbox.posted if path == "/sms" for alert in body["alerts"]]
    (alert,) = {json.dumps(alert["labels"]) for alert in told if alert["labels"]["alertname"] == "NoModelLoaded"}
    assert json.loads(alert)["function"] == "predict"
    assert "docs/runbook.md#nomodelloaded" in inbox.slack()
    assert not inbox.alerts("/sms", "resolved") & {"NoModelLoaded"}
    predict = system.functions["predict"].url

    def is_ready() -> bool:
        """What the readiness probe asks again and again: while it fails, it has the model tried again."""
        return httpx.get(f"{predict}/health/ready", trust_env=False).is_success

    # A warning wakes nobody.
    wait_for(lambda: not is_ready() and "ModelLoadFails" in inbox.slack(), WITHIN_S)
    assert "ModelLoadFails" not in inbox.alerts("/sms", "firing")

    shutil.copytree(ROOT / "models", system.models, dirs_exist_ok=True)
    wait_for(is_ready, WITHIN_S)
    wait_for(lambda: "NoModelLoaded" in inbox.alerts("/sms", "resolved"), WITHIN_S)


def test_everything_is_scraped(system: System) -> None:
    """No target is missing, and nothing that rules and dashboard ask for."""
    wait_for(lambda: len(system.query("up == 1")) == len(FUNCTIONS) + len(("site", "alertmanager")), WITHIN_S)
    assert {each["metric"].get("function") for each in system.query("plant_model_loaded")} == set(FUNCTIONS)
    for function in FUNCTIONS:
        field = "images" if function == "batch" else "image"
        url = f"{system.functions[function].url}/{function}"
        assert httpx.post(url, files={field: leaf()}, trust_env=False, timeout=30).is_success
    assert httpx.post(system.functions["predict"].url + "/predict", content=b"-", trust_env=False).status_code == 415
    asked = {selector.name for query in queries() for selector in selectors(query)}

    def missing() -> set[str | None]:
        return asked - set(system.prometheus.get("/api/v1/label/__name__/values").json()["data"])

    wait_for(lambda: not missing(), WITHIN_S)


@pytest.mark.parametrize("query", dashboard_queries())
def test_prometheus_answers_what_the_dashboard_asks(system: System, query: str) -> None:
    system.query(query)


def test_the_certificate_is_seen(system: System) -> None:
    wait_for(lambda: system.query("probe_ssl_earliest_cert_expiry"), WITHIN_S)
    ((_, left),) = [each["value"] for each in system.query("probe_ssl_earliest_cert_expiry - time()")]
    assert 89 * 86400 < float(left) <= 90 * 86400
    ((_, success),) = [each["value"] for each in system.query("probe_success")]
    assert success == "1"
