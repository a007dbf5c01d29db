"""The photos that a command line names: files, folders, globs and buckets."""

import glob
import os
from collections.abc import Iterator, Sequence

from plant_disease.batch import Source, photo_in
from plant_disease.containers import SUFFIXES
from plant_disease.storage import is_name, open_store


def find_photos(places: Sequence[str], *, max_bytes: int) -> list[Source]:
    """The photos at all these places, each once, by their suffix.

    Args:
        places: a file, a folder (with all folders in it), a glob such as `leaves/**/*.jpg`, or a gs:// or s3:// URI
            of a photo or of a prefix.
        max_bytes: of one photo; what is larger is not read into memory.

    Raises:
        StorageError: a bucket cannot be listed.
        ValueError: a URI is malformed, there is no photo at one of the places, or a name cannot be written down.
    """
    found: dict[str | None, Source] = {}
    for place in places:
        here = list(_in_bucket(place, max_bytes) if "://" in place else _on_disk(place, max_bytes))
        if not here:
            raise ValueError(f"There is no .jpg, .jpeg, .png or .webp at {place}.")
        for source in here:
            found.setdefault(source.name, source)
    return list(found.values())


def _in_bucket(uri: str, max_bytes: int) -> Iterator[Source]:
    if _is_photo(uri):
        folder, _, name = uri.rpartition("/")
        yield photo_in(open_store(folder), name, max_bytes, is_remote=True)
        return
    store = open_store(uri)
    for entry in store.list():
        if _is_photo(entry.name):
            yield photo_in(store, entry.name, max_bytes, is_remote=True)


def _on_disk(place: str, max_bytes: int) -> Iterator[Source]:
    if os.path.isdir(place):
        paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(place) for name in names)
    elif os.path.exists(place):
        # Whatever it is called: a name that exists is no pattern, and who names a file means it.
        yield _file(place, max_bytes)
        return
    else:
        paths = sorted(glob.glob(place, recursive=True))
    for path in paths:
        if _is_photo(path):
            yield _file(os.path.normpath(path), max_bytes)


def _file(path: str, max_bytes: int) -> Source:
    folder, name = os.path.split(path)
    if not is_name(name):
        raise ValueError(f"{path!r} cannot be written down: its name is no UTF-8, or has a backslash. Rename it.")
    return photo_in(open_store(folder or "."), name, max_bytes)


def _is_photo(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)
