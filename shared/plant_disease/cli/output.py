"""What the commands print: tables for people on a terminal, JSON for machines."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(width=None if sys.stdout.isatty() else 120)
errors_console = Console(stderr=True)
"""Progress and errors go to standard error, so that standard output can be piped."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
ModelUri = Annotated[
    str | None,
    typer.Option(
        "--model-uri", help="Folder, gs:// or s3:// with the model. [default: PLANT_MODEL_URI, or the bundled one]"
    ),
]
Version = Annotated[str | None, typer.Option("--version", help="Version of the model. [default: the channel's]")]


def print_error(what: str, error: Exception) -> None:
    """Print one line about something that failed."""
    errors_console.print(f"[red]{escape(what)}:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def counting() -> Progress:
    """A progress bar for things counted."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors_console,
    )


def finding() -> Progress:
    """A count of what is found, however much it will be."""
    return Progress(
        TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"), console=errors_console, transient=True
    )


def transferring() -> Progress:
    """A progress bar for bytes."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=errors_console
    )
