"""`plant-disease models` and the model that the other commands use."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from plant_disease import publishing
from plant_disease.bundle import Bundle, list_versions, open_bundle, open_model_store
from plant_disease.classifier import Classifier
from plant_disease.cli.output import Json, ModelUri, Version, console, print_json, transferring
from plant_disease.runtimes import Runtime, open_runtime
from plant_disease.settings import read_settings
from plant_disease.storage import Store

app = typer.Typer(help="Publish model versions, move channels between them, look at them.", no_args_is_help=True)

Channel = Annotated[str, typer.Option(help="Name of the channel.")]


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
    runtime = open_runtime(
        settings.runtime, found, threads=settings.forward_threads, device=settings.device, precision=settings.precision
    )
    return Classifier(found, runtime), runtime


@app.command("list")
def list_(model_uri: ModelUri = None, json: Json = False) -> None:
    """List the versions in a model store, and the channels that serve them."""
    versions = list_versions(_store(model_uri))
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
    json: Json = False,
) -> None:
    """Download and verify a version into the local cache."""
    found = bundle(model_uri, version)
    paths = {}
    with transferring() as progress:
        for name in only or found.manifest.files:
            size = found.manifest.files[name].size if name in found.manifest.files else None
            task = progress.add_task(name, total=size)
            paths[name] = str(found.fetch(name, partial(progress.advance, task)))
            progress.update(task, completed=size)
    if json:
        print_json({"version": found.manifest.version, "sha256": found.sha256, "files": paths})
        return
    for path in paths.values():
        console.print(path, highlight=False, soft_wrap=True)


@app.command()
def publish(
    folder: Annotated[
        Path, typer.Argument(help="Folder of one version, such as models/1.0.0.", exists=True, file_okay=False)
    ],
    model_uri: ModelUri = None,
    promote: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="Also let this channel serve the version.")
    ] = None,
    json: Json = False,
) -> None:
    """Put a version into a model store. It appears there whole or not at all."""
    release = publishing.open_release(folder)
    store = _store(model_uri)
    version = release.manifest.version
    with transferring() as progress:
        task = progress.add_task(f"publish {version}", total=release.size)
        is_new = publishing.publish(release, store, partial(progress.advance, task))
        progress.update(task, completed=release.size)
    move = _promoted(store, promote, version) if promote else None
    if json:
        answer = {"version": version, "sha256": release.sha256, "published": is_new}
        print_json({**answer, "promoted": _as_dict(move) if move else None})
        return
    done = "Published" if is_new else "Was there already:"
    console.print(f"{done} {store.uri}/{version} ({release.sha256[:12]}).", highlight=False, soft_wrap=True)
    if move:
        _print_move(move)


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="The version to serve.")],
    channel: Channel = "stable",
    model_uri: ModelUri = None,
    json: Json = False,
) -> None:
    """Let a channel serve a version, after fetching and verifying all of it."""
    move = _promoted(_store(model_uri), channel, version)
    if json:
        print_json(_as_dict(move))
    else:
        _print_move(move)


@app.command()
def rollback(channel: Channel = "stable", model_uri: ModelUri = None, json: Json = False) -> None:
    """Let a channel serve again what it served before; done again, what it served before that."""
    with transferring() as progress:
        move = publishing.rollback(_store(model_uri), channel, partial(progress.advance, _verifying(progress, channel)))
    if json:
        print_json(_as_dict(move))
    else:
        _print_move(move)


def _store(model_uri: str | None) -> Store:
    return open_model_store(model_uri or read_settings().model_uri)


def _promoted(store: Store, channel: str, version: str) -> publishing.Move:
    with transferring() as progress:
        return publishing.promote(store, channel, version, partial(progress.advance, _verifying(progress, version)))


def _verifying(progress: Progress, what: str) -> TaskID:
    return progress.add_task(f"verify {what}", total=None)


def _as_dict(move: publishing.Move) -> dict[str, str | None]:
    return {
        "channel": move.channel,
        "version": move.now.version,
        "sha256": move.now.manifest_sha256,
        "before": move.before.version if move.before else None,
    }


def _print_move(move: publishing.Move) -> None:
    if move.before == move.now:
        text = f"Channel {move.channel} serves {move.now.version} already."
    else:
        before = f"{move.before.version} -> " if move.before else ""
        text = f"Channel {move.channel}: {before}{move.now.version}."
    console.print(text, highlight=False, soft_wrap=True)
