"""Counting is exact across processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROCESSES = 8


def passed(uri: str, subject: str, limit: int, requests: int) -> int:
    """How many of the requests of eight processes pass."""
    environment = {
        **os.environ,
        "PLANT_LIMITS_URI": uri,
        "PLANT_LIMITS_ON_ERROR": "deny",
        # The machine is busy with eight processes: none is to give up.
        "PLANT_LIMITS_TIMEOUT_S": "10",
    }
    command = [sys.executable, "-m", "tests.limits.hammer", subject, str(limit), str(requests // PROCESSES)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(int(process.communicate(timeout=300)[0]) for process in processes)


def test_redis(redis_url: str, subject: str) -> None:
    assert passed(redis_url, subject, 1000, 10_000) == 1000


def test_dynamodb(make_table: Callable[[], str], subject: str) -> None:
    # Moto gives a hundred answers a second or so.
    assert passed(f"dynamodb://{make_table()}", subject, 100, 480) == 100
