"""Outcomes as rows of a table: CSV that a spreadsheet opens."""

import csv
import io
from typing import Any

COLUMNS: dict[str, type] = {
    "index": int,
    "name": str,
    "status": str,
    "decision": str,
    "class_id": str,
    "crop": str,
    "disease": str,
    "healthy": bool,
    "probability": float,
    "others": str,
    "is_leaf": float,
    "is_healthy": float,
    "width": int,
    "height": int,
    "format": str,
    "error": str,
    "detail": str,
}
"""The columns of a table of outcomes, and what stands in them. What does not apply to a photo is left empty."""

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""At the start of a file it tells Excel that this is UTF-8."""

_STARTS_FORMULA = tuple("=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}")


def row(item: dict[str, Any]) -> dict[str, Any]:
    """An item, as `batch.Outcome.as_dict` has it, as a row: a value for each column, None where there is none."""
    head = {name: item.get(name) for name in ("index", "name", "status", "decision")}
    if item["status"] == "error":
        cells = {**head, "error": item["problem"]["code"], "detail": item["problem"]["detail"]}
    else:
        best, *others = item["predictions"]
        cells = {
            **head,
            **{name: best[name] for name in ("class_id", "crop", "disease", "healthy", "probability")},
            "others": "; ".join(f"{other['class_id']} {other['probability']:g}" for other in others),
            "is_leaf": item["is_leaf"]["probability"],
            "is_healthy": item["is_healthy"]["probability"],
            **item["images"][0],
        }
    return {name: cells.get(name) for name in COLUMNS}


def csv_head() -> str:
    """The first line of a CSV file."""
    return BOM + _line(list(COLUMNS))


def csv_line(cells: dict[str, Any]) -> str:
    """A row as a line of CSV (RFC 4180). No cell is a formula, whatever a photo is called."""
    return _line([_harmless(value) for value in cells.values()])


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is marked as text, as OWASP advises.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if isinstance(value, str) and (value.startswith(_STARTS_FORMULA) or value.strip().startswith(_STARTS_FORMULA)):
        return "'" + value
    return value


def _line(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
