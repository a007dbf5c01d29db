"""Files of outcomes: CSV, JSON Lines or Parquet, there whole or not at all."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from plant_disease import tables
from plant_disease.errors import ConfigurationError

Items = Iterable[dict[str, Any]]

_ROWS = 10_000
"""Rows of a Parquet file that are held in memory."""


def writer_for(path: Path) -> Callable[[Path, Items], None]:
    """What writes such a file, by its suffix.

    Raises:
        ConfigurationError: nothing does, or not as this is installed.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ConfigurationError(f"{path} must end in {', '.join(_WRITERS)}.")
    if writer is _write_parquet:
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                'Parquet needs an extra: pip install "plant-disease-detector[parquet]". Or write .csv or .jsonl.'
            ) from error
    return writer


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which takes its place once the block ends well."""
    beside = path.with_name(f".{path.name}.writing")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        beside.unlink(missing_ok=True)


def _write_csv(path: Path, items: Items) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(tables.csv_lines(items))


def _write_jsonl(path: Path, items: Items) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


def _write_parquet(path: Path, items: Items) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = tables.schema()
    rows = map(tables.row, items)
    with pyarrow.parquet.ParquetWriter(path, schema) as file:
        while some := list(islice(rows, _ROWS)):
            file.write_table(pyarrow.Table.from_pylist(some, schema))


_WRITERS: dict[str, Callable[[Path, Items], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
