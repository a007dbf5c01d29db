"""Which photos a bulk run does, in which shards, and by which model: decided once, kept beside the results."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice

from pydantic import BaseModel, ConfigDict, ValidationError

from plant_disease.containers import SUFFIXES
from plant_disease.errors import ConfigurationError, NotFound, PreconditionFailed
from plant_disease.manifest import File
from plant_disease.runtimes import PrecisionName, RuntimeName
from plant_disease.storage import ABSENT, Store

PLAN_FILE = "plan.json"
MANIFEST_FILE = "manifest.json"

_READERS = 16


class Terms(BaseModel):
    """What the answers depend on. A run with other terms is another run, and needs another place.

    Attributes:
        input: where the photos lie: a URI, or an absolute path.
        model: sha256 of the model's manifest.
        model_version: for people, and to find it.
        runtime: `onnx` or `torch`.
        precision: see `runtimes.precision_of`.
        top_k: how many classes are named.
        crops: all plants are of these.
        shard_size: photos of a shard; the last may have fewer.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    input: str
    model: str
    model_version: str
    runtime: RuntimeName
    precision: PrecisionName
    top_k: int
    crops: tuple[str, ...]
    shard_size: int


class Plan(BaseModel):
    """A listing of the photos as it was once, cut into shards: photo `i` is in shard `i // shard_size`.

    Attributes:
        terms: how they are done.
        created: when the photos were listed.
        folder: where the names are; each planning has a folder of its own, and only one becomes the plan.
        photos: how many there are.
    """

    model_config = ConfigDict(frozen=True)

    terms: Terms
    created: datetime
    folder: str
    photos: int

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.photos // self.terms.shard_size)

    def names(self, output: Store, shard: int) -> list[str]:
        """The photos of a shard, relative to the input."""
        # Not splitlines: a name may have what Unicode takes for the end of a line.
        return output.read(f"{self.folder}/{shard:05}.txt").data.decode().split("\n")[:-1]


class Done(BaseModel):
    """What became of the photos of a shard.

    Attributes:
        shard: its number.
        diagnosed: photos with this decision; and so on.
        failed: photos without a diagnosis.
        unread: of these, those that the store did not give. A later run tries them again.
        files: what was written.
    """

    model_config = ConfigDict(frozen=True)

    shard: int
    diagnosed: int
    uncertain: int
    rejected: int
    failed: int
    unread: int
    files: dict[str, File]

    @property
    def photos(self) -> int:
        """How many there are in the shard."""
        return self.diagnosed + self.uncertain + self.rejected + self.failed


class Manifest(BaseModel):
    """What became of a plan.

    Attributes:
        complete: every shard is done, and none is being done anew.
        plan: which it is.
        shards: those that are done.
    """

    complete: bool
    plan: Plan
    shards: list[Done]


def open_plan(output: Store, terms: Terms) -> Plan | None:
    """The plan that was made for this place; None if there is none yet.

    Raises:
        ConfigurationError: it has other terms, or is no plan.
        StorageError: the store did not give it.
    """
    try:
        raw = output.read(PLAN_FILE).data
    except NotFound:
        return None
    try:
        plan = Plan.model_validate_json(raw)
    except ValidationError as error:
        raise ConfigurationError(f"{output.uri}/{PLAN_FILE} is no plan of this command.") from error
    if plan.terms != terms:
        begun, now = plan.terms.model_dump(), terms.model_dump()
        other = ", ".join(f"{name} {begun[name]!r}, not {now[name]!r}" for name in begun if begun[name] != now[name])
        raise ConfigurationError(
            f"{output.uri} was begun with other terms: {other}. Repeat those to go on, or choose another OUTPUT."
        )
    return plan


def make_plan(photos: Store, output: Store, terms: Terms, advance: Callable[[int], None]) -> Plan:
    """List the photos and write down the shards. Nothing of it counts before all is written.

    Args:
        photos: their store.
        output: where the plan goes.
        terms: how they are to be done.
        advance: called with the number of photos that were found since.

    Raises:
        ValueError: there is no photo.
        StorageError: a store did not do what was asked.
    """
    folder = f"plan-{secrets.token_hex(4)}"
    names = (entry.name for entry in photos.list() if entry.name.lower().endswith(SUFFIXES))
    count = 0
    for shard, some in enumerate(_chunks(names, terms.shard_size)):
        output.write(f"{folder}/{shard:05}.txt", "".join(f"{name}\n" for name in some).encode())
        count += len(some)
        advance(len(some))
    if not count:
        raise ValueError(f"There is no .jpg, .jpeg, .png or .webp at {terms.input}.")
    plan = Plan(terms=terms, created=datetime.now(UTC), folder=folder, photos=count)
    try:
        output.write(PLAN_FILE, plan.model_dump_json(indent=2).encode(), if_generation=ABSENT)
    except PreconditionFailed:
        # Somebody else began the same run at the same time, and was first.
        return open_plan(output, terms) or plan
    return plan


def read_done(output: Store) -> dict[int, Done]:
    """What is known of the shards that are done, by their numbers."""
    names = [entry.name for entry in output.list("shards/")]
    with ThreadPoolExecutor(_READERS) as readers:
        found = [Done.model_validate_json(blob.data) for blob in readers.map(output.read, names)]
    return {done.shard: done for done in found}


def marker(shard: int) -> str:
    """The name of what says that a shard is done."""
    return f"shards/{shard:05}.json"


def write_manifest(output: Store, plan: Plan, done: dict[int, Done], *, complete: bool) -> None:
    """Say how far it is."""
    manifest = Manifest(complete=complete, plan=plan, shards=[done[shard] for shard in sorted(done)])
    output.write(MANIFEST_FILE, manifest.model_dump_json(indent=1).encode())


def _chunks(names: Iterator[str], size: int) -> Iterator[list[str]]:
    while some := list(islice(names, size)):
        yield some
