"""Model versions into a store, and the channels that serve them.

A version is published by writes that each are all or nothing, in this order:

    <version>/.claim          the sha256 of the manifest to come; written only if there is none yet
    <version>/model.onnx ...  every file that the manifest lists, and the model card
    <version>/manifest.json   written only if there is none yet; from here on, the version exists

The claim decides. Whoever finds the sha256 of another manifest in it writes nothing at all. So all who ever write
a version's files write the same bytes: those that the claimed manifest names, verified in memory just before
they are sent. Then no order of their writes matters, nor how often one is repeated, nor how late it arrives, and
when the manifest appears every file that it lists is there as it says. A publisher that is killed leaves a claim
and files, and no version; publishing the same again completes it.

What was begun and given up keeps its name until a person deletes the claim. No time limit does that: somebody who
was only slow could wake after it and write a file into a version of other content. A bucket cannot keep such a write
out, because a precondition guards a single object, and S3's ETag cannot tell an object from an equal one before it.

A channel is one object, and is moved by one write with the generation that was read before. It holds the versions
that it served before, so `rollback` needs nobody's memory, and each further one goes one version further back.
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plant_disease.bundle import (
    Bundle,
    Progress,
    channel_file,
    describe_file,
    open_pointed,
    open_version,
    parse_document,
)
from plant_disease.errors import BundleError, NotFound, PreconditionFailed, PublishRefused, StorageUnavailable
from plant_disease.manifest import CARD_FILE, MANIFEST_FILE, Channel, Manifest, Pointer
from plant_disease.storage import ABSENT, Precondition, Store

CLAIM_FILE = ".claim"
"""No file of a manifest can have this name."""

HISTORY = 10
"""How many versions a channel remembers besides the one it serves."""


@dataclass(frozen=True)
class Release:
    """A version in a local folder, verified and ready to be published.

    Attributes:
        folder: where it lies.
        manifest: what it says about itself.
        raw: the manifest's bytes.
        extras: files that belong to it though the manifest does not list them: the model card and its plots.
    """

    folder: Path
    manifest: Manifest
    raw: bytes
    extras: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The identity of the model; see `Bundle.sha256`."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files but the manifest."""
        listed = sum(file.size for file in self.manifest.files.values())
        return listed + sum((self.folder / name).stat().st_size for name in self.extras)


@dataclass(frozen=True)
class Move:
    """What became of a channel.

    Attributes:
        channel: its name.
        before: the version that it served; None if it is new.
        now: the version that it serves.
    """

    channel: str
    before: Pointer | None
    now: Pointer


def open_release(folder: Path) -> Release:
    """Read a version's folder and verify all that its manifest lists.

    Raises:
        BundleError: the manifest is missing or malformed, or a file is not what it promises.
    """
    path = folder / MANIFEST_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror}). Name the folder of one version, such as models/1.0.0."
        ) from error
    manifest = parse_document(Manifest, raw, str(path))
    for name, expected in manifest.files.items():
        try:
            found = describe_file(folder / name)
        except OSError as error:
            raise BundleError(f"{folder / name} cannot be read ({error.strerror}); the manifest lists it.") from error
        if found != expected:
            raise _changed(folder / name)
    extras = [path for path in (folder / CARD_FILE, *sorted(folder.glob("card/*.svg"))) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in extras]
    return Release(folder, manifest, raw, tuple(name for name in names if name not in manifest.files))


def publish(release: Release, store: Store, progress: Progress | None = None) -> bool:
    """Put a version into a store. To do it again is no error, and completes what was interrupted.

    Args:
        release: the version.
        store: where models are kept.
        progress: called with the number of bytes that have newly been written.

    Returns:
        Whether it was not there before.

    Raises:
        PublishRefused: a version of this name with other content is there, or was begun by somebody.
        BundleError: a file was changed since the release was opened.
        StorageError: the store did not take it, or may not have taken it.
    """
    version = release.manifest.version
    where = f"{store.uri}/{version}"
    if version == "channels":
        raise PublishRefused("No version can be called 'channels': that is where a store keeps its channels.")
    try:
        there = store.read(f"{version}/{MANIFEST_FILE}").data
    except NotFound:
        pass
    else:
        return _same(release, there, where)
    claim = release.sha256.encode()
    claimed = _write_once(store, f"{version}/{CLAIM_FILE}", claim)
    if claimed != claim:
        raise PublishRefused(
            f"{where} was begun with other content and is not complete. If it is still being published, wait; if that "
            f"was given up, delete {where}/{CLAIM_FILE} and publish again. Or choose another name for this version."
        )
    for name in (*release.manifest.files, *release.extras):
        data = _content(release, name)
        store.write(f"{version}/{name}", data)
        if progress:
            progress(len(data))
    there = _write_once(store, f"{version}/{MANIFEST_FILE}", release.raw)
    _same(release, there, where)
    return True


