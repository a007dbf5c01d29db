"""What stands between Pub/Sub's emulator and the service: it signs as Google does, and makes trouble."""

import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

from tests.service_accounts import new_key

AUDIENCE = "https://batch.example.com"
ACCOUNT = "push@leaves.iam.gserviceaccount.com"
_PEM = serialization.Encoding.PEM


class Google:
    """Signs tokens for service accounts.

    Attributes:
        certificate: as Google publishes it.
    """

    def __init__(self) -> None:
        key = new_key()
        pem = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self._signer = crypt.RSASigner.from_string(pem, key_id="1")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "google")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, SHA256())
        )
        self.certificate = certificate.public_bytes(_PEM).decode()

    def token(self, **claims: object) -> str:
        """A token as Pub/Sub sends it, with other claims if given."""
        now = int(time.time())
        usual = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
        }
        return jwt.encode(self._signer, {**usual, **claims}).decode()  # type: ignore[no-any-return]


@dataclass
class Relay:
    """Takes pushes, and hands each on to one of several services.

    Attributes:
        url: of the relay. A GET gives the certificates.
        services: addresses; one is taken at random.
        trouble: how often something happens: a push is handed on twice, later, or its answer is lost.
        pushes: how many came.
    """

    url: str
    services: list[str] = field(default_factory=list)
    trouble: float = 0.0
    pushes: int = 0


@contextmanager
def relay(google: Google, *, seed: int = 0) -> Iterator[Relay]:
    """One."""
    chance = random.Random(seed)
    threads = ThreadPoolExecutor(16)
    # No connections are kept: a service that was killed is another one at the same address.
    client = httpx.Client(trust_env=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))

    def hand_on(body: bytes) -> int:
        headers = {"content-type": "application/json", "authorization": f"Bearer {google.token()}"}
        if not state.services:
            time.sleep(0.5)
            return 502
        try:
            return client.post(f"{chance.choice(state.services)}/jobs/work", content=body, headers=headers).status_code
        except httpx.TransportError:
            return 502

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._answer(200, json.dumps({"1": google.certificate}).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.pushes += 1
            if chance.random() < state.trouble:
                threads.submit(hand_on, body)
            if chance.random() < state.trouble:
                time.sleep(chance.uniform(0.1, 1))
            status = hand_on(body)
            with suppress(OSError):
                self._answer(500 if chance.random() < state.trouble else status)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Relay(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()
    threads.shutdown(cancel_futures=True)
    client.close()
