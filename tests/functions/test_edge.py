"""What holds for every answer, and where a request comes from."""

import asyncio
import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mangum import Mangum

from plant_disease import keys
from plant_disease.errors import ConfigurationError
from plant_disease.keys import KeyStore
from plant_disease.service.app import create_app
from plant_disease.service.proxies import client_address
from plant_disease.settings import Settings, read_settings
from tests.functions import processes
from tests.functions.faces import EVENT_KINDS, EventKind, Face, Http, event
from tests.functions.photos import leaf
from tests.functions.probe import router as probe
from tests.functions.processes import Process

PAGE = "https://leaves.example"
JPEG = {"content-type": "image/jpeg"}
PREFLIGHT = {"access-control-request-method": "POST"}


@pytest.fixture(scope="module")
def key(key_store: KeyStore) -> str:
    """The key of a caller."""
    return keys.create(key_store, name="Greenhouse", scopes=["predict"], plan="free").text


@pytest.fixture(scope="module")
def server(folder: Path, key_store: KeyStore, key: str) -> Iterator[Process]:
    """Two pages may use it, and callers are known."""
    with processes.uvicorn(
        folder,
        "tests.functions.probe",
        PLANT_AUTH="required",
        PLANT_API_KEYS_URI=key_store.uri,
        PLANT_CORS_ORIGINS=f"{PAGE}, http://localhost:3000",
        PLANT_MAX_BODY_BYTES="100000",
        PLANT_MODEL_LOADING="eager",
    ) as process:
        yield process


def assert_no_cors(headers: httpx.Headers) -> None:
    assert "access-control-allow-origin" not in headers
    assert "access-control-allow-credentials" not in headers


ANSWERS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "diagnosis": (200, "POST", "/predict", {"content": leaf(), "headers": JPEG}),
    "versioned": (200, "POST", "/v1/predict", {"content": leaf(), "headers": JPEG}),
    "classes": (200, "GET", "/classes", {}),
    "no photo": (400, "POST", "/predict", {"headers": JPEG}),
    "not found": (404, "GET", "/nowhere", {}),
    "wrong method": (405, "GET", "/predict", {}),
    "too large": (413, "POST", "/predict", {"content": bytes(100_001), "headers": JPEG}),
    "wrong type": (415, "POST", "/predict", {"content": b"1", "headers": {"content-type": "text/plain"}}),
    "wrong parameter": (422, "POST", "/predict?top_k=0", {"content": leaf(), "headers": JPEG}),
    "our fault": (500, "GET", "/broken", {}),
    "uploads": (404, "POST", "/uploads", {}),
}


def ask(server: Process, key: str, case: str, **more: str) -> httpx.Response:
    status, method, path, request = ANSWERS[case]
    headers = {"x-api-key": key, **request.get("headers", {}), **more}
    answer = httpx.request(method, server.url + path, **{**request, "headers": headers}, trust_env=False, timeout=60)
    assert answer.status_code == status, answer.text
    return answer


@pytest.mark.parametrize("case", ANSWERS)
def test_pages_that_may_read_every_answer(server: Process, key: str, case: str) -> None:
    for origin in (PAGE, "http://localhost:3000"):
        headers = ask(server, key, case, origin=origin).headers
        assert headers["access-control-allow-origin"] == origin
        assert headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in headers
        exposed = set(headers["access-control-expose-headers"].split(", "))
        assert exposed == {
            "Idempotency-Replayed",
            "Location",
            "RateLimit",
            "RateLimit-Policy",
            "Retry-After",
            "Server-Timing",
            "X-Request-Id",
        }


@pytest.mark.parametrize("case", ANSWERS)
def test_pages_that_may_not(server: Process, key: str, case: str) -> None:
    for origin in ("https://evil.example", "null", f"{PAGE}.evil.example", f"{PAGE}:444", "http://leaves.example", ""):
        assert_no_cors(ask(server, key, case, origin=origin).headers)
    # A cache must not give this answer to a page that may.
    without = ask(server, key, case).headers
    assert_no_cors(without)
    assert without["vary"] == "Origin"


def preflight(server: Process, origin: str, method: str, *names: str, path: str = "/predict") -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": method}
    if names:
        headers["access-control-request-headers"] = ",".join(names)
    # Browsers send no key with it.
    return httpx.options(server.url + path, headers=headers, trust_env=False)


OURS = ["x-api-key", "authorization", "content-type", "idempotency-key", "x-request-id", "traceparent"]


