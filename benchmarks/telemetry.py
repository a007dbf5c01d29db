"""What metrics and traces cost a request.

Serves everything three times, with nothing on, with metrics, and with metrics and traces (to a collector that takes
them and forgets them), and asks all three in turns, one request at a time. Prints the ratio of the medians.

Usage: python benchmarks/telemetry.py [--rounds 300]
"""

import argparse
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from serving import served

PHOTO = Path(__file__).parent.parent / "tests/photos/apple-cedar-rust-3.jpg"
QUESTIONS = {"/predict": ("POST", "/predict"), "/classes": ("GET", "/classes")}
LIMITED, LIMIT_MS = "metrics", 1.0
"""With these a request may take so many ms longer."""


class _Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


def ms(client: httpx.Client, method: str, path: str) -> float:
    """Milliseconds from the question to the whole answer."""
    photo = {"content": PHOTO.read_bytes(), "headers": {"content-type": "image/jpeg"}} if method == "POST" else {}
    start = time.perf_counter()
    client.request(method, path, **photo).raise_for_status()
    return (time.perf_counter() - start) * 1000


def main() -> int:
    """Measure and report; the exit code is 1 if metrics cost more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    collector = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    metrics = {"PLANT_METRICS": "on"}
    services = {
        "off": {},
        "metrics": metrics,
        "metrics, traces": {**metrics, "PLANT_TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
    }
    worst = 0.0
    with ExitStack() as stack:
        clients = {name: stack.enter_context(served(**settings)).client for name, settings in services.items()}
        for question, (method, path) in QUESTIONS.items():
            times: dict[str, list[float]] = {name: [] for name in clients}
            for number in range(rounds + 5):
                for name, client in clients.items():
                    taken = ms(client, method, path)
                    if number >= 5:  # the first ones fill the caches
                        times[name].append(taken)
            medians = {name: statistics.median(values) for name, values in times.items()}
            print(question)
            for name, median in medians.items():
                more = median - medians["off"]
                print(f"  {name:16} {median:7.2f} ms  x {median / medians['off']:.3f}  {more:+.2f} ms")
            worst = max(worst, medians[LIMITED] - medians["off"])
    print(f"limit of {LIMITED}: {LIMIT_MS} ms more")
    return int(worst > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
