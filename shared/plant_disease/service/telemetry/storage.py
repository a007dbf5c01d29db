"""Reads of a store as steps of the work at hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from plant_disease.service.telemetry.records import timed
from plant_disease.storage import Blob, Store


def timed_store(store: Store) -> Store:
    """The same store, whose reads and downloads are noted."""
    return cast("Store", _Timed(store))


class _Timed:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, name: str, *, max_bytes: int | None = None) -> Blob:
        with timed("storage_read"):
            return self._store.read(name, max_bytes=max_bytes)

    def download(self, name: str, destination: Path, progress: Callable[[int], None] | None = None) -> None:
        with timed("storage_download"):
            self._store.download(name, destination, progress)
