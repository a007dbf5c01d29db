"""`plant-disease train` and `export`: what needs torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from plant_disease.cli.output import Json, console, print_json
from plant_disease.errors import RuntimeUnavailable

Data = Annotated[
    Path, typer.Option(help="Folder that the recipe's paths are relative to.", file_okay=False, exists=True)
]


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file, for example recipes/default.toml.")],
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for weights and log.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    json: Json = False,
) -> None:
    """Fine-tune a network as a recipe says."""
    from plant_disease.training.recipe import read_recipe

    read = read_recipe(recipe)
    with _training_extra():
        from plant_disease.training.fit import fit

        epochs = fit(read, data, out, resume=resume)
    if json:
        print_json({"run": str(out), "epochs": epochs})
        return
    console.print(f"Weights are in {out}. Next: plant-disease export {out} --data {data} -o models --version VERSION")


def export(
    run: Annotated[Path, typer.Argument(help="Folder that train wrote.", file_okay=False, exists=True)],
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder; the version becomes a folder in it.")],
    version: Annotated[str, typer.Option(help="Name of the new version; a version never changes.")],
    name: Annotated[str, typer.Option(help="Name of the model.")] = "plant-disease",
    json: Json = False,
) -> None:
    """Write a trained network as a bundle: calibrated, and proven equal in both runtimes."""
    with _training_extra():
        from plant_disease.training.export import export as export_run

        exported = export_run(run, data, out, version, name=name)
    if json:
        print_json({"version": version, "sha256": exported.sha256, "metrics": exported.manifest.metrics})
        return
    console.print(f"Exported {out / version} ({exported.sha256[:12]}).", highlight=False)
    console.print(f"Next: plant-disease evaluate FOLDER --model-uri {out} --version {version} --card")


@contextmanager
def _training_extra() -> Iterator[None]:
    try:
        yield
    except ImportError as missing:
        raise RuntimeUnavailable(
            f"{missing.name or 'A package'} is not installed. Run: make train-env, "
            'or pip install "plant-disease-detector[train]"'
        ) from missing
