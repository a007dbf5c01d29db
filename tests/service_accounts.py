"""Service accounts of Google's for the tests: with a key file, and with IAM keeping the key."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

EMAIL = "uploads@leaves.iam.gserviceaccount.com"
IAM = "iamcredentials.googleapis.com"
TOKEN = "ya29.not-a-secret"

_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/"
_METADATA = {
    "/": "",
    f"{_ACCOUNT}default/": json.dumps({"email": EMAIL, "scopes": [], "aliases": ["default"]}),
    f"{_ACCOUNT}default/token": json.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}),
    "/computeMetadata/v1/project/project-id": "leaves",
}

_PEM = serialization.Encoding.PEM
_PLAIN = serialization.NoEncryption()


def new_key() -> rsa.RSAPrivateKey:
    """Takes a moment."""
    return rsa.generate_private_key(65537, 2048)


def key_file(folder: Path, key: rsa.RSAPrivateKey) -> Path:
    """What GOOGLE_APPLICATION_CREDENTIALS points to."""
    pem = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _PLAIN).decode()
    document = {
        "type": "service_account",
        "client_email": EMAIL,
        "private_key": pem,
        "private_key_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    path = folder / "key.json"
    path.write_text(json.dumps(document))
    return path


@dataclass
class Machine:
    """A machine of Google's.

    Attributes:
        environment: of a process on it.
        key: with which IAM signs.
        refuses: whether IAM refuses to.
        asked: path and headers of what IAM was asked.
    """

    key: rsa.RSAPrivateKey
    environment: dict[str, str] = field(default_factory=dict)
    refuses: bool = False
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def machine(folder: Path, key: rsa.RSAPrivateKey) -> Iterator[Machine]:
    """A metadata server, and a proxy behind which there is an IAM with a certificate of its own."""
    made = Machine(key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(_certificate(folder))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if body.startswith("{") else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Metadata-Flavor", "Google")
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            known = path in _METADATA
            self._answer(200 if known else 404, _METADATA.get(path, ""))

        def do_CONNECT(self) -> None:
            assert self.path == f"{IAM}:443"
            self.send_response(200)
            self.end_headers()
            self.connection = tls.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", 0)  # type: ignore[assignment]
            self.close_connection = False

        def do_POST(self) -> None:
            made.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if made.refuses:
                self._answer(403, json.dumps({"error": {"status": "PERMISSION_DENIED", "message": TOKEN}}))
                return
            signature = key.sign(base64.b64decode(asked["payload"]), padding.PKCS1v15(), SHA256())
            self._answer(200, json.dumps({"keyId": "1", "signedBlob": base64.b64encode(signature).decode()}))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    at = f"127.0.0.1:{server.server_port}"
    made.environment = {
        "GCE_METADATA_HOST": at,
        "GCE_METADATA_IP": at,
        "HTTPS_PROXY": f"http://{at}",
        "NO_PROXY": "127.0.0.1",
        "REQUESTS_CA_BUNDLE": str(folder / "iam.pem"),
        "CLOUDSDK_CONFIG": str(folder),
    }
    yield made
    server.shutdown()
    server.server_close()


def _certificate(folder: Path) -> Path:
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, IAM)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(IAM)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = folder / "iam.pem"
    pem = key.private_bytes(_PEM, serialization.PrivateFormat.TraditionalOpenSSL, _PLAIN)
    path.write_bytes(certificate.public_bytes(_PEM) + pem)
    return path
