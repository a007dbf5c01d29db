"""Write the table in docs/configuration.md from the settings themselves.

Usage: python tools/configuration.py
"""

from pathlib import Path

from plant_disease.settings import Settings

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"
START, END = "<!-- settings: start -->", "<!-- settings: end -->"


def table() -> str:
    """One row for each setting: variable, default, meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        computed = {"model_uri": "the bundled model", "threads": "CPU quota"}.get(name)
        default = computed or ("none" if field.default in (None, ()) else f"`{field.default}`")
        rows.append(f"| `PLANT_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    """The document with its table brought up to date."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
