"""All of the speed report: `make bench`, or python benchmarks/run.py [--quick] [--only PART ...].

Writes docs/performance/report.md, results.json and speed.svg, and prints what is promised and what holds.
"""

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cold_start
import engine
import gpu
import growth
import plots
import request
import scaling
from measure import Promise, machine, table

FOLDER = Path(__file__).parent.parent / "docs/performance"
PARTS = {"request": request, "cold start": cold_start, "engine": engine, "growth": growth, "GPU": gpu}
LIMIT_MINUTES = {"request": 13, "cold start": 14, "engine": 20, "growth": 10, "GPU": 10}
"""Far above what they take on a quiet machine; a part that takes longer hangs."""


class OutOfTime(SystemExit):
    """A part took too long. Like a wish to exit, it passes through event loops."""


@contextmanager
def at_most(minutes: float) -> Iterator[None]:
    """Around what must not hang.

    Raises:
        OutOfTime: it took longer.
    """

    def stop(*_: object) -> None:
        raise OutOfTime

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(int(minutes * 60))
    try:
        yield
    finally:
        signal.alarm(0)


def promised(promises: list[Promise]) -> str:
    rows: list[list[object]] = [
        [each.what, f"{each.figure:.2f}", f"{'at most' if each.most else 'at least'} {each.limit:.2f}",
         "holds" if each.holds else "**missed**"]
        for each in promises
    ]  # fmt: skip
    return table(["promise", "figure", "limit", ""], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: to try the instruments, not to believe them")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    # So that the services which run end with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    described = machine()
    texts, promises, figures = [], [], {}
    for name in arguments.only:
        began = time.perf_counter()
        try:
            with at_most(LIMIT_MINUTES[name]):
                text, kept, figures[name] = PARTS[name].run(quick=arguments.quick)
        except OutOfTime:
            text, kept = f"Not measured: it was given up after {LIMIT_MINUTES[name]} minutes.", []
        except Exception:
            # The other parts take half an hour, too long to lose.
            traceback.print_exc()
            text, kept = "Not measured: it failed.", []
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        texts.append(f"## {name[0].upper()}{name[1:]}\n\n{text}")
        promises += kept
    arguments.folder.mkdir(parents=True, exist_ok=True)
    summary = promised(promises)
    (arguments.folder / "results.json").write_text(json.dumps({"machine": described, **figures}, indent=1) + "\n")
    if figures.keys() >= {"request", "cold start"}:
        plots.draw(figures["request"], figures["cold start"], arguments.folder / "speed.svg")
        summary += "\n\n![p99 over photos a second, resident memory, time to the first diagnosis](speed.svg)"
    if "request" in figures:
        texts.append(f"## Scaling on paper\n\n{scaling.section(figures['request'])}")
    kind = "A quick run: too short to believe.\n\n" if arguments.quick else ""
    head = f"# Speed, measured\n\n{kind}Written by `make bench`. {described}.\n\n## Promises\n\n{summary}"
    (arguments.folder / "report.md").write_text("\n\n".join([head, *texts]) + "\n")
    print(promised(promises))
    if len(figures) < len(arguments.only):
        sys.exit(1)


if __name__ == "__main__":
    main()
