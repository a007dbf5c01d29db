"""Outcomes as rows of a table: CSV that a spreadsheet opens."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

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

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""At the start of a file it tells Excel that this is UTF-8."""

_FORMULA = re.compile(r"^(?=[\t\r\n])|(?:^|[;,|\t\r\n])(?=\s*[=+@\-\uff1d\uff0b\uff0d\uff20])")
"""The place before a formula, at the start of a cell or after what a spreadsheet may take for the end of one."""


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


def schema(names: Iterable[str] = COLUMNS) -> "pyarrow.Schema":
    """Some of the columns, or all, as Parquet has them. Needs the extra `parquet`."""
    import pyarrow

    types = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string(), bool: pyarrow.bool_()}
    return pyarrow.schema([(name, types[COLUMNS[name]]) for name in names])


def csv_lines(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Items as CSV (RFC 4180), the names of the columns first. No cell is a formula, whatever a photo is called."""
    yield _BOM + _line(list(COLUMNS))
    for item in items:
        yield _line([_harmless(value) for value in row(item).values()])


def _harmless(value: Any) -> Any:
    """A text in which nothing is a formula: an apostrophe marks it as text.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    return _FORMULA.sub(r"\g<0>'", value) if isinstance(value, str) else value


def _line(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
