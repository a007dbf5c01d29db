"""`plant-disease predict`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from plant_disease.advice import Advice, advice_note, advise
from plant_disease.classifier import Diagnosis
from plant_disease.cli.explain import as_dict, explainer_of, kind_of, read_photo, write_picture
from plant_disease.cli.models import load
from plant_disease.cli.output import Json, ModelUri, Version, console, print_error, print_json
from plant_disease.errors import ImageError
from plant_disease.explanation.explainer import Question
from plant_disease.explanation.overlay import Style

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
    details: Annotated[
        bool, typer.Option("--details", help="Say what every class named means for the plant and what to do.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Also draw where on the photo the evidence lies; takes a single photo."),
    ] = None,
    model_uri: ModelUri = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Diagnose photos of leaves."""
    if explain and len(photos) > 1:
        raise typer.BadParameter("--explain takes a single photo.")
    question = Question(style=Style(kind_of(explain))) if explain else None
    model, _ = load(model_uri, version)
    model.check(top_k, crop or ())
    failed = False
    answers = []
    for path in photos:
        try:
            photo = read_photo(path, model)
        except (OSError, ImageError) as error:
            failed = True
            print_error(str(path), error)
            continue
        output = model.run([photo])
        diagnosis = model.conclude(output, top_k=top_k, crops=crop or ())
        answer = {"photo": str(path), **(_detailed(diagnosis) if details else asdict(diagnosis))}
        if not json:
            console.print(_shown(path, diagnosis))
            if details and diagnosis.decision != "rejected":
                console.print(_advice(diagnosis))
        if explain and question:
            explained = explainer_of(model).explain(model, [photo], output, diagnosis, question)
            failed = not write_picture(explained, explain)
            answer["explanation"] = as_dict(explained)
        answers.append(answer)
    if json:
        print_json(answers)
    elif details and answers:
        console.print(Text(advice_note(), style="italic"))
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


def _detailed(diagnosis: Diagnosis) -> dict[str, Any]:
    answer = asdict(diagnosis)
    for prediction in answer["predictions"]:
        advice = advise(prediction["class_id"])
        prediction["details"] = advice and advice.model_dump(mode="json")
    return {**answer, "advice_note": advice_note()}


def _advice(diagnosis: Diagnosis) -> Group:
    parts = []
    for prediction in diagnosis.predictions:
        advice = advise(prediction.class_id)
        if advice is None:
            parts.append(Padding(f"Nothing is written about {escape(prediction.class_id)}.", (0, 0, 1, 2)))
        else:
            parts.append(Padding(Group(*_lines(advice)), (0, 0, 1, 2)))
    return Group(*parts)


def _lines(advice: Advice) -> Iterator[Text | Padding]:
    yield Text(advice.name, style="bold")
    for organism in advice.organisms:
        also = [*organism.synonyms, *([f"EPPO {organism.eppo_code}"] if organism.eppo_code else [])]
        yield Text(f"{advice.cause}: {organism.name}" + (f" ({', '.join(also)})" if also else ""))
    yield Text(advice.looks)
    sources = [f"{source.publisher}: {source.title}\n{source.url or ''}".strip() for source in advice.sources]
    for heading, items in (
        ("Often taken for it", advice.look_alikes),
        ("Now", advice.now),
        ("To prevent it", advice.prevent),
        ("Report", (advice.report,) if advice.report else ()),
        ("Sources", sources),
    ):
        if items:
            yield Text(heading, style="bold")
            yield from (Padding(Text(item), (0, 0, 0, 2)) for item in items)
