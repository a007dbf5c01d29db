"""`plant-disease bulk`."""

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, get_args

import typer
from rich.markup import escape
from rich.table import Table

from plant_disease.bulk.plan import Done, Plan, Terms, make_plan, open_plan, read_done, write_manifest
from plant_disease.bulk.shards import Job
from plant_disease.classifier import Classifier, Decision
from plant_disease.cli import models
from plant_disease.cli.output import Json, ModelUri, Version, console, counting, errors_console, finding, print_json
from plant_disease.errors import ConfigurationError
from plant_disease.runtimes import open_runtime, precision_of
from plant_disease.settings import Settings, bundled_models, read_settings
from plant_disease.storage import Store, open_store

_TELL_EVERY_S = 30.0


def bulk(
    input_: Annotated[str, typer.Argument(metavar="INPUT", help="Folder, gs:// or s3:// prefix with the photos.")],
    output: Annotated[str, typer.Argument(help="Folder, gs:// or s3:// prefix for the results.")],
    ray_address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="A Ray cluster, such as 10.0.0.1:6379. [default: this machine]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="At most so many. [default: as many as the CPUs are enough for]")
    ] = None,
    cpus: Annotated[int, typer.Option(min=1, help="Of each worker.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="Of each worker; with PLANT_RUNTIME=torch.")] = 0,
    shard_size: Annotated[int, typer.Option(min=1, help="Photos in one file of results.")] = 4000,
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    crop: Annotated[list[str] | None, typer.Option(help="All plants are of these; may be repeated.")] = None,
    model_uri: ModelUri = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Diagnose millions of photos on a Ray cluster. Stopped anywhere, the same command does what is left."""
    try:
        from plant_disease.bulk import cluster
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f'bulk needs an extra ({error.name} is missing): pip install "plant-disease-detector[bulk]"'
        ) from error
    start = time.monotonic()
    settings = read_settings()
    terms = _terms(settings, _absolute(input_), shard_size, top_k, crop or [], model_uri, version)
    try:
        store = open_store(_absolute(output))
        plan = _planned(store, terms)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    done = read_done(store)
    left = [shard for shard in range(plan.shards) if shard not in done or done[shard].unread]
    resumed = sum(each.photos for shard, each in done.items() if shard not in left)
    if not done.keys().isdisjoint(left):
        # While a shard is done anew its files may not fit together.
        write_manifest(store, plan, done, complete=False)
    job = Job(
        plan=plan,
        output=store.uri,
        model_uri=_named(settings, model_uri),
        device=settings.device,
        threads=cpus,
        chunk=settings.batch_chunk,
        cache=settings.model_cache,
        max_image_bytes=settings.max_image_bytes,
        max_image_pixels=settings.max_image_pixels,
    )
    try:
        if left:
            with cluster.connected(ray_address) as available, counting() as progress:
                if not cluster.has_room(cpus, gpus):
                    if not ray_address:
                        raise typer.BadParameter(f"This machine has no {cpus} CPUs and {gpus:g} GPUs for a worker.")
                    # A cluster may get nodes when they are asked for.
                    progress.console.print(f"No node has {cpus} CPUs and {gpus:g} GPUs for a worker; waiting for one.")
                task = progress.add_task("photos", total=plan.photos, completed=resumed)
                most = min(workers or max(1, available // cpus), len(left))
                told = time.monotonic()
                for each in cluster.run(job, left, workers=most, gpus=gpus):
                    done[each.shard] = each
                    progress.advance(task, each.photos)
                    if not progress.console.is_terminal and time.monotonic() - told >= _TELL_EVERY_S:
                        # The log of a job shows no bar that moves.
                        told = time.monotonic()
                        progress.console.print(f"{progress.tasks[0].completed:,.0f} of {plan.photos:,} photos")
    except KeyboardInterrupt as error:
        whole = sum(not each.unread for each in done.values())
        errors_console.print(
            f"Stopped. {whole:,} of {plan.shards:,} shards are done and kept in {escape(store.uri)}; "
            "the same command does the others.",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(130) from error
    write_manifest(store, plan, done, complete=not any(each.unread for each in done.values()))
    summary = _summary(plan, done, resumed, time.monotonic() - start)
    if json:
        print_json({"output": store.uri, **summary})
    else:
        console.print(_shown(store.uri, summary))
    if summary["failed"]:
        raise typer.Exit(1)


def _terms(
    settings: Settings,
    input_: str,
    shard_size: int,
    top_k: int,
    crops: Sequence[str],
    model_uri: str | None,
    version: str | None,
) -> Terms:
    """How the photos are to be done, checked against the model before anything is listed."""
    bundle = models.bundle(model_uri, version)
    # Not the runtime of the workers, whose GPU this machine need not have.
    runtime = open_runtime("onnx", bundle, threads=1)
    Classifier(bundle, runtime).check(top_k, crops)
    return Terms(
        input=input_,
        model=bundle.sha256,
        model_version=bundle.manifest.version,
        runtime=settings.runtime,
        precision=precision_of(settings.runtime, bundle, device=settings.device, precision=settings.precision),
        top_k=top_k,
        crops=tuple(crops),
        shard_size=shard_size,
    )


def _planned(output: Store, terms: Terms) -> Plan:
    """The plan there is, or a new one.

    Raises:
        ValueError: an address is malformed, or there is no photo.
    """
    if plan := open_plan(output, terms):
        errors_console.print(
            f"Going on with the photos listed on {plan.created:%Y-%m-%d %H:%M} UTC. Those that came to "
            f"{escape(terms.input)} since are not among them: give them an OUTPUT of their own.",
            highlight=False,
            soft_wrap=True,
        )
        return plan
    if "://" not in terms.input and not os.path.isdir(terms.input):
        raise ValueError(f"There is no folder {terms.input}.")
    photos = open_store(terms.input)
    with finding() as progress:
        task = progress.add_task("Looking for photos ...", total=None)
        return make_plan(photos, output, terms, partial(progress.advance, task))


def _absolute(place: str) -> str:
    """A place that means the same to a worker, which runs in another folder."""
    return place.rstrip("/") if "://" in place else os.path.abspath(place)


def _named(settings: Settings, model_uri: str | None) -> str | None:
    """Where the model is, if it is not the bundled one: that lies elsewhere on another machine."""
    uri = model_uri or settings.model_uri
    if uri == bundled_models():
        return None
    return _absolute(uri)


def _summary(plan: Plan, done: dict[int, Done], resumed: int, seconds: float) -> dict[str, Any]:
    counts = {
        name: sum(getattr(each, name) for each in done.values()) for name in (*get_args(Decision), "failed", "unread")
    }
    return {
        "total": plan.photos,
        **counts,
        "shards": plan.shards,
        "resumed": resumed,
        "seconds": round(seconds, 2),
        "photos_per_second": round((plan.photos - resumed) / seconds, 1),
    }


def _shown(output: str, summary: dict[str, Any]) -> Table:
    table = Table(show_header=False, title=output, title_justify="left")
    for name, value in summary.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    return table
