"""Where jobs lie, and which write may happen only once.

    <store>/<job>/job.json               the order, which names the folder: from here on the job exists  once
    <store>/<job>/<folder>/
        uris/<n>.json                    addresses of photos, written before the job
        parts/<n>.jsonl                  what is done of a chunk that did not come to its end
        results/<n>.jsonl                a chunk: its summary, then a line a photo                       once
        settled/<n>.<ok>.<failed>        that result is billed                                           empty
        cancelled                        nobody begins another chunk                                     empty
        results.jsonl, .csv              all results, where the store can sign for them
        end.json                         nothing more will come                                          once
        told                             the webhook has been taken, or was given up                     empty

Whoever orders has a folder of his own. So two who order the same at once do not mix, and what a bucket's lifecycle has
left of a job is not taken for another one under the same `Idempotency-Key`.

"Once" is a precondition of the store: of two who write, one fails, and takes what the other has written.
"""

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from plant_disease import tables
from plant_disease.errors import NotFound, PreconditionFailed, StorageError
from plant_disease.jobs.documents import End, Item, Job, Settled, Summary
from plant_disease.storage import ABSENT, SignsGets, Store

_logger = logging.getLogger("plant_disease")

_AT_ONCE = 16
"""Objects that are read or written side by side."""

_CHUNKS_A_LIST = 16
_SETTLED = re.compile(r".*/settled/([0-9]+)\.([0-9]+)\.([0-9]+)")


class Result(NamedTuple):
    """A chunk that was done."""

    summary: Summary
    lines: bytes

    @classmethod
    def of(cls, summary: Summary, items: Iterable[Item]) -> "Result":
        """A result of these items."""
        return cls(summary, _as_lines(items))

    @classmethod
    def parse(cls, data: bytes) -> "Result":
        """A result as it is written."""
        head, _, lines = data.partition(b"\n")
        return cls(Summary.model_validate_json(head), lines)

    def as_bytes(self) -> bytes:
        """A result as it is written."""
        return self.summary.model_dump_json().encode() + b"\n" + self.lines


