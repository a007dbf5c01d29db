"""What importing a function costs, beside the least that its framework costs.

Starts a fresh interpreter for each measurement, the two in turns, and prints the ratio of the medians.

Usage: python benchmarks/imports.py [--rounds 15]
"""

import argparse
import statistics
import subprocess
import sys

BASELINE = "import fastapi, pydantic_settings, numpy"
FUNCTIONS = {name: f"import functions.{name}.main" for name in ("predict", "explain")}
LIMIT = 1.5
"""A function may cost this many times the baseline."""


def seconds(statement: str) -> float:
    """Seconds that one statement takes in a fresh interpreter, its start not counted."""
    program = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


def main() -> int:
    """Measure and report; the exit code is 1 if a function is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    statements = {"baseline": BASELINE, **FUNCTIONS}
    for statement in statements.values():
        seconds(statement)  # fills the file cache and the bytecode cache
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds):
        for name, statement in statements.items():
            times[name].append(seconds(statement))
    baseline = statistics.median(times["baseline"])
    worst = 0.0
    for name, values in times.items():
        median = statistics.median(values)
        ratio = median / baseline
        worst = max(worst, ratio)
        spread = f"from {min(values) * 1000:.0f} to {max(values) * 1000:.0f}"
        print(f"{name:10} {median * 1000:7.0f} ms ({spread})  x {ratio:.2f}")
    print(f"limit      x {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
