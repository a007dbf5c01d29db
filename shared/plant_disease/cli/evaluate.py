"""`plant-disease evaluate`."""

import shlex
import sys
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from plant_disease.bundle import open_model_store
from plant_disease.cli.models import load
from plant_disease.cli.output import Json, ModelUri, Version, console, counting, errors_console, print_json
from plant_disease.errors import ConfigurationError, RuntimeUnavailable
from plant_disease.manifest import CARD_FILE
from plant_disease.settings import read_settings
from plant_disease.storage import Store

if TYPE_CHECKING:
    from plant_disease.classifier import Classifier
    from plant_disease.training.evaluation.report import CorruptionReport, Quality, Share
    from plant_disease.training.evaluation.run import Evaluation

_Folder = typer.Argument(help="Folders with one subfolder of photos for each class.", exists=True, file_okay=False)


def evaluate(
    leaves: Annotated[list[Path], _Folder],
    non_leaves: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of pictures without a leaf; may be repeated.", exists=True, file_okay=False),
    ] = None,
    corruptions: Annotated[
        Path | None,
        typer.Option(
            help="Folder like LEAVES, measured also under 39 corruptions. Takes 40 times as long.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write MODEL_CARD.md and its plots beside the model; needs a local folder.")
    ] = False,
    model_uri: ModelUri = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Measure a bundle on labelled photos, through the runtime that serves it."""
    from plant_disease.training.evaluation.run import evaluate as measure

    beside = _place_for_card(model_uri) if card else None
    loaded, runtime = load(model_uri, version)
    if card:
        _check_card_may_change(loaded)
    with counting() as progress:
        measured = measure(
            loaded,
            runtime,
            leaves,
            non_leaves or (),
            corruptions,
            lambda name, total: partial(progress.advance, progress.add_task(name, total=total)),
        )
    if beside:
        _write_card(beside, loaded, measured)
    if json:
        print_json(asdict(measured))
        return
    console.print(_summary(measured))
    if measured.corruptions:
        console.print(_corruption_table(measured.corruptions))


def _place_for_card(model_uri: str | None) -> Store:
    """The store to write to. Found out, like all that can be wrong with it, before an hour of measuring."""
    uri = model_uri or read_settings().model_uri
    if "://" in uri and not uri.startswith("file://"):
        raise ConfigurationError(f"A card cannot be written to {uri}: evaluate a local copy, then publish that.")
    if find_spec("matplotlib") is None:
        raise RuntimeUnavailable(
            'The plots of the card need matplotlib. Run: pip install "plant-disease-detector[train]"'
        )
    return open_model_store(uri)


def _check_card_may_change(model: "Classifier") -> None:
    if CARD_FILE in model.manifest.files:
        raise ConfigurationError(
            f"The manifest of {model.manifest.version} lists the sha256 of its {CARD_FILE}, which can therefore not "
            "change. Export the model anew for a card that can."
        )


def _write_card(store: Store, model: "Classifier", measured: "Evaluation") -> None:
    from plant_disease.training.evaluation import card, plots

    command = shlex.join(["plant-disease", *sys.argv[1:]])
    drawn = plots.draw(measured, [info.class_id for info in model.manifest.classes])
    for name, svg in drawn.items():
        store.write(f"{model.manifest.version}/card/{name}", svg)
    text = card.write(model.manifest, measured, command, list(drawn))
    store.write(f"{model.manifest.version}/{CARD_FILE}", text.encode())
    errors_console.print(f"Wrote {store.uri}/{model.manifest.version}/{CARD_FILE}.", highlight=False, soft_wrap=True)


def _summary(measured: "Evaluation") -> Table:
    title = f"{measured.model['name']} {measured.model['version']}, {read_settings().runtime}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("folder", no_wrap=True)
    for column in ("photos", "top-1", "top-3", "by crop", "ECE raw", "ECE", "diagnosed", "of them right", "refused"):
        table.add_column(column, justify="right")
    for leaf in measured.leaves:
        parts = {leaf.name: leaf.quality, "  without grape": leaf.without_apart, "  grape alone": leaf.apart}
        for name, quality in parts.items():
            if quality:
                table.add_row(name, *_cells(quality))
    table.add_section()
    for other in measured.non_leaves:
        no_leaf = [""] * 5
        table.add_row(
            f"{other.name}, no leaves",
            str(other.refused.of),
            *no_leaf,
            f"{other.diagnosed.share:.1%}",
            "",
            _with_interval(other.refused),
        )
        for name, refused in other.groups.items():
            table.add_row(f"  {name or 'others'}", str(refused.of), *no_leaf, "", "", _with_interval(refused))
    return table


def _cells(quality: "Quality") -> list[str]:
    return [
        str(quality.photos),
        _with_interval(quality.top_1),
        f"{quality.top_3:.1%}",
        f"{quality.top_1_with_crop:.1%}",
        f"{quality.ece_before:.3f}",
        f"{quality.ece_after:.3f}",
        f"{quality.diagnosed.share:.1%}",
        _with_interval(quality.diagnosed_right),
        _with_interval(quality.refused),
    ]


def _with_interval(share: "Share") -> str:
    if share.share is None or share.low is None or share.high is None:
        return "-"
    return f"{share.share:.1%} ({share.low * 100:.0f}-{share.high * 100:.0f})"


def _corruption_table(report: "CorruptionReport") -> Table:
    title = f"{report.name} corrupted: top-1 {report.clean:.1%}, median {report.median:.1%} ({_gained(report.lost)})"
    if report.lost_without_apart is not None and report.lost_apart is not None:
        title += f"; without grape {_gained(report.lost_without_apart)}, grape alone {_gained(report.lost_apart)}"
    table = Table(title=title, title_justify="left")
    table.add_column("corruption")
    for column in ("mild", "medium", "strong", "refused: mild", "medium", "strong"):
        table.add_column(column, justify="right")
    for kind, top_1 in report.top_1.items():
        table.add_row(kind, *(f"{share:.1%}" for share in (*top_1, *report.refused[kind])))
    return table


def _gained(lost: float) -> str:
    return f"{-100 * lost:+.1f} points"
