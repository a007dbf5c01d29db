"""How long from `docker run` to the first diagnosis at one CPU, beside the same service built the usual way.

Needs a Docker engine and `make images`. Builds benchmarks/usual the first time.

Usage: python benchmarks/containers.py [STARTS]
"""

import http.client
import os
import shlex
import subprocess
import sys
import time
import uuid
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
PHOTO = (ROOT / "tests/photos/apple-cedar-rust-3.jpg").read_bytes()
PORT = 18080
MOST = 1 / 3


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def seconds(image: str, *command: str) -> float:
    """From `docker run` to the first answer."""
    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + PHOTO + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    environment = ("--env", f"PORT={PORT}", "--env", "PLANT_AUTH=off")
    began = time.perf_counter()
    docker("run", "--detach", "--name", name, "--network", "host", "--cpus", "1", *environment, image, *command)
    try:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
            try:
                connection.request("POST", "/predict", body, headers)
                answer = connection.getresponse()
                text = answer.read()
            except OSError:
                if time.perf_counter() - began > 120:
                    raise
                time.sleep(0.005)
            else:
                assert answer.status == 200, text
                return time.perf_counter() - began
            finally:
                connection.close()
    finally:
        docker("rm", "--force", name)


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    extra = shlex.split(os.environ.get("DOCKER_BUILD_ARGS", ""))
    docker("build", *extra, "-t", "plant-disease-usual", str(ROOT / "benchmarks/usual"))
    usual_command = ("uvicorn", "app:app", "--host", "127.0.0.1", "--port", str(PORT))
    ours, usual = [], []
    # In turns, so that what else the machine does meets both.
    for _ in range(starts + 1):
        ours.append(seconds("plant-disease/predict"))
        usual.append(seconds("plant-disease-usual", *usual_command))
    # The first of each finds nothing in the file cache.
    for name, times in (("predict", ours[1:]), ("the usual way", usual[1:])):
        size = int(
            docker(
                "inspect",
                "--format",
                "{{.Size}}",
                {"predict": "plant-disease/predict"}.get(name, "plant-disease-usual"),
            )
        )
        print(f"{name:14} median {median(times):.2f} s  ({min(times):.2f} to {max(times):.2f})  {size / 1e6:.0f} MB")
    ratio = median(ours[1:]) / median(usual[1:])
    print(f"ratio {ratio:.2f} over {starts} starts, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    sys.exit(ratio > MOST)


if __name__ == "__main__":
    main()
