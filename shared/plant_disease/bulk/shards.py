"""A shard of a bulk run: its photos read, diagnosed and written down by the same code as `/batch`."""

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from plant_disease import tables
from plant_disease.batch import Allowance, Batcher, Outcome, photo_in
from plant_disease.bulk.plan import Done, Plan, marker
from plant_disease.bundle import open_bundle
from plant_disease.classifier import Classifier
from plant_disease.errors import (
    BundleError,
    NotFound,
    PermissionDenied,
    PlantDiseaseError,
    StorageError,
    StorageUnavailable,
    WrongRegion,
)
from plant_disease.manifest import File
from plant_disease.runtimes import open_runtime
from plant_disease.settings import bundled_models
from plant_disease.storage import open_store

_READERS = 16
"""Photos that a worker reads from a bucket at once."""

_ALL = {name: name for name in tables.COLUMNS}
_ERRORS = {"index": "index", "name": "name", "error": "code", "detail": "detail"}
"""The columns of `results/` and of `errors/`: what they are in `tables`, and how they are called."""


@dataclass(frozen=True)
class Job:
    """All that a worker has to know. It may be on another machine, with another environment.

    Attributes:
        plan: what is done.
        output: where it is written.
        model_uri: where the model is; None for the one that the package brings along.
        device: see `runtimes.open_runtime`.
        threads: of a worker.
        chunk: how many photos go through the network at once.
        cache: folder for downloaded models.
        max_image_bytes: see `batch.Allowance`.
        max_image_pixels: see there.
    """

    plan: Plan
    output: str
    model_uri: str | None
    device: str
    threads: int
    chunk: int
    cache: Path
    max_image_bytes: int
    max_image_pixels: int


class Worker:
    """Does one shard after the other."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._plan = job.plan
        self._photos = open_store(job.plan.terms.input)
        self._is_remote = "://" in job.plan.terms.input
        self._output = open_store(job.output)
        self._threads = ThreadPoolExecutor(job.threads)
        self._readers = ThreadPoolExecutor(_READERS)

    @cached_property
    def _classifier(self) -> Classifier:
        job, terms = self._job, self._plan.terms
        bundle = open_bundle(job.model_uri or bundled_models(), version=terms.model_version, cache=job.cache)
        if bundle.sha256 != terms.model:
            raise BundleError(
                f"Version {terms.model_version} of the model is another one here than where the run was begun. "
                "Install the same version of this package on all nodes, or name a bucket with --model-uri."
            )
        # As many chunks at once as threads: more of them for each forward pass would be too many.
        runtime = open_runtime(terms.runtime, bundle, threads=1, device=job.device, precision=terms.precision)
        return Classifier(bundle, runtime)

    def do(self, shard: int) -> Done:
        """Do a shard, unless somebody did it already.

        Raises:
            StorageUnavailable: not one of its photos could be read; nothing was written.
            StorageError: it could not be written, or not be marked as done.
            BundleError, RuntimeUnavailable: the model could not be loaded.
        """
        if (done := self._done(shard)) and not done.unread:
            return done
        items = [outcome.as_dict() for outcome in self._outcomes(shard)]
        good = [tables.row(item) for item in items if item["status"] == "ok"]
        bad = [tables.row(item) for item in items if item["status"] != "ok"]
        decisions = Counter(row["decision"] for row in good)
        files = {f"results/{shard:05}.parquet": _parquet(good), f"errors/{shard:05}.parquet": _parquet(bad, _ERRORS)}
        for name, data in files.items():
            self._output.write(name, data)
        done = Done(
            shard=shard,
            diagnosed=decisions["diagnosed"],
            uncertain=decisions["uncertain"],
            rejected=decisions["rejected"],
            failed=len(bad),
            unread=sum(row["error"] in _PASSING for row in bad),
            files={name: File(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for name, data in files.items()},
        )
        self._output.write(marker(shard), done.model_dump_json().encode())
        return done

    def _done(self, shard: int) -> Done | None:
        """What is known of it already: a worker may have died between the last write and telling so."""
        try:
            return Done.model_validate_json(self._output.read(marker(shard)).data)
        except NotFound:
            return None

    def _outcomes(self, shard: int) -> list[Outcome]:
        """What became of each photo, in their order."""
        job, terms = self._job, self._plan.terms
        sources = [
            photo_in(self._photos, name, job.max_image_bytes, is_remote=self._is_remote)
            for name in self._plan.names(self._output, shard)
        ]
        outcomes: list[Outcome] = []

        async def run() -> None:
            batcher = Batcher(self._threads, workers=job.threads, readers=self._readers, chunk=job.chunk)
            allowance = Allowance(max_image_bytes=job.max_image_bytes, max_image_pixels=job.max_image_pixels)
            await batcher.run(
                self._classifier, sources, outcomes.append, allowance=allowance, top_k=terms.top_k, crops=terms.crops
            )

        asyncio.run(run())
        results = [outcome.result for outcome in outcomes]
        if all(isinstance(result, StorageUnavailable) for result in results):
            raise next(result for result in results if isinstance(result, PlantDiseaseError))
        first = shard * terms.shard_size
        return [
            Outcome(first + outcome.index, outcome.name, outcome.result)
            for outcome in sorted(outcomes, key=lambda outcome: outcome.index)
        ]


_PASSING = {error.code for error in (StorageError, PermissionDenied, StorageUnavailable, WrongRegion)}
"""What may be otherwise the next time: credentials that ended, a bucket that did not answer."""


def _parquet(rows: list[dict[str, Any]], names: Mapping[str, str] = _ALL) -> bytes:
    """Rows as a Parquet file with these columns."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(rows, tables.schema(names)).rename_columns(list(names.values()))
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, compression="zstd")
    return file.getvalue()
