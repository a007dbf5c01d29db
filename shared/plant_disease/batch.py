"""Many independent photos: reading, decoding and inference side by side, in bounded memory."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from plant_disease import images
from plant_disease.classifier import DEFAULT_TOP_K, Classifier, Diagnosis
from plant_disease.containers import Format
from plant_disease.errors import BatchTooLarge, ImageTooLarge, OutOfTime, PlantDiseaseError, TooLarge
from plant_disease.images import Encoded, Photo
from plant_disease.runtimes import Output
from plant_disease.storage import Store

_READ_AHEAD = 4
"""Chunks beyond those that are computed whose photos may lie in memory. Reading over a network takes as long as
computing several of them."""


class Source(NamedTuple):
    """Where a photo comes from.

    Attributes:
        name: for people; None if it has none.
        read: gives its bytes, or raises a PlantDiseaseError that says why there are none.
        is_remote: whether `read` waits for a network; it is then called ahead of time, in a thread of its own.
    """

    name: str | None
    read: Callable[[], bytes]
    is_remote: bool = False


def photo_in(store: Store, name: str, max_bytes: int, *, is_remote: bool = False) -> Source:
    """A photo in a store, called by its whole address; one of more than `max_bytes` is not read into memory."""
    shown = name if store.uri == "." else f"{store.uri.rstrip('/')}/{name}"
    return Source(shown, partial(_read, store, name, max_bytes), is_remote)


@dataclass(frozen=True, slots=True)
class Judged:
    """A photo that was diagnosed: its upright size in px, its format, and what the model makes of it."""

    width: int
    height: int
    format: Format
    diagnosis: Diagnosis


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one photo of a batch.

    Attributes:
        index: in the batch, from 0.
        name: as its source has it.
        result: the diagnosis, or why there is none.
    """

    index: int
    name: str | None
    result: Judged | PlantDiseaseError

    def as_dict(self) -> dict[str, Any]:
        """The outcome for machines, as an item of the answer of `/batch` has it."""
        head = {"index": self.index, "name": self.name}
        if isinstance(self.result, Judged):
            judged = asdict(self.result)
            return {**head, "status": "ok", **judged.pop("diagnosis"), "images": [judged]}
        problem = {"code": self.result.code, "detail": str(self.result)}
        return {**head, "status": "error", "problem": problem}


class Allowance:
    """How large photos may be, one by one and all photos of a batch together. May be used by several threads."""

    def __init__(
        self,
        *,
        max_image_bytes: int = images.MAX_BYTES,
        max_image_pixels: int = images.MAX_PIXELS,
        max_bytes: float = math.inf,
        max_pixels: float = math.inf,
    ) -> None:
        self._max_image_bytes = max_image_bytes
        self._max_image_pixels = max_image_pixels
        self._bytes_left = max_bytes
        self._pixels_left = max_pixels
        self._lock = threading.Lock()

    def admit(self, data: bytes) -> Encoded:
        """Look at a photo before it is decoded, and take it off what is left.

        Raises:
            BatchTooLarge: less is left. A smaller photo may still be admitted.
            ImageError: see `images.inspect`.
        """
        encoded = images.inspect(data, max_bytes=self._max_image_bytes, max_pixels=self._max_image_pixels)
        with self._lock:
            if len(data) > self._bytes_left or encoded.pixels > self._pixels_left:
                raise BatchTooLarge("The photos before this one are as much as one batch may have. Send it in another.")
            self._bytes_left -= len(data)
            self._pixels_left -= encoded.pixels
        return encoded


