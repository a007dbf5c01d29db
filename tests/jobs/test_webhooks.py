"""Who may be told of the end of a job, and how."""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from plant_disease.errors import WebhookFailed, WebhookRefused
from plant_disease.jobs.documents import End
from plant_disease.jobs.webhooks import Webhooks, is_public, sign
from plant_disease.service.jobs import Jobs
from plant_disease.settings import Settings
from tests.jobs.test_worker import a_job
from tests.service_accounts import new_key

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Receiver:
    """A server with a certificate for localhost."""

    def __init__(self, folder: Path) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", "https://example.com/")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = _certificate(folder)
        tls.load_cert_chain(certificate)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.tls = ssl.create_default_context(cafile=certificate)
        self.host = f"localhost:{self._server.server_port}"
        self.url = f"https://{self.host}/plants?a=b"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def webhooks(self, **more: Any) -> Webhooks:
        # Loopback is what a test has; everybody else gets `is_public`.
        options = {"is_allowed": lambda address: address == ip_address("127.0.0.1"), "tls": self.tls, **more}
        return Webhooks([self.host], SECRET, **options)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _certificate(folder: Path) -> Path:
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    path = folder / "receiver.pem"
    path.write_bytes(certificate.public_bytes(pem) + plain)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path_factory.mktemp("receiver"))
    yield receiver
    receiver.close()


@pytest.fixture
def receiver(server: Receiver) -> Receiver:
    server.got.clear()
    server.statuses.clear()
    return server


def test_the_signature_is_that_of_the_standard() -> None:
    # The example of the libraries of https://github.com/standard-webhooks/standard-webhooks.
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_told(receiver: Receiver) -> None:
    receiver.webhooks().send(receiver.url, "job_1", b'{"a": 1}')
    ((headers, body),) = receiver.got
    assert json.loads(body) == {"a": 1}
    assert headers["host"] == receiver.host
    assert headers["webhook-id"] == "job_1"
    at = headers["webhook-timestamp"]
    assert abs(int(at) - datetime.now(UTC).timestamp()) < 10
    assert headers["webhook-signature"] == sign(bytes(range(32)), "job_1", at, body)


def test_tried_again(receiver: Receiver) -> None:
    receiver.statuses = [500, 503]
    receiver.webhooks().send(receiver.url, "job_1", b"{}")
    assert len(receiver.got) == 3
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {"job_1"}


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.statuses = [302] * 3
    with pytest.raises(WebhookFailed, match="302"):
        receiver.webhooks().send(receiver.url, "job_1", b"{}")
    assert len(receiver.got) == 3


def test_a_private_address_is_refused_when_it_is_called(receiver: Receiver) -> None:
    with pytest.raises(WebhookRefused, match="not on the internet"):
        receiver.webhooks(is_allowed=is_public).send(receiver.url, "job_1", b"{}")
    assert not receiver.got


def test_another_certificate_is_refused(receiver: Receiver) -> None:
    with pytest.raises(WebhookFailed, match="SSLCertVerificationError"):
        receiver.webhooks(tls=ssl.create_default_context()).send(receiver.url, "job_1", b"{}")
    assert not receiver.got


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com.evil.example/",
        "https://evil.example/?https://hooks.example.com/",
        "https://hooks.example.com@evil.example/",
        "https://user@hooks.example.com/",
        "https://:x@hooks.example.com/",
        "https://hooks.example.com/#a",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/a\r\nHost: b",
        "https://hooks.example.com/ä",
        "https://hooks.example.com:x/",
        "https://hooks.example.com./",
        "https://[::1]/",
        "https://[::1",
        "https:///a",
        "//hooks.example.com/",
        "ftp://hooks.example.com/",
        "",
        "https://hooks.example.com/" + "a" * 2000,
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(WebhookRefused):
        Webhooks(["hooks.example.com"], SECRET).check(url)


@given(st.text())
def test_any_text_is_refused_or_called_nowhere(text: str) -> None:
    with pytest.raises(WebhookRefused):
        Webhooks(["hooks.example.com"], SECRET).check(text)


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.1.2.3", "0.0.0.0", "169.254.169.254"),
        *("100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "203.0.113.1", "224.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1"),
        *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1"),
    ],
)
def test_not_on_the_internet(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_on_the_internet(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_the_same(address: IPv4Address) -> None:
    assert is_public(IPv6Address(f"::ffff:{address}")) == is_public(address)


def test_what_is_told() -> None:
    jobs = Jobs(Settings(jobs_uri="jobs", uploads_uri="in"), None, None, None)  # type: ignore[arg-type]  # not asked
    end = End(status="done", finished=datetime.now(UTC), succeeded=9, failed=1, by="me")
    job = a_job(10, webhook="https://hooks.example.com/")
    told = json.loads(asyncio.run(jobs.announce(job, end)))
    assert told["type"] == "job.finished"
    assert datetime.fromisoformat(told["timestamp"]) == end.finished
    assert told["data"]["id"] == job.id
    assert told["data"]["status"] == "done"
    assert told["data"]["counts"] == {"total": 10, "succeeded": 9, "failed": 1, "remaining": 0}
    assert told["data"]["results"] == f"/batch/jobs/{job.id}/results"
