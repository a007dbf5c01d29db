"""`plant-disease train`, `evaluate` and `export`. torch is imported by the first and the last only."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from plant_disease.cli.models import load
from plant_disease.cli.output import Json, ModelUri, Version, console, counting, print_json
from plant_disease.errors import RuntimeUnavailable
from plant_disease.settings import read_settings

Data = Annotated[
    Path, typer.Option(help="Folder that the recipe's paths are relative to.", file_okay=False, exists=True)
]


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file, for example recipes/default.toml.")],
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for weights and log.")],
) -> None:
    """Fine-tune a network as a recipe says."""
    from plant_disease.training.recipe import read_recipe

    read = read_recipe(recipe)
    with _training_extra():
        from plant_disease.training.fit import fit

        fit(read, data, out)
    console.print(f"Weights are in {out}. Next: plant-disease export {out} --data {data} -o models --version VERSION")


def export(
    run: Annotated[Path, typer.Argument(help="Folder that train wrote.", file_okay=False, exists=True)],
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder; the version becomes a folder in it.")],
    version: Annotated[str, typer.Option(help="Name of the new version; a version never changes.")],
    name: Annotated[str, typer.Option(help="Name of the model.")] = "plant-disease",
    channel: Annotated[str | None, typer.Option(help="Also let this channel serve the version.")] = None,
) -> None:
    """Write a trained network as a bundle: calibrated, and proven equal in both runtimes."""
    with _training_extra():
        from plant_disease.training.export import export as export_run
        from plant_disease.training.export import point_channel

        exported = export_run(run, data, out, version, name=name)
        if channel:
            point_channel(out, channel, exported)
    console.print(f"Exported {out / version} ({exported.sha256[:12]}).", highlight=False)


def evaluate(
    leaves: Annotated[
        list[Path],
        typer.Argument(help="Folders with one subfolder of photos for each class.", exists=True, file_okay=False),
    ],
    non_leaves: Annotated[list[Path] | None, typer.Option(help="Flat folder of pictures without a leaf.")] = None,
    model_uri: ModelUri = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Measure a bundle on labelled photos, through the runtime that serves it."""
    from plant_disease.training.evaluate import evaluate_leaves, evaluate_non_leaves

    loaded, runtime = load(model_uri, version)
    with counting() as progress:

        def bar(folder: Path) -> "partial[None]":
            return partial(progress.advance, progress.add_task(str(folder), total=None))

        leaf_reports = [evaluate_leaves(loaded, runtime, folder, bar(folder)) for folder in leaves]
        other_reports = [evaluate_non_leaves(loaded, runtime, folder, bar(folder)) for folder in non_leaves or ()]
    if json:
        print_json({"leaves": [asdict(r) for r in leaf_reports], "non_leaves": [asdict(r) for r in other_reports]})
        return
    table = Table(
        title=f"{loaded.manifest.name} {loaded.manifest.version}, {read_settings().runtime}", title_justify="left"
    )
    table.add_column("folder", no_wrap=True)
    for column in ("photos", "top-1 (95 %)", "top-3", "with crop", "ECE", "diagnosed", "of them right", "refused"):
        table.add_column(column, justify="right")
    for leaf in leaf_reports:
        low, high = leaf.top_1_interval
        table.add_row(
            _short(leaf.name),
            str(leaf.photos),
            f"{leaf.top_1:.1%} ({low * 100:.0f}-{high * 100:.0f})",
            f"{leaf.top_3:.1%}",
            f"{leaf.top_1_with_crop:.1%}",
            f"{leaf.ece:.3f}",
            f"{leaf.diagnosed:.1%}",
            "-" if leaf.diagnosed_right is None else f"{leaf.diagnosed_right:.1%}",
            f"{leaf.refused:.1%}",
        )
    for other in other_reports:
        table.add_row(f"{_short(other.name)}, no leaves", str(other.photos), *["-"] * 6, f"{other.refused:.1%}")
    console.print(table)


def _short(folder: str) -> str:
    return "/".join(Path(folder).parts[-2:])


@contextmanager
def _training_extra() -> Iterator[None]:
    try:
        yield
    except ImportError as missing:
        raise RuntimeUnavailable(
            f"{missing.name or 'A package'} is not installed. Run: make train-env, "
            'or pip install "plant-disease-detector[train]"'
        ) from missing
