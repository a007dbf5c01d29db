"""Tables that a spreadsheet opens and that run nothing there."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant_disease import tables


def item(**changes: Any) -> dict[str, Any]:
    prediction = {"class_id": "A___b", "crop": "A", "disease": "b", "healthy": False, "probability": 0.75}
    return {
        "index": 3,
        "name": "leaf.jpg",
        "status": "ok",
        "decision": "diagnosed",
        "predictions": [prediction, {**prediction, "class_id": "A___c", "probability": 0.2}],
        "is_leaf": {"probability": 0.9},
        "is_healthy": {"probability": 0.1},
        "images": [{"width": 256, "height": 128, "format": "JPEG"}],
        **changes,
    }


def read(each: dict[str, Any]) -> list[dict[str, str]]:
    text = "".join(tables.csv_lines([each]))
    assert text.startswith("\ufeff"), "or Excel does not see that it is UTF-8"
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def test_a_row() -> None:
    (row,) = read(item())
    assert row == {
        "index": "3",
        "name": "leaf.jpg",
        "status": "ok",
        "decision": "diagnosed",
        "class_id": "A___b",
        "crop": "A",
        "disease": "b",
        "healthy": "False",
        "probability": "0.75",
        "others": "A___c 0.2",
        "is_leaf": "0.9",
        "is_healthy": "0.1",
        "width": "256",
        "height": "128",
        "format": "JPEG",
        "error": "",
        "detail": "",
    }


def test_a_row_of_a_failure() -> None:
    failure = {"index": 0, "name": None, "status": "error", "problem": {"code": "x", "detail": "Say, why."}}
    (row,) = read(failure)
    assert {name: value for name, value in row.items() if value} == {
        "index": "0",
        "status": "error",
        "error": "x",
        "detail": "Say, why.",
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r", "\n", " =", "\uff1d", "\uff0b", "\uff20"])
def test_no_cell_is_a_formula(start: str) -> None:
    (row,) = read(item(name=f"{start}cmd|' /C calc'!A0"))
    assert row["name"].startswith("'")
    assert row["name"].replace("'", "") == f"{start}cmd| /C calc!A0"


@pytest.mark.parametrize("separator", [";", ",", "\t", "|", "\n", "; "])
def test_no_part_of_a_cell_is_a_formula_where_another_separator_counts(separator: str) -> None:
    """Spreadsheets in half of the world take a semicolon for the end of a cell."""
    (row,) = read(item(name=f"leaf{separator}=1+1.jpg"))
    assert row["name"] == f"leaf{separator.strip(' ')}'{' ' * separator.count(' ')}=1+1.jpg"


@settings(derandomize=True, database=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_name_comes_back(name: str) -> None:
    (row,) = read(item(name=name))
    assert row["name"].replace("'", "") == name.replace("'", "")
    assert row["detail"] == ""
