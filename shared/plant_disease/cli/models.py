"""`plant-disease models` and the model that the other commands use."""

from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from plant_disease.bundle import Bundle, list_versions, open_bundle, open_model_store
from plant_disease.classifier import Classifier
from plant_disease.cli.output import Json, ModelUri, Version, console, downloading, print_json
from plant_disease.runtimes import Runtime, open_runtime
from plant_disease.settings import read_settings

app = typer.Typer(help="Look at model versions and fetch them.", no_args_is_help=True)


def bundle(model_uri: str | None, version: str | None) -> Bundle:
    """The bundle that the options name, or else the environment."""
    settings = read_settings()
    return open_bundle(
        model_uri or settings.model_uri,
        version=version or settings.model_version,
        channel=settings.model_channel,
        cache=settings.model_cache,
    )


def load(model_uri: str | None, version: str | None) -> tuple[Classifier, Runtime]:
    """The bundle, loaded into the runtime that the environment names."""
    settings = read_settings()
    found = bundle(model_uri, version)
    runtime = open_runtime(settings.runtime, found, threads=settings.threads, device=settings.device)
    return Classifier(found, runtime), runtime


@app.command("list")
def list_(model_uri: ModelUri = None, json: Json = False) -> None:
    """List the versions in a model store, and the channels that serve them."""
    versions = list_versions(open_model_store(model_uri or read_settings().model_uri))
    if json:
        print_json([{"version": name, "channels": channels} for name, channels in versions.items()])
        return
    table = Table("version", "channels")
    for name, channels in versions.items():
        table.add_row(name, ", ".join(channels))
    console.print(table)


@app.command()
def show(model_uri: ModelUri = None, version: Version = None, json: Json = False) -> None:
    """Show what a version says about itself."""
    found = bundle(model_uri, version)
    manifest = found.manifest
    if json:
        print_json({"sha256": found.sha256, **manifest.model_dump(mode="json")})
        return
    table = Table(show_header=False)
    crops = sorted({info.crop for info in manifest.classes})
    for label, value in (
        ("name", manifest.name),
        ("version", manifest.version),
        ("sha256", found.sha256),
        ("created", manifest.created),
        ("architecture", manifest.architecture),
        ("input", f"{manifest.input.size} x {manifest.input.size} px"),
        ("classes", f"{len(manifest.classes)} of {len(crops)} crops: {'; '.join(crops)}"),
        ("diagnosed from", f"{manifest.decision.diagnosed_from:.0%}"),
        ("files", ", ".join(f"{name} ({file.size:,} bytes)" for name, file in manifest.files.items())),
    ):
        table.add_row(label, value)
    console.print(table)


@app.command()
def fetch(
    model_uri: ModelUri = None,
    version: Version = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this file; may be repeated.")] = None,
) -> None:
    """Download and verify a version into the local cache."""
    found = bundle(model_uri, version)
    with downloading() as progress:
        for name in only or found.manifest.files:
            size = found.manifest.files[name].size if name in found.manifest.files else None
            task = progress.add_task(name, total=size)
            path = found.fetch(name, partial(progress.advance, task))
            progress.update(task, completed=size)
            console.print(str(path), highlight=False, soft_wrap=True)
