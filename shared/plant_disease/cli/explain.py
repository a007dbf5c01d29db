"""`plant-disease explain`, and the pictures that `predict --explain` writes."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from plant_disease import images
from plant_disease.classifier import Classifier
from plant_disease.cli.models import load
from plant_disease.cli.output import Json, ModelUri, Version, console, errors_console, print_error, print_json
from plant_disease.errors import ConfigurationError
from plant_disease.explanation.colormaps import ColormapName
from plant_disease.explanation.explainer import Explainer, Explanation, Method, Question
from plant_disease.explanation.overlay import PictureKind, Style
from plant_disease.images import Photo
from plant_disease.settings import read_settings

_KINDS: dict[str, PictureKind] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}


def explain(
    photo: Annotated[Path, typer.Argument(metavar="IMAGE", help="A photo of a leaf.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write: .png or .jpg.")],
    target: Annotated[str | None, typer.Option(help="Class id. [default: the most probable class]")] = None,
    contrast: Annotated[
        str | None, typer.Option(help="Class id: what speaks for the target rather than for it.")
    ] = None,
    method: Annotated[Method, typer.Option(help="All but cam need torch.")] = "cam",
    layer: Annotated[str | None, typer.Option(help="Of the network; not with cam.")] = None,
    alpha: Annotated[float, typer.Option(min=0, max=1, help="How much of the photo the hottest spot hides.")] = 0.6,
    colormap: Annotated[ColormapName, typer.Option(help="Colours, from cold to hot.")] = "inferno",
    faithfulness: Annotated[
        bool, typer.Option("--faithfulness", help="Measure how far the heatmap can be believed.")
    ] = False,
    model_uri: ModelUri = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Show where on a photo the evidence for a diagnosis lies."""
    question = Question(target, contrast, method, layer, faithfulness, Style(kind_of(out), alpha, colormap))
    model, _ = load(model_uri, version)
    explainer = explainer_of(model)
    explainer.check(question)
    try:
        loaded = [read_photo(photo, model)]
    except OSError as error:
        print_error(str(photo), error)
        raise typer.Exit(1) from error
    output = model.run(loaded)
    diagnosis = model.conclude(output)
    explained = explainer.explain(model, loaded, output, diagnosis, question)
    is_written = write_picture(explained, out)
    if json:
        print_json({"photo": str(photo), "decision": diagnosis.decision, "explanation": as_dict(explained)})
    elif is_written:
        _print(explained, out)
    if not is_written:
        raise typer.Exit(1)


def read_photo(path: Path, model: Classifier) -> Photo:
    """A photo as the model takes it.

    Raises:
        OSError: the file cannot be read.
        ImageError: it is no photo that can be used.
    """
    settings = read_settings()
    return images.load(
        path.read_bytes(),
        model.manifest.input.size,
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
    )


def kind_of(out: Path) -> PictureKind:
    """What picture a file of this name is to hold.

    Raises:
        typer.BadParameter: none that is written here.
    """
    kind = _KINDS.get(out.suffix.lower())
    if kind is None:
        raise typer.BadParameter(f"{out} must end in .png or .jpg.")
    return kind


def explainer_of(model: Classifier) -> Explainer:
    """What explains this classifier, as the environment has it."""
    settings = read_settings()
    return Explainer(model.bundle, threads=settings.threads, device=settings.torch_device)


def write_picture(explained: Explanation, out: Path) -> bool:
    """Write the picture; whether there was one. If not, say why.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if explained.heatmap is None:
        errors_console.print(f"{escape(str(out))} was not written. {explained.reason}", highlight=False, soft_wrap=True)
        return False
    try:
        out.write_bytes(explained.heatmap.picture.data)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from error
    return True


def as_dict(explained: Explanation) -> dict[str, Any]:
    """An explanation for machines; the picture has a file of its own."""
    answer = asdict(explained)
    if explained.heatmap:
        del answer["heatmap"]["picture"]
    return answer


def _print(explained: Explanation, out: Path) -> None:
    target, contrast, measured = explained.target, explained.contrast, explained.faithfulness
    rather = f", rather than for {contrast.class_id} ({contrast.probability:.1%})" if contrast else ""
    lines = [f"{out}: what speaks for {target.class_id} ({target.probability:.1%}){rather}."]
    if measured:
        lines.append(
            f"With the hot {measured.area:.0%} of the photo blurred, the probability falls by {measured.drop:.1%}; "
            f"with as much blurred elsewhere, by {measured.drop_elsewhere:.1%}."
        )
    for line in lines:
        console.print(escape(line), highlight=False, soft_wrap=True)
