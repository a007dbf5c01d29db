"""A model bundle: found in a store, verified against its manifest, kept in a local cache.

<uri>/<version>/{manifest.json, model.onnx, weights.safetensors, MODEL_CARD.md}
<uri>/channels/<channel>.json     the version served, and the sha256 of its manifest
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from plant_disease.errors import BundleError, NotFound
from plant_disease.manifest import CHANNEL_PATTERN, MANIFEST_FILE, Channel, File, Manifest, Pointer, Version
from plant_disease.storage import Store, open_store

M = TypeVar("M", bound=BaseModel)
Progress = Callable[[int], None]

DEFAULT_CACHE = Path(f"/tmp/plant-disease-{os.getuid()}")  # noqa: S108 - the one writable folder in the containers


@dataclass(frozen=True)
class Bundle:
    """One version of a model in a store.

    Attributes:
        manifest: the validated manifest.
        sha256: of the manifest's bytes, and through it of every file: the identity of the model.
    """

    manifest: Manifest
    sha256: str
    _store: Store = field(repr=False)
    _cache: Path = field(repr=False)

    def fetch(self, name: str, progress: Progress | None = None) -> Path:
        """The local path of a file of the bundle, its size and sha256 verified on every call.

        A file already in the cache is used if it verifies and replaced if not. A download lands
        under a name of its own and is renamed only when verified, so no other process ever sees half a file.

        Raises:
            BundleError: the manifest does not name the file, or the store's file is not what it promises.
            StorageError: the store did not give the file.
        """
        expected = self.manifest.files.get(name)
        if expected is None:
            raise BundleError(f"The bundle {self.manifest.version} has no {name}.")
        folder = self._cache / self.sha256
        self._claim(folder)
        target = folder / name
        if _matches(target, expected):
            return target
        partial = folder / f".{name}.{secrets.token_hex(8)}.partial"
        try:
            self._store.download(f"{self.manifest.version}/{name}", partial, progress)
            if not _matches(partial, expected):
                raise BundleError(
                    f"{self._store.uri}/{self.manifest.version}/{name} does not match its manifest "
                    f"({partial.stat().st_size:,} of {expected.size:,} bytes, or another sha256). "
                    "Publish the version again."
                )
            partial.replace(target)
        except OSError as error:
            raise _unwritable(folder, error.strerror) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
        return target

    def forget(self) -> None:
        """Remove its files from the cache, as far as that is possible; the next `fetch` brings them back."""
        shutil.rmtree(self._cache / self.sha256, ignore_errors=True)

    def _claim(self, folder: Path) -> None:
        """Make the folder, for this user alone: who could write to it could exchange a file after it was verified."""
        try:
            self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True, mode=0o700)
            owner = folder.stat().st_uid
        except OSError as error:
            raise _unwritable(folder, error.strerror) from error
        if owner != os.getuid():
            raise _unwritable(folder, "it belongs to another user")


def open_bundle(
    uri: str, *, version: str | None = None, channel: str = "stable", cache: Path = DEFAULT_CACHE
) -> Bundle:
    """Find a version of a model: the pinned one, or else the one its channel names.

    Reads only the manifest; files come with `Bundle.fetch`.

    Raises:
        BundleError: the channel or the manifest is malformed, or the manifest is not the one that the channel names.
        StorageError: the store did not give them.
    """
    store = open_model_store(uri)
    if version is not None:
        return open_version(store, version, cache=cache)
    return open_pointed(store, channel, read_channel(store, channel), cache=cache)


def open_version(store: Store, version: str, *, cache: Path = DEFAULT_CACHE) -> Bundle:
    """The version of this name, whatever its content.

    Raises:
        BundleError: the manifest is malformed.
        StorageError: the store did not give it.
    """
    return _bundle(store, version, _read_manifest(store, version), cache)


def open_pointed(store: Store, channel: str, pointer: Pointer, *, cache: Path = DEFAULT_CACHE) -> Bundle:
    """The version that a channel points to, or pointed to once.

    Raises:
        BundleError: the manifest is malformed, or not the one that the channel names.
        StorageError: the store did not give it.
    """
    raw = _read_manifest(store, pointer.version)
    if hashlib.sha256(raw).hexdigest() != pointer.manifest_sha256:
        raise BundleError(
            f"{store.uri}/{pointer.version}/{MANIFEST_FILE} is not the manifest that channel {channel!r} names: "
            "its sha256 differs."
        )
    return _bundle(store, pointer.version, raw, cache)


def open_model_store(uri: str) -> Store:
    """The store at a model's address.

    Raises:
        BundleError: the address is malformed.
        StorageError: its extra is not installed.
    """
    try:
        return open_store(uri)
    except ValueError as error:
        raise BundleError(f"The address of the model cannot be used: {error}") from error


def read_channel(store: Store, channel: str) -> Channel:
    """The version that a channel names.

    Raises:
        BundleError: the channel is malformed, or its name is.
        NotFound: there is no such channel.
    """
    name = channel_file(channel)
    try:
        raw = store.read(name).data
    except NotFound as error:
        raise NotFound(f"There is no channel {channel!r} at {store.uri}: {error}") from error
    return parse_document(Channel, raw, f"{store.uri}/{name}")


def channel_file(channel: str) -> str:
    """The name of a channel's document in a store.

    Raises:
        BundleError: the channel has characters that no channel has.
    """
    if not re.fullmatch(CHANNEL_PATTERN, channel):
        raise BundleError(f"{channel!r} cannot name a channel: letters, digits, '_' and '-', at most 64.")
    return f"channels/{channel}.json"


def list_versions(store: Store) -> dict[str, list[str]]:
    """Every version in a store and the channels that serve it, sorted.

    Raises:
        StorageError: the store cannot be listed.
    """
    names = [entry.name for entry in store.list()]
    versions: dict[str, list[str]] = {
        name.removesuffix(f"/{MANIFEST_FILE}"): []
        for name in names
        if name.count("/") == 1 and name.endswith(f"/{MANIFEST_FILE}")
    }
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder == "channels" and file.endswith(".json"):
            channel = file.removesuffix(".json")
            versions.setdefault(read_channel(store, channel).version, []).append(channel)
    return dict(sorted(versions.items()))


def parse_document(model: type[M], raw: bytes, where: str) -> M:
    """Read a manifest or a channel.

    Args:
        model: which of them.
        raw: its bytes.
        where: for the message.

    Raises:
        BundleError: it is malformed; the message names what.
    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise BundleError(f"{where} is not valid: {faults}") from error


