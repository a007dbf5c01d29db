"""`plant-disease usage`."""

import csv
import sys
from dataclasses import asdict, astuple, fields
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from plant_disease.cli.output import Json, console, print_json
from plant_disease.settings import read_settings
from plant_disease.storage import open_store
from plant_disease.usage import MONTH, Usage, read_events, sum_usage

app = typer.Typer(help="What was used, for invoices.", no_args_is_help=True)


@app.callback()
def usage() -> None:
    """What was used, for invoices."""


@app.command()
def report(
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="In UTC. [default: this month]")] = None,
    usage_uri: Annotated[
        str | None, typer.Option(help="Folder, gs:// or s3:// with the events. [default: PLANT_USAGE_URI]")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for spreadsheets.")] = False,
    json: Json = False,
) -> None:
    """Sum up what each key has used of each endpoint in a month."""
    month = month or f"{datetime.now(UTC):%Y-%m}"
    if not MONTH.fullmatch(month):
        raise typer.BadParameter(f"{month} is no month such as 2026-11.", param_hint="--month")
    usage_uri = usage_uri or read_settings().usage_uri
    if usage_uri is None:
        raise typer.BadParameter("Say where the events are: --usage-uri, or PLANT_USAGE_URI.")
    try:
        store = open_store(usage_uri)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--usage-uri") from error
    lines = sum_usage(read_events(store, month))
    if json:
        print_json([{"month": month, **asdict(line)} for line in lines])
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(["month", *(field.name for field in fields(Usage))])
        writer.writerows([month, *astuple(line)] for line in lines)
    else:
        console.print(_table(month, lines))


def _table(month: str, lines: list[Usage]) -> Table:
    table = Table("key", "endpoint", title=month, title_justify="left")
    for name in ("requests", "photos"):
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(line.key_id or "without a key", line.endpoint, f"{line.requests:,}", f"{line.photos:,}")
    return table
