"""Ask a deployed service what its users will ask, and fail if it does not answer as it should.

Usage: python tools/smoke.py URL [--key-env NAME] [--open] [--canary PERCENT] [--http-port 80] [--wait-s 120]

The key comes from an environment variable, so that it is in no command line. `--open` is for a service without keys
(`PLANT_AUTH=off`); otherwise work without a key must be refused. Exit code 0, or 1 with a line for each failed check.

Answers do not tell which revision they are of, and a load balancer deals requests by chance. So with `--canary` each
function is asked so often that one that gets PERCENT of the requests is missed once in a million times; every answer
must be right.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

PHOTOS = Path(__file__).parent.parent / "tests" / "photos"
LEAF = PHOTOS / "apple-cedar-rust-3.jpg"
NO_LEAF = PHOTOS / "robot.png"
LEAF_CLASS = "Apple___Cedar_apple_rust"
MISSED = 1e-6
"""How likely a canary may go unasked."""
PAUSE_S = 0.5
"""Between rounds, so that a load balancer's limits for a key (600 requests a minute) are not reached."""
HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store", "referrer-policy": "no-referrer"}


class Failed(Exception):
    """A check did not hold."""


class Service:
    """A running service, and the checks it must pass; each raises `Failed`, or httpx's error."""

    def __init__(self, url: str, key: str | None, http_port: int = 80) -> None:
        self.url = url.rstrip("/")
        self._plain = f"http://{urlsplit(url).hostname}:{http_port}"
        self._key = {"X-API-Key": key} if key else {}
        self._client = httpx.Client(base_url=self.url, timeout=30)

    def ready(self) -> None:
        """It serves a model."""
        answer = self._client.get("/health/ready")
        _expect(answer, 200)
        if answer.json()["model"] != "ready":
            raise Failed(f"the model is {answer.json()['model']}")

    def predict(self) -> None:
        """A leaf gets its diagnosis."""
        answer = self._post("/predict", LEAF)
        _expect(answer, 200)
        _diagnosed(answer.json())

    def explain(self) -> None:
        """The evidence comes as a picture."""
        answer = self._post("/explain?format=png", LEAF)
        _expect(answer, 200)
        if not answer.content.startswith(b"\x89PNG"):
            raise Failed("the explanation is no PNG")

    def batch(self) -> None:
        """A leaf and something else get an answer each."""
        files = [("images", (path.name, path.read_bytes())) for path in (LEAF, NO_LEAF)]
        answer = self._client.post("/batch", files=files, headers=self._key)
        _expect(answer, 200)
        items = answer.json()["items"]
        _diagnosed(items[0])
        if items[1]["decision"] == "diagnosed":
            raise Failed("a picture without a leaf was diagnosed")

    def security_headers(self) -> None:
        """Every answer says what browsers may not do with it."""
        answer = self._client.get("/classes")
        _expect(answer, 200)
        wrong = [name for name, value in HEADERS.items() if answer.headers.get(name) != value]
        if self.url.startswith("https:") and "strict-transport-security" not in answer.headers:
            wrong.append("strict-transport-security")
        if wrong:
            raise Failed(f"headers are missing or wrong: {', '.join(wrong)}")

    def no_key_is_refused(self) -> None:
        """Work without a key is refused."""
        _expect(self._client.post("/predict", content=LEAF.read_bytes(), headers=_type(LEAF)), 401)

    def plain_http_is_redirected(self) -> None:
        """The port for plain HTTP only leads to TLS."""
        answer = httpx.get(f"{self._plain}/classes", timeout=30)
        if not (answer.is_redirect and answer.headers.get("location", "").startswith("https://")):
            raise Failed(f"plain HTTP is answered with {answer.status_code} and not led to https")

    def _post(self, path: str, photo: Path) -> httpx.Response:
        return self._client.post(path, content=photo.read_bytes(), headers={**self._key, **_type(photo)})


def rounds(percent: float) -> int:
    """How often to ask, so that who gets `percent` of the requests is asked all but certainly."""
    return math.ceil(math.log(MISSED) / math.log1p(-percent / 100))


def checks(service: Service, *, closed: bool, canary: float | None) -> list[Callable[[], None]]:
    """What is asked of a service, after it is ready.

    Args:
        service: the service.
        closed: whether it asks for keys.
        canary: the percentage of the requests that go to the revision in question; None where all do.
    """
    functions = [service.predict, service.explain, service.batch]
    asked = [*functions, service.security_headers]
    if canary:
        times = rounds(canary)

        def canary_answers() -> None:
            for _ in range(times):
                for ask in functions:
                    ask()
                time.sleep(PAUSE_S)

        asked.append(canary_answers)
    if closed:
        asked.append(service.no_key_is_refused)
    if service.url.startswith("https:"):
        asked.append(service.plain_http_is_redirected)
    return asked


def wait_until_ready(service: Service, wait_s: float) -> None:
    """Ask for the model until it is there.

    Raises:
        RetryError: it was not there in time.
    """
    wrong = retry_if_exception_type((Failed, httpx.HTTPError, ValueError, KeyError))
    for attempt in Retrying(retry=wrong, stop=stop_after_delay(wait_s), wait=wait_fixed(1)):
        with attempt:
            service.ready()


def main() -> int:
    """Run every check; the exit code."""
    parser = argparse.ArgumentParser(description="Ask a deployed service what its users will ask.")
    parser.add_argument("url")
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with an API key")
    parser.add_argument("--open", action="store_true", help="the service asks for no keys")
    parser.add_argument("--canary", type=_percent, metavar="PERCENT", help="share of a new revision")
    parser.add_argument("--http-port", type=int, default=80, help="where plain HTTP is answered beside https")
    parser.add_argument("--wait-s", type=float, default=120, help="for the service to become ready")
    options = parser.parse_args()
    key = os.environ.get(options.key_env) if options.key_env else None
    if options.key_env and not key:
        parser.error(f"{options.key_env} is not set")
    service = Service(options.url, key, options.http_port)
    try:
        wait_until_ready(service, options.wait_s)
    except RetryError as error:
        print(f"FAILED ready: {error.last_attempt.exception()}", file=sys.stderr)
        return 1
    failed = 0
    for check in checks(service, closed=not options.open, canary=options.canary):
        try:
            check()
        except (Failed, httpx.HTTPError, ValueError, KeyError, IndexError) as error:
            failed += 1
            print(f"FAILED {check.__name__}: {error}", file=sys.stderr)
        else:
            print(f"ok {check.__name__}")
    return 1 if failed else 0


def _percent(text: str) -> float:
    percent = float(text)
    if not 0 < percent < 100:
        raise ValueError
    return percent


def _expect(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        raise Failed(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} instead of {status}")


def _diagnosed(answer: dict[str, object]) -> None:
    predictions = answer.get("predictions")
    best = predictions[0]["class_id"] if isinstance(predictions, list) and predictions else None
    if answer.get("decision") != "diagnosed" or best != LEAF_CLASS:
        raise Failed(f"the leaf is {answer.get('decision')} as {best}, not diagnosed as {LEAF_CLASS}")


def _type(photo: Path) -> dict[str, str]:
    return {"Content-Type": "image/png" if photo.suffix == ".png" else "image/jpeg"}


if __name__ == "__main__":
    sys.exit(main())