def describe_file(path: Path) -> File:
    """Size and sha256 of a file, as a manifest lists them."""
    return File(sha256=_sha256(path), size=path.stat().st_size)


def check_version(version: str) -> None:
    """Refuse what cannot name a version.

    Raises:
        BundleError: it has other characters than letters, digits, ".", "_" and "-", or is too long.
    """
    try:
        TypeAdapter(Version).validate_python(version)
    except ValidationError as error:
        raise BundleError(
            f"{version!r} cannot name a version: letters, digits, '.', '_' and '-', at most 64."
        ) from error


def _read_manifest(store: Store, version: str) -> bytes:
    check_version(version)
    return store.read(f"{version}/{MANIFEST_FILE}").data


def _bundle(store: Store, version: str, raw: bytes, cache: Path) -> Bundle:
    where = f"{store.uri}/{version}/{MANIFEST_FILE}"
    manifest = parse_document(Manifest, raw, where)
    if manifest.version != version:
        raise BundleError(f"{where} says that it is version {manifest.version}.")
    return Bundle(manifest, hashlib.sha256(raw).hexdigest(), store, cache)


def _unwritable(folder: Path, why: str | None) -> BundleError:
    return BundleError(f"{folder} cannot be used as a cache ({why}). Set PLANT_MODEL_CACHE to a folder that can.")


def _matches(path: Path, expected: File) -> bool:
    try:
        # Size first: it is free and catches most of what can go wrong.
        return path.stat().st_size == expected.size and _sha256(path) == expected.sha256
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
