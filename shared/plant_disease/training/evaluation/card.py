"""MODEL_CARD.md: what a model is good for, written from measurements and from its manifest, and from nothing else.

After Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019, arXiv:1810.03993).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from plant_disease.advice import all_advice
from plant_disease.manifest import ClassInfo, Manifest
from plant_disease.training.evaluation.report import (
    APART,
    CorruptionReport,
    Quality,
    Share,
)
from plant_disease.training.evaluation.run import Evaluation

FEW = 5
"""Photos of a class, fewer than which say next to nothing about it."""


def write(manifest: Manifest, measured: Evaluation, command: str, pictures: Sequence[str]) -> str:
    """The card, as Markdown.

    Args:
        manifest: of the model that was measured.
        measured: the figures.
        command: what was run to get them.
        pictures: names of the files in `card/` beside the card.
    """
    sections: list[Iterable[str]] = [
        _title(manifest, measured),
        _purpose(),
        _quality(measured, pictures),
        _by_class(measured, pictures),
        _refusal(manifest, measured, pictures),
        _corruptions(measured.corruptions, pictures),
        _limits(manifest, measured),
        _data(manifest),
        _calibration(manifest),
        _repeat(command),
    ]
    return "\n".join(line for section in sections for line in (*section, ""))


def _title(manifest: Manifest, measured: Evaluation) -> Iterator[str]:
    crops = sorted({info.crop for info in manifest.classes})
    yield f"# {manifest.name} {manifest.version}"
    yield ""
    yield (
        f"Names the disease of a leaf on a photo: {len(manifest.classes)} classes of {len(crops)} crops. "
        f"{manifest.architecture}, input {manifest.input.size} x {manifest.input.size} px, "
        f"made {manifest.created[:10]}."
    )
    yield ""
    yield (
        "Written by `plant-disease evaluate`, from measurements through the runtime that serves, of the model whose "
        f"manifest has the sha256 `{measured.model['sha256']}`."
    )


def _purpose() -> Iterator[str]:
    yield "## What it is for"
    yield ""
    yield "A first opinion on a leaf of one of the crops below, for somebody who will look at the plant again."
    yield ""
    yield (
        "It is not for deciding alone about spraying, clearing or insuring; not for other crops, for fruit, stems and "
        "roots, for pests that leave no mark on the leaf, or for more than one disease on a leaf. A healthy leaf is "
        "not a healthy plant: the disease may sit on the next leaf, or may not show yet."
    )


def _quality(measured: Evaluation, pictures: Sequence[str]) -> Iterator[str]:
    yield "## How good it is"
    yield ""
    yield "In brackets the 95 % interval (Wilson)."
    yield ""
    yield (
        "| photos | number | top-1 | top-3 | top-1 with the crop given | ECE before -> after calibration | `diagnosed` "
        "| of them right | refused as no leaf |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for report in measured.leaves:
        yield _quality_row(report.name, report.quality)
        if report.without_apart and report.apart:
            yield _quality_row(f"- without {APART.lower()}", report.without_apart)
            yield _quality_row(f"- {APART.lower()} alone", report.apart)
    yield ""
    yield (
        "Top-1 counts every photo, refused or not. With the crop given, it is the right class among those of the crop; "
        "the rule that a crop against which the photo speaks gives no diagnosis plays no part in that column. "
        "ECE is the expected calibration error: the mean gap between how sure an answer is and how often it is right."
    )
    if any(report.apart and report.without_apart for report in measured.leaves):
        yield ""
        yield (
            f"{APART} is stated apart because its photos have lost their camera numbers: photos of one leaf may have "
            "been trained on and tested on, so its figures are optimistic."
        )
    yield from _picture("reliability.svg", "How often answers of a given confidence are right", pictures)


def _quality_row(name: str, quality: Quality) -> str:
    cells = (
        name,
        f"{quality.photos:,}",
        _interval(quality.top_1),
        _percent(quality.top_3),
        _percent(quality.top_1_with_crop),
        f"{quality.ece_before:.3f} -> {quality.ece_after:.3f}",
        f"{quality.diagnosed.hits:,}, {_interval(quality.diagnosed)}",
        f"{quality.diagnosed_right.hits:,}, {_interval(quality.diagnosed_right)}",
        _interval(quality.refused),
    )
    return f"| {' | '.join(cells)} |"


def _by_class(measured: Evaluation, pictures: Sequence[str]) -> Iterator[str]:
    yield "## Class by class"
    for report in measured.leaves:
        photographed = sum(1 for row in report.classes if row.photos)
        yield ""
        yield f"<details><summary>{report.name}: {photographed} classes</summary>"
        yield ""
        yield "| class | photos | precision | recall | F1 | most often mistaken for |"
        yield "|---|---|---|---|---|---|"
        for row in report.classes:
            if row.photos:
                few = f" (fewer than {FEW})" if row.photos < FEW else ""
                figures = " | ".join(_percent(value) for value in (row.precision, row.recall, row.f1))
                mistaken = _class(row.mistaken_for) if row.mistaken_for else ""
                yield f"| {_class(row.class_id)} | {row.photos}{few} | {figures} | {mistaken} |"
        absent = [_class(row.class_id) for row in report.classes if not row.photos]
        if absent:
            yield ""
            yield f"Answered as well, with no photo here: {'; '.join(absent)}."
        yield ""
        yield "</details>"
    yield from _picture("confusion.svg", "Which class was taken for which", pictures)


def _refusal(manifest: Manifest, measured: Evaluation, pictures: Sequence[str]) -> Iterator[str]:
    yield "## When it refuses"
    yield ""
    yield (
        f"A photo is refused as no leaf where the probability of a leaf is below {manifest.leaf_gate.threshold:g}. "
        "Leaves refused: "
        + "; ".join(f"{report.name} {_interval(report.quality.refused)}" for report in measured.leaves)
        + "."
    )
    if not measured.non_leaves:
        yield ""
        yield "Not measured on pictures without a leaf."
        return
    yield ""
    yield "| pictures without a leaf | number | refused | `diagnosed` all the same |"
    yield "|---|---|---|---|"
    for report in measured.non_leaves:
        yield f"| {report.name} | {report.refused.of} | {_interval(report.refused)} | {_interval(report.diagnosed)} |"
        for name, refused in report.groups.items():
            yield f"| - {name or 'others'} | {refused.of} | {_interval(refused)} | |"
    yield from _picture("gate.svg", "Leaves let in against pictures without a leaf let in", pictures)


def _corruptions(report: CorruptionReport | None, pictures: Sequence[str]) -> Iterator[str]:
    yield "## Spoilt photos"
    yield ""
    if report is None:
        yield "Not measured."
        return
    yield (
        f"{report.name} under {len(report.top_1)} kinds of damage, each mild, medium and strong, in the spirit of "
        "Hendrycks and Dietterich ([arXiv:1903.12261](https://arxiv.org/abs/1903.12261)). Top-1 is "
        f"{_percent(report.clean)} on the photos as they are; its median over all damage is {_percent(report.median)}, "
        f"{_points(report.lost)}."
    )
    if report.lost_apart is not None and report.lost_without_apart is not None:
        yield (
            f"Without {APART.lower()} it is {_points(report.lost_without_apart)}; for {APART.lower()} alone, "
            f"{_points(report.lost_apart)}."
        )
    yield ""
    yield "| damage | top-1: mild | medium | strong | refused: mild | medium | strong |"
    yield "|---|---|---|---|---|---|---|"
    for kind, shares in report.top_1.items():
        yield f"| {kind} | {' | '.join(_percent(share) for share in (*shares, *report.refused[kind]))} |"
    yield from _picture("corruptions.svg", "Top-1 under each kind of damage", pictures)


def _limits(manifest: Manifest, measured: Evaluation) -> Iterator[str]:
    yield "## Limits"
    yield ""
    worst = min(measured.leaves, key=lambda report: report.quality.top_1.share or 0)
    quality = worst.quality
    yield (
        f"- The lowest figure is the one to expect where nothing is known of a photo's source. Here it is "
        f"{worst.name}: {quality.top_1.hits} of {quality.photos} photos right, {_interval(quality.top_1)}. "
        f"{quality.diagnosed.hits} were answered `diagnosed`, of which {quality.diagnosed_right.hits} are right. "
        f"With the crop given, {_percent(quality.top_1_with_crop)} are right."
    )
    yield (
        "- Photos of single leaves on paper in even light are easy, and most photos that models like this are trained "
        "on are such. Outdoors, other leaves, soil, shade and blur make it harder."
    )
    yield (
        "- It can only answer what it knows. A disease that is not below gets the name of one that is, often with "
        "confidence:"
    )
    for crop, classes in _by_crop(manifest.classes).items():
        yield f"  - {crop}: {', '.join(info.disease for info in classes)}"
    known = {info.class_id for info in manifest.classes}
    plant_village = all_advice()
    missing = [class_id for class_id in plant_village if class_id not in known]
    if missing and known & plant_village.keys():
        yield (
            f"- Of the {len(plant_village)} classes of PlantVillage it does not know {len(missing)}: "
            f"{'; '.join(_class(name) for name in missing)}."
        )
    only = [crop for crop, classes in _by_crop(manifest.classes).items() if len(classes) == 1]
    if only:
        yield f"- Crops with a single class get that answer whatever they have: {', '.join(only)}."
    photographed = {row.class_id for report in measured.leaves for row in report.classes if row.photos}
    unmeasured = [info.class_id for info in manifest.classes if info.class_id not in photographed]
    if unmeasured:
        yield f"- Not measured at all, for want of photos: {'; '.join(_class(name) for name in unmeasured)}."


def _data(manifest: Manifest) -> Iterator[str]:
    yield "## Data and licences"
    yield ""
    training = manifest.metrics.get("training")
    if not isinstance(training, Mapping):
        yield "The manifest does not state which photos it was trained on."
        return
    sources = training.get("sources")
    yield "| photos trained on | origin | licence | number |"
    yield "|---|---|---|---|"
    for source in (*_tables(sources), *_tables([training.get("non_leaves")])):
        cells = (f"`{source.get('path', '?')}`", *(_stated(source.get(key)) for key in ("origin", "licence", "photos")))
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield f"How photos were split: {_stated(training.get('split'))}."


def _calibration(manifest: Manifest) -> Iterator[str]:
    yield "## How it was calibrated"
    yield ""
    yield (
        "On photos kept back from training. Logits are divided by a temperature of "
        f"{manifest.calibration.temperature:g} (Guo et al. 2017, [arXiv:1706.04599]"
        "(https://arxiv.org/abs/1706.04599)). An answer is `diagnosed` from a "
        f"probability of {_percent(manifest.decision.diagnosed_from)} on."
    )
    holdout = manifest.metrics.get("holdout")
    if isinstance(holdout, Mapping):
        yield ""
        yield "On those photos themselves, which come from the same series as the training photos and so flatter it:"
        yield ""
        yield "| measure | value |"
        yield "|---|---|"
        for key, value in holdout.items():
            yield f"| {key} | {_stated(value)} |"


def _repeat(command: str) -> Iterator[str]:
    yield "## How to repeat this"
    yield ""
    yield "```sh"
    yield command
    yield "```"


def _picture(name: str, description: str, pictures: Sequence[str]) -> Iterator[str]:
    if name in pictures:
        yield ""
        yield f"![{description}](card/{name})"


def _by_crop(classes: Iterable[ClassInfo]) -> dict[str, list[ClassInfo]]:
    crops: dict[str, list[ClassInfo]] = {}
    for info in classes:
        crops.setdefault(info.crop, []).append(info)
    return crops


def _class(class_id: str) -> str:
    info = ClassInfo.from_id(class_id)
    return f"{info.crop}: {info.disease}"


def _tables(value: JsonValue) -> list[Mapping[str, JsonValue]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _stated(value: JsonValue) -> str:
    """A value of the manifest, in words; a table as `name (number)`."""
    if value is None:
        return "not stated"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} ({_stated(item)})" for key, item in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _points(lost: float) -> str:
    return f"{abs(lost) * 100:.1f} points {'lower' if lost >= 0 else 'higher'}"


def _interval(share: Share) -> str:
    if share.low is None or share.high is None:
        return "-"
    return f"{_percent(share.share)} ({share.low * 100:.0f} to {share.high * 100:.0f})"