def promote(store: Store, channel: str, version: str, progress: Progress | None = None) -> Move:
    """Let a channel serve a version, after fetching and verifying all its files. To do it again changes nothing.

    Args:
        store: where models are kept.
        channel: is made if there is none of this name.
        version: its name.
        progress: called with the number of bytes that have newly been fetched.

    Raises:
        PublishRefused: somebody else moved the channel meanwhile.
        BundleError: the version is not whole, or the channel's name or document is malformed.
        StorageError: there is no such version, or the store did not give or take something.
    """
    current, generation = _channel(store, channel)
    now = _verified(lambda cache: open_version(store, version, cache=cache), progress)
    before = _pointer(current) if current else None
    if before != now:
        previous = (before, *current.previous)[:HISTORY] if current and before else ()
        _move(store, channel, Channel(**now.model_dump(), previous=previous), generation)
    return Move(channel, before, now)


def rollback(store: Store, channel: str, progress: Progress | None = None) -> Move:
    """Let a channel serve again what it served before. Done again, it goes one version further back.

    Args:
        store: where models are kept.
        channel: its name.
        progress: see `promote`.

    Raises:
        PublishRefused: the channel served nothing before, or somebody else moved it meanwhile.
        BundleError, StorageError: see `promote`.
    """
    current, generation = _channel(store, channel)
    if current is None:
        raise PublishRefused(f"There is no channel {channel!r} at {store.uri}.")
    if not current.previous:
        raise PublishRefused(
            f"Channel {channel!r} remembers no version before {current.version}. Promote one of `models list`."
        )
    target, *further = current.previous
    now = _verified(lambda cache: open_pointed(store, channel, target, cache=cache), progress)
    _move(store, channel, Channel(**now.model_dump(), previous=tuple(further)), generation)
    return Move(channel, _pointer(current), now)


def _content(release: Release, name: str) -> bytes:
    """The bytes of a file; of one that the manifest lists, exactly those."""
    data = (release.folder / name).read_bytes()
    expected = release.manifest.files.get(name)
    if expected and hashlib.sha256(data).hexdigest() != expected.sha256:
        raise _changed(release.folder / name)
    return data


def _changed(path: Path) -> BundleError:
    return BundleError(f"{path} does not match its manifest. Export the version again.")


def _same(release: Release, there: bytes, where: str) -> bool:
    if there != release.raw:
        raise PublishRefused(
            f"{where} exists already with other content, and a version never changes. Rename this one."
        )
    return False


def _write_once(store: Store, name: str, data: bytes) -> bytes:
    """Write an object unless it is there; what it holds now."""
    try:
        store.write(name, data, if_generation=ABSENT)
    except (PreconditionFailed, StorageUnavailable) as error:
        # Somebody was first, or it was written though the answer was lost.
        try:
            return store.read(name).data
        except NotFound:
            raise error from None
    return data


def _channel(store: Store, channel: str) -> tuple[Channel | None, Precondition]:
    name = channel_file(channel)
    try:
        blob = store.read(name)
    except NotFound:
        return None, ABSENT
    return parse_document(Channel, blob.data, f"{store.uri}/{name}"), blob.generation


def _pointer(channel: Channel) -> Pointer:
    return Pointer(version=channel.version, manifest_sha256=channel.manifest_sha256)


def _verified(find: Callable[[Path], Bundle], progress: Progress | None) -> Pointer:
    # A cache of its own, so that each file does come from the store.
    with tempfile.TemporaryDirectory(prefix="plant-disease-") as cache:
        bundle = find(Path(cache))
        for name in bundle.manifest.files:
            bundle.fetch(name, progress)
        return Pointer(version=bundle.manifest.version, manifest_sha256=bundle.sha256)


def _move(store: Store, channel: str, to: Channel, generation: Precondition) -> None:
    name = channel_file(channel)
    data = to.model_dump_json(indent=1).encode() + b"\n"
    try:
        store.write(name, data, if_generation=generation)
    except StorageUnavailable:
        # It may have been written though the answer was lost.
        if _channel(store, channel)[0] != to:
            raise
    except PreconditionFailed as error:
        raise PublishRefused(
            f"Somebody else moved channel {channel!r} meanwhile. Look at `models list` and decide again."
        ) from error