@pytest.mark.parametrize("path", ["/predict", "/v1/predict", "/uploads", "/classes"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_preflight(server: Process, path: str, method: str) -> None:
    answer = preflight(server, PAGE, method, *OURS, path=path)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert set(OURS) <= set(allowed)
    assert "*" not in allowed
    assert "access-control-allow-credentials" not in answer.headers
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("origin", "method", "name"),
    [
        ("https://evil.example", "POST", "x-api-key"),
        ("null", "POST", "x-api-key"),
        (PAGE, "PATCH", "content-type"),
        (PAGE, "POST", "x-anything"),
        (PAGE, "POST", "cookie"),
    ],
)
def test_preflight_refused(server: Process, origin: str, method: str, name: str) -> None:
    answer = preflight(server, origin, method, name)
    assert answer.status_code == 400
    if origin != PAGE:
        assert_no_cors(answer.headers)


def test_no_page_may_unless_told(uvicorn_face: Http) -> None:
    for method in ("GET", "OPTIONS"):
        answer = uvicorn_face.ask(method, "/predict", headers={"origin": PAGE, **PREFLIGHT})
        assert answer.status == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_every_page_may(folder: Path) -> None:
    with processes.uvicorn(folder, PLANT_CORS_ORIGINS="*") as server:
        answer = httpx.get(f"{server.url}/classes", headers={"origin": "https://any.example"}, trust_env=False)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        answer = preflight(server, "https://any.example", "POST", "x-api-key")
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "value",
    [
        "petals.test",
        "https://petals.test/",
        "https://petals.test/page",
        "https://Petals.test",
        "https://*.petals.test",
        "*,https://petals.test",
        "https://petals.test,",
        "null",
        "https://petals.test https://other.example",
        "https://user@petals.test",
    ],
)
def test_what_is_no_origin(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PLANT_CORS_ORIGINS", value)
    with pytest.raises(ConfigurationError, match="PLANT_CORS_ORIGINS") as caught:
        read_settings()
    assert value not in str(caught.value)


def test_what_is_an_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_CORS_ORIGINS", "https://leaves.example, http://[::1]:80,capacitor://localhost")
    assert read_settings().cors_origins == ("https://leaves.example", "http://[::1]:80", "capacitor://localhost")


@pytest.mark.parametrize("case", ANSWERS)
def test_security_headers(server: Process, key: str, case: str) -> None:
    headers = ask(server, key, case).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"
    # This came without TLS.
    assert "strict-transport-security" not in headers


def test_security_headers_of_every_face(any_face: Face, function: str) -> None:
    answer = any_face.ask("POST", f"/{function}", content=leaf(), headers=JPEG)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_size_comes_before_the_key(folder: Path) -> None:
    with processes.uvicorn(folder, PLANT_AUTH="required", PLANT_MAX_BODY_BYTES="1024") as server:
        for size, status, code in ((1025, 413, "body_too_large"), (1024, 401, "key_required")):
            answer = httpx.post(f"{server.url}/predict", content=bytes(size), headers=JPEG, trust_env=False)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        for path in ("/uploads", "/nowhere", "/classes"):
            answer = httpx.post(server.url + path, content=bytes(1025), trust_env=False)
            assert answer.status_code == 413


# Where a request comes from

SPOOFS = ["", "203.0.113.66", "127.0.0.1", "10.0.0.1, 203.0.113.66", "unknown", "203.0.113.66:80", ",,,", "::1"]


def whence(process: Process, headers: list[tuple[str, str]]) -> dict[str, str]:
    answer = httpx.get(f"{process.url}/whence", headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text
    document: dict[str, str] = answer.json()
    return document


def test_nobody_is_believed_unless_told(server: Process, folder: Path) -> None:
    source = ["--source", "tests/functions/probe.py", "--target", "probe", "--asgi", "--host", "127.0.0.1"]
    port = processes.free_port()
    command = [processes.BIN / "functions-framework", *source, "--port", str(port)]
    # What docs/configuration.md says of servers that believe this machine by themselves.
    environment = {"FORWARDED_ALLOW_IPS": "", "PYTHONPATH": f"{processes.ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    with processes.started(command, port, folder, environment) as framework:
        for process in (server, framework):
            for spoof in SPOOFS:
                headers = [("x-forwarded-for", spoof), ("x-forwarded-proto", "https"), ("x-real-ip", "203.0.113.66")]
                assert whence(process, headers) == {"host": "127.0.0.1", "scheme": "http"}


@pytest.mark.parametrize("trusted", ["127.0.0.0/8, 10.0.0.0/8", "2"])
def test_what_trusted_proxies_say_is_believed(folder: Path, trusted: str) -> None:
    with processes.uvicorn(folder, "tests.functions.probe", PLANT_TRUSTED_PROXIES=trusted) as server:
        for spoof in SPOOFS:
            # Two proxies: one that the caller reached, one in front of us; each notes whom it was called by.
            for caller in ("198.51.100.7", "2001:db8::7"):
                headers = [("x-forwarded-for", spoof), ("x-forwarded-for", f"{caller}, 10.1.2.3")]
                assert whence(server, headers)["host"] == caller
        secure = httpx.get(f"{server.url}/health/live", headers={"x-forwarded-proto": "https"}, trust_env=False).headers
        assert secure["strict-transport-security"] == "max-age=31536000"
        for scheme in ("http", "javascript", "https, http"):
            plain = httpx.get(f"{server.url}/health/live", headers={"x-forwarded-proto": scheme}, trust_env=False)
            assert "strict-transport-security" not in plain.headers


def invoke(kind: EventKind, trusted: str, forwarded: str) -> str:
    """What the service takes for the caller behind a gateway of AWS."""
    app = create_app(probe, settings=Settings(auth="off", trusted_proxies=trusted))  # type: ignore[arg-type]
    asyncio.set_event_loop(asyncio.new_event_loop())
    handler = Mangum(app, lifespan="off")
    sent = event(kind, "GET", "/whence", headers={"x-forwarded-for": forwarded})
    document = httpx.Response(200, text=handler(sent, {})["body"]).json()  # type: ignore[arg-type]
    return str(document["host"])


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_gateways_of_aws(kind: EventKind) -> None:
    # The gateway was called from here: events say so, those of a load balancer only at the end of the header.
    caller = "192.0.2.1"
    for spoof in SPOOFS:
        forwarded = f"{spoof}, {caller}" if spoof else caller
        for trusted in ("0", "1", "198.51.100.0/24"):
            assert invoke(kind, trusted, forwarded) == caller


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_a_proxy_before_a_gateway_of_aws(kind: EventKind) -> None:
    for spoof in SPOOFS:
        forwarded = f"{spoof}, 198.51.100.7, 192.0.2.1" if spoof else "198.51.100.7, 192.0.2.1"
        for trusted in ("2", "192.0.2.0/24"):
            assert invoke(kind, trusted, forwarded) == "198.51.100.7"
        assert invoke(kind, "0", forwarded) == "192.0.2.1"


def test_a_load_balancer_that_says_nothing() -> None:
    assert invoke("alb", "0", "") == ""


@pytest.mark.parametrize("value", ["nginx", "10.0.0.0/33", "10.0.0.1/8", "-1", "10", "1.5", "10.0.0.0/8,", "*"])
def test_what_is_no_proxy(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PLANT_TRUSTED_PROXIES", value)
    with pytest.raises(ConfigurationError, match="PLANT_TRUSTED_PROXIES"):
        read_settings()


bounded = settings(deadline=None, derandomize=True, database=None, max_examples=500)
PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:aaaa::/48"))
proxies = st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="2001:db8:aaaa::/48")
callers = st.ip_addresses(network="198.51.100.0/24") | st.ip_addresses(network="2001:db8:bbbb::/48")
made_up = st.lists((callers | proxies).map(str) | st.text(max_size=20) | st.just("unknown"), max_size=5)


def written(address: IPv4Address | IPv6Address, style: int) -> str:
    """The ways in which proxies write an address."""
    is_v6 = isinstance(address, IPv6Address)
    long = address.exploded.upper() if is_v6 else f"::ffff:{address}"
    return [str(address), f" {address} ", long, f"[{address}]:443" if is_v6 else f"{address}:443"][style]


@bounded
@given(made_up, callers, st.lists(proxies, min_size=1, max_size=4), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_what_a_caller_makes_up_moves_nothing(
    spoof: list[str],
    caller: IPv4Address | IPv6Address,
    chain: list[IPv4Address | IPv6Address],
    styles: list[int],
) -> None:
    """The caller calls the first proxy, which calls the next; the last calls us."""
    *noted, peer = [written(address, style) for address, style in zip([caller, *chain], styles, strict=False)]
    peer = str(chain[-1])
    forwarded = [*spoof, *noted]
    assert client_address(peer, forwarded, PROXIES) == str(caller)
    assert client_address(peer, forwarded, len(noted)) == str(caller)
    assert client_address(peer, forwarded, 0) == peer
    assert client_address(peer, forwarded, ()) == peer
    # Whoever is no proxy is not believed, whatever it sends.
    assert client_address(str(caller), forwarded, PROXIES) == str(caller)


@bounded
@given(proxies, st.lists(st.text(max_size=30), max_size=5))
def test_nonsense_moves_nothing(peer: IPv4Address | IPv6Address, nonsense: list[str]) -> None:
    nonsense = [each for each in nonsense if "." not in each and ":" not in each]
    for trusted in (0, 1, 3, PROXIES):
        assert client_address(str(peer), nonsense, trusted) == str(peer)
    # A proxy that hides its caller is the caller.
    assert client_address(str(peer), ["198.51.100.7", "unknown"], PROXIES) == str(peer)


def test_more_proxies_than_there_are() -> None:
    # Rather one address for all than one that can be made up.
    assert client_address("10.0.0.1", ["198.51.100.7"], 2) == "10.0.0.1"
    assert client_address("10.0.0.1", [], 1) == "10.0.0.1"


def test_zones_are_no_addresses() -> None:
    assert client_address("10.0.0.1", ["fe80::1%eth0"], PROXIES) == "10.0.0.1"
