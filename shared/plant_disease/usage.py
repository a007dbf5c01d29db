"""What was done for whom: events that can be billed, kept in a store, and summed by month.

    <store>/dt=2026-11-23/081500-<random>.jsonl      one event a line

`dt` is a partition as BigQuery, Athena and Spark understand it. An object is written once and never changed, so many
processes write side by side.
"""

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plant_disease.errors import UsageUnreadable
from plant_disease.plans import Endpoint
from plant_disease.storage import Store

MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class UsageEvent(BaseModel):
    """One request whose work was done.

    Attributes:
        event_id: unique; whoever gets an event twice knows it by this.
        time: when it was done, UTC.
        key_id: public part of the API key; None where none was asked for.
        endpoint: which function.
        photos: how many were diagnosed. What failed is not counted.
        decisions: of the diagnoses: how many were `diagnosed`, `uncertain`, `rejected`.
        model_version: what diagnosed them.
        request_id: also in the answer and in the log.
        idempotency_key: as the caller sent it.
        fingerprint: of the request's content, if it has an idempotency key.
        ms: how long it took, in ms.
        outcome: `complete`, or `partial` if some photos failed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    time: datetime = Field(default_factory=lambda: datetime.now(UTC))
    key_id: str | None
    endpoint: Endpoint
    photos: int
    diagnosed: int
    uncertain: int
    rejected: int
    model_version: str
    request_id: str
    idempotency_key: str | None
    fingerprint: str | None
    ms: float
    outcome: str


def write_events(store: Store, events: Sequence[UsageEvent]) -> None:
    """Keep events: an object for each day.

    Raises:
        StorageError: not all of them could be kept. To write the same events again is harmless: `read_events` gives
            each once.
    """
    ordered = sorted(events, key=lambda event: event.time)
    for day, of_day in groupby(ordered, key=lambda event: event.time.date()):
        lines = [event.model_dump_json() for event in of_day]
        name = f"dt={day}/{datetime.now(UTC):%H%M%S}-{uuid.uuid4().hex}.jsonl"
        store.write(name, "".join(line + "\n" for line in lines).encode())


def read_events(store: Store, month: str) -> Iterator[UsageEvent]:
    """The events of a month such as `2026-11`, each once.

    Raises:
        UsageUnreadable: an object holds something else.
        StorageError: the store did not give them.
    """
    seen = set()
    for entry in store.list(f"dt={month}-"):
        for number, line in enumerate(store.read(entry.name).data.splitlines(), 1):
            try:
                event = UsageEvent.model_validate_json(line)
            except ValidationError as error:
                raise UsageUnreadable(f"Line {number} of {store.uri}/{entry.name} is no usage event.") from error
            if event.event_id not in seen:
                seen.add(event.event_id)
                yield event


@dataclass(frozen=True, slots=True)
class Usage:
    """What one key has used of one endpoint."""

    key_id: str | None
    endpoint: Endpoint
    requests: int
    photos: int


def sum_usage(events: Iterable[UsageEvent]) -> list[Usage]:
    """What each key has used of each endpoint, sorted by them.

    A request that came again with its idempotency key and the same content counts once.
    """
    sums: dict[tuple[str, Endpoint], tuple[int, int]] = {}
    retries = set()
    for event in events:
        if event.idempotency_key is not None:
            retry = (event.key_id, event.endpoint, event.idempotency_key, event.fingerprint)
            if retry in retries:
                continue
            retries.add(retry)
        key = (event.key_id or "", event.endpoint)
        requests, photos = sums.get(key, (0, 0))
        sums[key] = (requests + 1, photos + event.photos)
    return [Usage(key_id or None, endpoint, *sums[key_id, endpoint]) for key_id, endpoint in sorted(sums)]
