"""`plant-disease predict`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from plant_disease import images
from plant_disease.classifier import Diagnosis
from plant_disease.cli.models import load
from plant_disease.cli.output import Json, ModelUri, Version, console, print_error, print_json
from plant_disease.errors import ImageError
from plant_disease.settings import read_settings

_VERDICTS = {
    "diagnosed": "[bold green]diagnosed[/]",
    "uncertain": "[bold yellow]not sure[/]",
    "rejected": "[bold red]this does not look like a leaf[/]",
}


def predict(
    photos: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="One or several photos, each of a plant of its own.")
    ],
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    crop: Annotated[list[str] | None, typer.Option(help="The plant is one of these; may be repeated.")] = None,
    model_uri: ModelUri = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Diagnose photos of leaves."""
    settings = read_settings()
    model, _ = load(model_uri, version)
    model.check(top_k, crop or ())
    failed = False
    answers = []
    for path in photos:
        try:
            photo = images.load(
                path.read_bytes(),
                model.manifest.input.size,
                max_bytes=settings.max_image_bytes,
                max_pixels=settings.max_image_pixels,
            )
        except (OSError, ImageError) as error:
            failed = True
            print_error(str(path), error)
            continue
        diagnosis = model.diagnose([photo], top_k=top_k, crops=crop or ())
        answers.append({"photo": str(path), **asdict(diagnosis)})
        if not json:
            console.print(_shown(path, diagnosis))
    if json:
        print_json(answers)
    if failed:
        raise typer.Exit(1)


def _shown(path: Path, diagnosis: Diagnosis) -> str | Table:
    title = f"{escape(path.name)}: {_VERDICTS[diagnosis.decision]}"
    if diagnosis.decision == "rejected":
        return title + "\n"
    table = Table(title=title, title_justify="left", min_width=60)
    for column in ("crop", "disease"):
        table.add_column(column)
    table.add_column("probability", justify="right")
    for prediction in diagnosis.predictions:
        table.add_row(prediction.crop, prediction.disease, f"{prediction.probability:.1%}")
    return table
