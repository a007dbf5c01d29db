"""Try disasters out: what is lost, and how long it takes until all is well again.

Usage: python -m tools.drill [SCENARIO...] [--quick] [--json]
"""

import contextlib
import io
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tools.drill.scenarios import QUICK, RPO_S, RTO_S, SCENARIOS, Outcome, Pace


def drill(
    scenario: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(SCENARIOS)}; all of them if none.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Services look for changes every second, and not as in production.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Run the drills one after the other; the exit code is 1 if one breaks a limit."""
    names = scenario or list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(SCENARIOS)}")
    outcomes = {}
    progress = Console(stderr=True)
    for name in names:
        with progress.status(f"{name} ..."):
            outcomes[name] = run(name, QUICK if quick else Pace())
    if as_json:
        listed = [{"scenario": name, **asdict(each), "passed": each.passed} for name, each in outcomes.items()]
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
    else:
        Console(width=120).print(_table(outcomes))
    raise typer.Exit(not all(outcome.passed for outcome in outcomes.values()))


def run(name: str, pace: Pace) -> Outcome:
    """One drill, in a folder that is deleted afterwards."""
    # The servers' logs, which are printed when they end, are for tests that fail.
    with tempfile.TemporaryDirectory(prefix="drill-") as folder, contextlib.redirect_stdout(io.StringIO()):
        return SCENARIOS[name](Path(folder), pace)


def _table(outcomes: dict[str, Outcome]) -> Table:
    limits = f"Limits: RTO {RTO_S // 60} min, RPO {RPO_S // 60} min"
    table = Table("scenario", "what", "RTO", "by design", "RPO", "lost of requests", "passed", caption=limits)
    for name, outcome in outcomes.items():
        missing = "".join(f"\nnot seen: {what}" for what, seen in outcome.seen.items() if not seen)
        table.add_row(
            name,
            outcome.event + missing,
            f"{outcome.rto_s:.1f} s",
            f"{outcome.design_s:.0f} s",
            "-" if outcome.rpo_s is None else f"{outcome.rpo_s:.1f} s",
            f"{outcome.lost} of {outcome.requests}",
            "yes" if outcome.passed else "NO",
        )
    return table


if __name__ == "__main__":
    typer.run(drill)
