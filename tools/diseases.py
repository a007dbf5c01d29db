"""Write docs/diseases.md from shared/plant_disease/advice/classes.toml.

Usage: python tools/diseases.py
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from plant_disease.advice import Advice, Source, advice_note, all_advice
from plant_disease.manifest import ClassInfo

DOCUMENT = Path(__file__).parent.parent / "docs" / "diseases.md"

HEAD = f"""\
# Diseases

What `details=true` and `plant-disease predict --details` say about each class of PlantVillage.

{advice_note()}

Written by `python tools/diseases.py`. To correct something, edit
[classes.toml](../shared/plant_disease/advice/classes.toml), name the source, and run it again.
"""


def page() -> str:
    """The whole document."""
    parts = [HEAD]
    by_crop = groupby(all_advice().items(), lambda item: ClassInfo.from_id(item[0]).crop)
    for crop, classes in by_crop:
        parts.append(f"## {crop}\n")
        parts += ["\n".join(_section(class_id, advice)) + "\n" for class_id, advice in classes]
    return "\n".join(parts)


def _section(class_id: str, advice: Advice) -> Iterator[str]:
    yield f"### {advice.name}\n"
    yield f"`{class_id}`\n"
    for organism in advice.organisms:
        also = ", ".join(f"*{name}*" for name in organism.synonyms)
        code = f", EPPO code {organism.eppo_code}" if organism.eppo_code else ""
        yield f"- {advice.cause}: *{organism.name}*" + (f" (also {also})" if also else "") + code
    yield ("\n" if advice.organisms else "") + f"{advice.looks}\n"
    for heading, items in (
        ("Often taken for it", advice.look_alikes),
        ("Now", advice.now),
        ("To prevent it", advice.prevent),
        ("Report", (advice.report,) if advice.report else ()),
        ("Sources", tuple(map(_cited, advice.sources))),
    ):
        if items:
            yield f"**{heading}**\n"
            yield "\n".join(f"- {item}" for item in items) + "\n"


def _cited(source: Source) -> str:
    return f"{source.publisher}: " + (f"[{source.title}]({source.url})" if source.url else source.title)


if __name__ == "__main__":
    DOCUMENT.write_text(page(), encoding="utf-8")
