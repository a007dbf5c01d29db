"""A batch as it is answered: item by item as they are ready, or all together in order."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Send

from plant_disease import tables
from plant_disease.batch import Judged, Outcome, Source
from plant_disease.classifier import Classifier
from plant_disease.service.engine import Engine
from plant_disease.service.schemas import BatchAnswer, BatchEnd, BatchSummary, ModelIdentity, item_of
from plant_disease.service.telemetry import record

T = TypeVar("T")


class RunningBatch:
    """A batch that has begun. It goes on however slowly its outcomes are taken, and stops when nobody takes them.

    Args:
        engine: what runs it.
        classifier: the model.
        sources: the photos.
        top_k: see `Classifier.conclude`.
        crops: see there.
        deadline: see `Batcher.run`.

    Raises:
        Problem: 503, as many requests wait as may.
    """

    def __init__(
        self,
        engine: Engine,
        classifier: Classifier,
        sources: Sequence[Source],
        *,
        top_k: int,
        crops: Sequence[str],
        deadline: float,
    ) -> None:
        self._model = ModelIdentity.of(classifier.bundle)
        self._told: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._total = len(sources)
        self._task = engine.begin_batch(
            classifier, sources, self._told.put_nowait, top_k=top_k, crops=crops, deadline=deadline
        )
        self._task.add_done_callback(lambda _: self._told.put_nowait(None))
        record().fields |= {"model_version": classifier.manifest.version, "photos": len(sources)}

    async def as_lines(self) -> AsyncGenerator[str]:
        """A line of JSON for each photo as soon as it is ready, and one for the end."""
        async with aclosing(self._outcomes()) as outcomes:
            async for outcome in outcomes:
                yield item_of(outcome).model_dump_json() + "\n"
        yield self._end().model_dump_json() + "\n"

    async def as_document(self) -> str:
        """A `BatchAnswer` as JSON."""
        items = [item_of(outcome) for outcome in await self._in_order()]
        return BatchAnswer(**dict(self._end()), items=items).model_dump_json()

    async def as_table(self) -> str:
        """A table as CSV."""
        return "".join(tables.csv_lines(outcome.as_dict() for outcome in await self._in_order()))

    async def _in_order(self) -> list[Outcome]:
        async with aclosing(self._outcomes()) as outcomes:
            return sorted([outcome async for outcome in outcomes], key=lambda outcome: outcome.index)

    async def _outcomes(self) -> AsyncGenerator[Outcome]:
        noted = record()
        try:
            with noted.timed("batch"):
                while (outcome := await self._told.get()) is not None:
                    if isinstance(outcome.result, Judged):
                        noted.judged(outcome.result.diagnosis.decision)
                    else:
                        noted.problems[outcome.result.code] += 1
                    yield outcome
                await self._task
        finally:
            self._task.cancel()
            noted.fields["failed"] = noted.problems.total()

    def _end(self) -> BatchEnd:
        succeeded = record().diagnosed
        summary = BatchSummary(total=self._total, succeeded=succeeded, failed=self._total - succeeded)
        return BatchEnd(request_id=record().request_id, model=self._model, summary=summary)


class Stream(StreamingResponse):
    """An answer in pieces whose source ends with it, also when the client goes away."""

    async def stream_response(self, send: Send) -> None:
        """See `StreamingResponse`."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]  # always a generator here
            await super().stream_response(send)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which is cancelled when the client goes away.

    Raises:
        ClientDisconnect: it has gone.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, waiting = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        waiting.cancel()