class JobStore:
    """Jobs in a store. Everything may be called from several threads, and takes the time of the store.

    Every method raises StorageError if the store does not do what it is asked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def signs(self) -> bool:
        """Whether results can be fetched from the store itself."""
        return isinstance(self._store, SignsGets)

    def create(self, job: Job, uris: Sequence[str]) -> None:
        """Write a job down.

        Raises:
            PreconditionFailed: there is one of this id.
        """
        step = job.chunk * _CHUNKS_A_LIST
        parts = [uris[start : start + step] for start in range(0, len(uris), step)]

        def write(part: tuple[int, Sequence[str]]) -> None:
            self._store.write(_list(job, part[0]), json.dumps(part[1], ensure_ascii=False).encode())

        _for_each(write, list(enumerate(parts)))
        self._write_once(f"{job.id}/job.json", job.model_dump_json())

    def find(self, job_id: str) -> Job | None:
        """A job, if there is one."""
        data = self._read(f"{job_id}/job.json")
        return Job.model_validate_json(data) if data is not None else None

    def unfinished(self) -> Iterator[Job]:
        """The jobs that have not come to their end, or whose end nobody was told of who wants to be."""
        try:
            names = {entry.name for entry in self._store.list()}
        except NotFound:
            return
        for name in names:
            job_id, _, rest = name.partition("/")
            if rest != "job.json":
                continue
            try:
                job = self.find(job_id)
            except (StorageError, ValueError) as error:
                _logger.error("job %s cannot go on: %s", job_id, error)
                continue
            if job and f"{_folder(job)}/{'told' if job.webhook else 'end.json'}" not in names:
                yield job

    def uris(self, job: Job, chunk: int) -> list[str]:
        """The addresses of the photos of a chunk."""
        block, place = divmod(chunk, _CHUNKS_A_LIST)
        uris: list[str] = json.loads(self._store.read(_list(job, block)).data)
        return uris[place * job.chunk : (place + 1) * job.chunk]

    def result(self, job: Job, chunk: int) -> Result | None:
        """The result of a chunk, if there is one."""
        data = self._read(_result(job, chunk))
        return Result.parse(data) if data is not None else None

    def part(self, job: Job, chunk: int) -> list[Item]:
        """What earlier attempts have done of a chunk."""
        data = self._read(_part(job, chunk))
        return [json.loads(line) for line in data.splitlines()] if data is not None else []

    def keep_part(self, job: Job, chunk: int, items: Iterable[Item]) -> None:
        """Have the next attempt go on from here. Of two who do so the last is believed."""
        self._store.write(_part(job, chunk), _as_lines(items))

    def keep(self, job: Job, chunk: int, result: Result) -> Result:
        """Write a result. The result of this chunk is what is returned: somebody else may have been faster."""
        try:
            self._write_once(_result(job, chunk), result.as_bytes())
        except PreconditionFailed:
            return Result.parse(self._store.read(_result(job, chunk)).data)
        return result

    def settle(self, job: Job, chunk: int, summary: Summary) -> None:
        """Note that the result of a chunk is billed."""
        self._store.write(f"{_folder(job)}/settled/{chunk}.{summary.succeeded}.{summary.failed}", b"")

    def settled(self, job: Job) -> dict[int, Settled]:
        """The chunks that are."""
        names = (entry.name for entry in self._store.list(f"{_folder(job)}/settled/"))
        found = [tuple(map(int, match.groups())) for match in map(_SETTLED.fullmatch, names) if match]
        return {chunk: Settled(succeeded, failed) for chunk, succeeded, failed in found}

    def cancel(self, job: Job) -> None:
        """Note that nobody shall begin another chunk."""
        self._store.write(f"{_folder(job)}/cancelled", b"")

    def is_cancelled(self, job: Job) -> bool:
        """Whether that is noted."""
        return self._read(f"{_folder(job)}/cancelled") is not None

    def end(self, job: Job) -> End | None:
        """The end of a job that has come to it."""
        data = self._read(f"{_folder(job)}/end.json")
        return End.model_validate_json(data) if data is not None else None

    def finish(self, job: Job, end: End) -> End:
        """Write the end. The end of this job is what is returned: somebody else may have been faster.

        All results must be there. Where the store signs, they are first put together in one document.
        """
        if self.signs:
            # One after the other, because they are large. Two who do so write the same.
            self._store.write(f"{_folder(job)}/results.jsonl", b"".join(self.lines(job)))
            self._store.write(f"{_folder(job)}/results.csv", "".join(self.table(job)).encode())
        try:
            self._write_once(f"{_folder(job)}/end.json", end.model_dump_json())
        except PreconditionFailed:
            return End.model_validate_json(self._store.read(f"{_folder(job)}/end.json").data)
        return end

    def note_told(self, job: Job) -> None:
        """Note that nobody need be told of the end any more."""
        self._store.write(f"{_folder(job)}/told", b"")

    def is_told(self, job: Job) -> bool:
        """Whether that is noted."""
        return self._read(f"{_folder(job)}/told") is not None

    def lines(self, job: Job) -> Iterator[bytes]:
        """All results, in order: a line of JSON for each photo, chunk by chunk."""

        def read(chunk: int) -> bytes:
            return Result.parse(self._store.read(_result(job, chunk)).data).lines

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="results") as threads:
            # A few at a time, so that no more of them than that lie in memory.
            for start in range(0, job.chunks, _AT_ONCE):
                yield from threads.map(read, range(start, min(job.chunks, start + _AT_ONCE)))

    def table(self, job: Job) -> Iterator[str]:
        """All results as lines of CSV."""
        return tables.csv_lines(json.loads(line) for part in self.lines(job) for line in part.splitlines())

    def sign(self, job: Job, suffix: str, *, media_type: str, expires_s: int) -> str:
        """An address under which anybody can fetch the results for a while."""
        assert isinstance(self._store, SignsGets)  # noqa: S101 - see `signs`
        return self._store.presign_get(
            f"{_folder(job)}/results.{suffix}",
            content_type=media_type,
            file_name=f"job-{job.id}.{suffix}",
            expires_s=expires_s,
        )

    def _read(self, name: str) -> bytes | None:
        with contextlib.suppress(NotFound):
            return self._store.read(name).data
        return None

    def _write_once(self, name: str, document: str | bytes) -> None:
        data = document.encode() if isinstance(document, str) else document
        self._store.write(name, data, if_generation=ABSENT)


def _folder(job: Job) -> str:
    return f"{job.id}/{job.folder}"


def _list(job: Job, number: int) -> str:
    return f"{_folder(job)}/uris/{number}.json"


def _result(job: Job, chunk: int) -> str:
    return f"{_folder(job)}/results/{chunk}.jsonl"


def _part(job: Job, chunk: int) -> str:
    return f"{_folder(job)}/parts/{chunk}.jsonl"


def _as_lines(items: Iterable[Item]) -> bytes:
    return b"".join(json.dumps(item, ensure_ascii=False).encode() + b"\n" for item in items)


def _for_each(work: Callable[[tuple[int, Sequence[str]]], None], parts: list[tuple[int, Sequence[str]]]) -> None:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lists") as threads:
        list(threads.map(work, parts))
