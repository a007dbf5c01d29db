"""`plant-disease batch`."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.markup import escape
from rich.table import Table

from plant_disease.batch import Allowance, Batcher, Outcome, Source
from plant_disease.classifier import Classifier, Decision
from plant_disease.cli.journal import Journal
from plant_disease.cli.models import load
from plant_disease.cli.output import Json, ModelUri, Version, console, counting, errors_console, print_json
from plant_disease.cli.photos import find_photos
from plant_disease.cli.reports import replacing, writer_for
from plant_disease.errors import ConfigurationError
from plant_disease.settings import read_settings

_READERS = 16
"""Photos read from a bucket at once."""


def batch(
    places: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER|GLOB|URI...", help="Photos, folders, globs, gs:// or s3:// prefixes."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .csv, .jsonl or .parquet.")],
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    crop: Annotated[list[str] | None, typer.Option(help="All plants are of these; may be repeated.")] = None,
    model_uri: ModelUri = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Diagnose many photos, each of a plant of its own. Stopped with Ctrl-C, the same command goes on later."""
    write = writer_for(out)
    if out.exists():
        raise typer.BadParameter(f"{out} exists. Choose another name, or delete it.")
    model, _ = load(model_uri, version)
    model.check(top_k, crop or ())
    with errors_console.status("Looking for photos ..."):
        photos = _found(places)
    terms = {"model": model.bundle.sha256, "top_k": top_k, "crops": crop or []}
    start = time.monotonic()
    with Journal(out.with_name(f"{out.name}.partial"), terms) as journal:
        todo = [photo for photo in photos if not journal.has(str(photo.name))]
        try:
            _diagnose(model, todo, journal, top_k=top_k, crops=crop or (), done=len(photos) - len(todo))
        except KeyboardInterrupt as error:
            done = sum(journal.has(str(photo.name)) for photo in photos)
            errors_console.print(
                f"Stopped. {done:,} of {len(photos):,} are done and kept in {escape(str(journal.path))}; "
                "the same command goes on from there.",
                highlight=False,
                soft_wrap=True,
            )
            raise typer.Exit(130) from error
        except OSError as error:
            raise ConfigurationError(f"{journal.path} cannot be written: {error.strerror}.") from error
        seconds = time.monotonic() - start
        outcomes: Counter[str] = Counter()
        with replacing(out) as file:
            write(file, _in_order(photos, journal, outcomes))
        journal.path.unlink()
    summary = {
        "total": len(photos),
        **{decision: outcomes[decision] for decision in get_args(Decision)},
        "failed": outcomes["failed"],
        "resumed": len(photos) - len(todo),
        "seconds": round(seconds, 2),
        "photos_per_second": round(len(todo) / seconds, 1),
    }
    if json:
        print_json({"out": str(out), **summary})
    else:
        console.print(_shown(out, summary))
    if summary["failed"]:
        raise typer.Exit(1)


def _diagnose(
    model: Classifier, photos: Sequence[Source], journal: Journal, *, top_k: int, crops: Sequence[str], done: int
) -> None:
    settings = read_settings()
    allowance = Allowance(max_image_bytes=settings.max_image_bytes, max_image_pixels=settings.max_image_pixels)
    with (
        counting() as progress,
        ThreadPoolExecutor(settings.threads) as threads,
        ThreadPoolExecutor(_READERS) as readers,
    ):
        task = progress.add_task("photos", total=done + len(photos), completed=done)

        def tell(outcome: Outcome) -> None:
            journal.add(outcome.as_dict())
            progress.advance(task)

        async def run() -> None:
            batcher = Batcher(threads, workers=settings.threads, readers=readers, chunk=settings.batch_chunk)
            await batcher.run(model, photos, tell, allowance=allowance, top_k=top_k, crops=crops)

        asyncio.run(run())


def _in_order(photos: Sequence[Source], journal: Journal, outcomes: Counter[str]) -> Iterator[dict[str, Any]]:
    """What became of each photo, in the order in which they were found; counted on the way."""
    for index, photo in enumerate(photos):
        item = {**journal.item(str(photo.name)), "index": index}
        outcomes[item["decision"] if item["status"] == "ok" else "failed"] += 1
        yield item


def _found(places: Sequence[str]) -> list[Source]:
    try:
        return find_photos(places, max_bytes=read_settings().max_image_bytes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _shown(out: Path, summary: dict[str, Any]) -> Table:
    table = Table(show_header=False, title=str(out), title_justify="left")
    for name, value in summary.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    return table