class Batcher:
    """Runs batches. All batches of a process share one, and with it a bound on the photos in memory.

    Photos are diagnosed in chunks: one thread reads, decodes and runs a chunk in one forward pass while others do the
    same, so that decoding overlaps with inference.

    Args:
        threads: where chunks are computed.
        workers: how many threads these are.
        readers: where remote photos are read.
        chunk: how many photos go through the network at once.
    """

    def __init__(self, threads: Executor, *, workers: int, readers: Executor, chunk: int) -> None:
        self._threads = threads
        self._readers = readers
        self._chunk = chunk
        self._slots = asyncio.Semaphore(workers + _READ_AHEAD)
        self._workers = asyncio.Semaphore(workers)

    async def run(
        self,
        classifier: Classifier,
        sources: Sequence[Source],
        tell: Callable[[Outcome], None],
        *,
        allowance: Allowance,
        top_k: int = DEFAULT_TOP_K,
        crops: Sequence[str] = (),
        deadline: float | None = None,
    ) -> None:
        """Diagnose each photo as a plant of its own. What becomes of one does not touch the others.

        If this is cancelled, chunks that are being computed come to their end, and nothing else is begun.

        Args:
            classifier: the model.
            sources: the photos.
            tell: called once for each photo as soon as it is known, in any order, in the thread of the event loop.
            allowance: how large they may be.
            top_k: see `Classifier.conclude`.
            crops: see there.
            deadline: time of the event loop at which what is not done is told as `OutOfTime`.
        """
        waiting = dict(enumerate(sources))

        def tell_first(outcome: Outcome) -> None:
            del waiting[outcome.index]
            tell(outcome)

        judge = partial(_judge, classifier, allowance, top_k, crops)
        try:
            async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                for chunk in _chunks(enumerate(sources), self._chunk):
                    await self._slots.acquire()
                    task = group.create_task(self._run_chunk(chunk, judge, tell_first))
                    task.add_done_callback(lambda _: self._slots.release())
        except TimeoutError:
            late = OutOfTime("There was no time left for this photo. Send it again, with fewer others.")
            for index, source in waiting.items():
                tell(Outcome(index, source.name, late))
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from group_error

    async def _run_chunk(
        self,
        chunk: "list[tuple[int, Source]]",
        judge: "Callable[[list[tuple[int, Source]]], list[Outcome]]",
        tell: Callable[[Outcome], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        sources = await asyncio.gather(*(self._fetched(source) for _, source in chunk))
        fetched = [(index, source) for (index, _), source in zip(chunk, sources, strict=True)]
        # No more than the threads can do at once: whoever else has work for them need not wait for all of ours.
        async with self._workers:
            outcomes = await loop.run_in_executor(self._threads, judge, fetched)
        for outcome in outcomes:
            tell(outcome)

    async def _fetched(self, source: Source) -> Source:
        if not source.is_remote:
            return source
        try:
            data = await asyncio.get_running_loop().run_in_executor(self._readers, source.read)
        except PlantDiseaseError as error:
            return source._replace(read=partial(_raise, error))
        return source._replace(read=lambda: data)


def _judge(
    classifier: Classifier,
    allowance: Allowance,
    top_k: int,
    crops: Sequence[str],
    chunk: list[tuple[int, Source]],
) -> list[Outcome]:
    """Read, decode and diagnose a chunk of photos in one forward pass."""
    photos: dict[int, Photo] = {}
    results: dict[int, Judged | PlantDiseaseError] = {}
    for index, source in chunk:
        try:
            photos[index] = images.decode(allowance.admit(source.read()), classifier.manifest.input.size)
        except PlantDiseaseError as error:
            results[index] = error
    if photos:
        outputs = _rows(classifier.run(list(photos.values())))
        for (index, photo), output in zip(photos.items(), outputs, strict=True):
            diagnosis = classifier.conclude(output, top_k=top_k, crops=crops)
            results[index] = Judged(photo.width, photo.height, photo.format, diagnosis)
    return [Outcome(index, source.name, results[index]) for index, source in chunk]


def _rows(output: Output) -> Iterator[Output]:
    for row in range(len(output.logits)):
        yield Output(output.logits[row : row + 1], output.features[row : row + 1])


def _chunks(items: Iterable[tuple[int, Source]], size: int) -> Iterator[list[tuple[int, Source]]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _read(store: Store, name: str, max_bytes: int) -> bytes:
    try:
        return store.read(name, max_bytes=max_bytes).data
    except TooLarge as error:
        raise ImageTooLarge(f"The photo has more than {max_bytes:,} bytes. Make it smaller.") from error


def _raise(error: PlantDiseaseError) -> bytes:
    raise error
