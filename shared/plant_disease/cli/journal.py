"""What a long run has done so far, on disk, so that it can be resumed."""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from plant_disease.errors import ConfigurationError


class Journal:
    """A file with a line of JSON for each photo done, after a first line that says how they were done.

    A line counts once it is whole: what a killed process left of its last line is cut off. Only one process at a
    time may have it.

    Args:
        path: of the file; created if it is not there.
        terms: how photos are done in this run: model and options. A journal with other terms is not resumed.

    Raises:
        ConfigurationError: it was begun with other terms, is in use, or cannot be written.
    """

    def __init__(self, path: Path, terms: Mapping[str, Any]) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        self._done: set[str] = set()
        try:
            self._file = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"{path} is in use: the same run goes on in another process.") from error
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
        self._file.seek(0)
        head = json.dumps(terms, sort_keys=True).encode() + b"\n"
        begun_with = self._file.readline()
        if head.startswith(begun_with) and begun_with != head:
            # New, or killed in the middle of its first line.
            self._file.truncate(0)
            self._file.write(head)
        elif begun_with != head:
            self._file.close()
            raise ConfigurationError(
                f"{path} was begun with another model or other options. Repeat those to go on, or delete it."
            )
        self._resume()

    def _resume(self) -> None:
        place = self._file.tell()
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self._note(json.loads(line), place)
            place += len(line)
        self._file.truncate(place)

    def _note(self, item: dict[str, Any], place: int) -> None:
        self._places[item["name"]] = place
        if item["status"] == "ok":
            self._done.add(item["name"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def has(self, name: str) -> bool:
        """Whether this photo was diagnosed. One that failed is tried again."""
        return name in self._done

    def add(self, item: dict[str, Any]) -> None:
        """Note what became of a photo; survives the process from here on.

        Raises:
            OSError: the disk is full, for example.
        """
        self._file.seek(0, 2)
        self._note(item, self._file.tell())
        self._file.write(json.dumps(item, ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def item(self, name: str) -> dict[str, Any]:
        """What became of a photo."""
        self._file.seek(self._places[name])
        item: dict[str, Any] = json.loads(self._file.readline())
        return item
