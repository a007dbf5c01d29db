"""A worker, to which everything happens that may: messages twice, out of order, too often, and of no use."""

import asyncio
import base64
import json
import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from plant_disease.errors import PreconditionFailed, StorageUnavailable, WebhookFailed
from plant_disease.jobs.documents import End, Job, Message
from plant_disease.jobs.queues import pubsub, sqs
from plant_disease.jobs.queues.local import LocalQueue
from plant_disease.jobs.store import JobStore
from plant_disease.jobs.webhooks import Webhooks
from plant_disease.jobs.worker import MOST_DELIVERIES, Work, Worker
from plant_disease.storage import open_store
from plant_disease.usage import UsageEvent


def a_job(total: int = 10, *, chunk: int = 3, **more: Any) -> Job:
    return Job(
        **{
            "id": os.urandom(16).hex(),
            "owner": "me",
            "subject": "key:1",
            "key_id": "1",
            "created": datetime.now(UTC),
            "fingerprint": "f",
            "total": total,
            "chunk": chunk,
            "folder": "l",
            "top_k": 3,
            "crops": (),
            "webhook": None,
            "quota": None,
            "request_id": "r",
            "idempotency_key": None,
            **more,
        }
    )


@dataclass
class Bureau:
    """An office that diagnoses nothing, and fails when it is told to."""

    fail: float = 0.0
    at_most: int = 1000
    called: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    diagnosed: Counter[str] = field(default_factory=Counter)
    billed: dict[str, int] = field(default_factory=dict)
    given_back: list[int] = field(default_factory=list)

    async def diagnose(self, job: Job, photos: Mapping[int, str]) -> Work:
        self._trouble()
        await asyncio.sleep(0)
        some = dict(list(photos.items())[: self.at_most])
        self.diagnosed.update(some.values())
        items = [
            {"index": index, "name": uri, "status": "error", "problem": {"code": "x", "detail": "y"}}
            if uri.endswith("7")
            else {"index": index, "name": uri, "status": "ok", "decision": "diagnosed", "model_version": "1"}
            for index, uri in some.items()
        ]
        return Work(items, None if len(some) == len(photos) else StorageUnavailable("late"))

    async def have_told(self, job: Job) -> None:
        self.called.append(job.id)

    async def bill(self, event: UsageEvent) -> None:
        self._trouble()
        assert self.billed.setdefault(event.event_id, event.photos) == event.photos

    async def give_back(self, job: Job, photos: int) -> None:
        self.given_back.append(photos)

    async def announce(self, job: Job, end: End) -> bytes:
        return b"{}"

    def _trouble(self) -> None:
        if self.chance.random() < self.fail:
            raise StorageUnavailable("gone")


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(open_store(str(tmp_path / "jobs")))


def uris(job: Job) -> list[str]:
    return [f"leaf-{index}" for index in range(job.total)]


def lines(store: JobStore, job: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in b"".join(store.lines(job)).splitlines()]


def test_messages_in_any_order_twice_and_with_failures(store: JobStore) -> None:
    job = a_job(100)
    store.create(job, uris(job))
    office = Bureau(fail=0.3)
    worker = Worker(lambda: store, office, None)
    messages = [Message(job=job.id, chunk=chunk) for chunk in range(job.chunks)] * 2
    office.chance.shuffle(messages)

    async def deliver(message: Message) -> None:
        for attempt in range(1, MOST_DELIVERIES + 1):
            try:
                await worker.work(message, attempt)
            except StorageUnavailable:
                continue
            return

    async def all_of_them() -> None:
        await asyncio.gather(*map(deliver, messages))

    asyncio.run(all_of_them())
    assert [(line["index"], line["name"]) for line in lines(store, job)] == list(enumerate(uris(job)))
    assert sum(office.billed.values()) == 90
    end = store.end(job)
    assert end
    assert (end.status, end.succeeded, end.failed) == ("done", 90, 10)
    assert office.given_back == [10]


def test_a_chunk_that_comes_too_often_is_given_up(store: JobStore) -> None:
    job = a_job(5)
    store.create(job, uris(job))
    office = Bureau()
    worker = Worker(lambda: store, office, None)
    asyncio.run(worker.work(Message(job=job.id, chunk=1), 1))
    asyncio.run(worker.work(Message(job=job.id, chunk=0), MOST_DELIVERIES + 1))
    assert [line.get("problem", {}).get("code") for line in lines(store, job)] == ["not_processed"] * 3 + [None] * 2
    assert office.given_back == [3]
    assert sum(office.billed.values()) == 2


def test_what_is_done_of_a_chunk_is_kept_for_the_next_attempt(store: JobStore) -> None:
    job = a_job(8, chunk=8)
    store.create(job, uris(job))
    office = Bureau(at_most=3)
    worker, message = Worker(lambda: store, office, None), Message(job=job.id, chunk=0)
    for attempt in (1, 2):
        with pytest.raises(StorageUnavailable, match="late"):
            asyncio.run(worker.work(message, attempt))
    asyncio.run(worker.work(message, 3))
    assert office.diagnosed == dict.fromkeys(uris(job), 1)
    assert [(line["index"], line["name"]) for line in lines(store, job)] == list(enumerate(uris(job)))
    assert sum(office.billed.values()) == 7


def test_what_is_given_up_is_only_what_was_never_done(store: JobStore) -> None:
    job = a_job(8, chunk=8)
    store.create(job, uris(job))
    office = Bureau(at_most=3)
    worker, message = Worker(lambda: store, office, None), Message(job=job.id, chunk=0)
    with pytest.raises(StorageUnavailable, match="late"):
        asyncio.run(worker.work(message, 1))
    asyncio.run(worker.work(message, MOST_DELIVERIES + 1))
    assert [line["status"] for line in lines(store, job)] == ["ok"] * 3 + ["error"] * 5
    assert sum(office.billed.values()) == 3


def test_of_a_job_that_is_cancelled_one_message_tells(store: JobStore) -> None:
    job = a_job(8, chunk=2, webhook="https://a/")
    store.create(job, uris(job))
    webhooks, office = Deaf(99), Bureau()
    worker = Worker(lambda: store, office, webhooks)
    asyncio.run(worker.cancel(job))
    assert office.called == [job.id]
    for chunk in range(job.chunks - 1):
        asyncio.run(worker.work(Message(job=job.id, chunk=chunk), 1))
    assert webhooks.failures == 99
    with pytest.raises(WebhookFailed):
        asyncio.run(worker.work(Message(job=job.id, chunk=job.chunks - 1), 1))


def test_none_of_its_photos(store: JobStore) -> None:
    job = a_job(2)
    store.create(job, ["7", "17"])
    asyncio.run(Worker(lambda: store, Bureau(), None).work(Message(job=job.id, chunk=0), 1))
    end = store.end(job)
    assert end
    assert end.status == "failed"


def test_a_chunk_that_is_done_while_its_job_is_cancelled(store: JobStore) -> None:
    """The result of the one who writes first counts, and is billed or given back as it says."""
    job = a_job(60, chunk=2)
    store.create(job, uris(job))
    office = Bureau()
    worker = Worker(lambda: store, office, None)

    async def both() -> None:
        work = [asyncio.create_task(worker.work(Message(job=job.id, chunk=n), 1)) for n in range(job.chunks)]
        await asyncio.sleep(0.05)
        await worker.cancel(job)
        await asyncio.gather(*work)

    asyncio.run(both())
    ok = sum(line["status"] == "ok" for line in lines(store, job))
    end = store.end(job)
    assert end
    assert (end.status, end.succeeded, end.failed) == ("cancelled", ok, 60 - ok)
    assert sum(office.billed.values()) == ok
    assert office.given_back == [60 - ok]


def test_what_is_not_there_is_acknowledged(store: JobStore) -> None:
    job = a_job(3)
    worker = Worker(lambda: store, Bureau(), None)
    asyncio.run(worker.work(Message(job=job.id, chunk=0), 1))
    store.create(job, uris(job))
    asyncio.run(worker.work(Message(job=job.id, chunk=1), 1))
    with pytest.raises(PreconditionFailed):
        store.create(job, uris(job))
    assert [each.id for each in store.unfinished()] == [job.id]


class Deaf(Webhooks):
    """Nobody hears it, until somebody does."""

    def __init__(self, failures: int) -> None:
        super().__init__(["a"], "whsec_")
        self.failures = failures
        self.told: list[str] = []

    def send(self, url: str, message_id: str, body: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise WebhookFailed("deaf")
        self.told.append(message_id)


@pytest.mark.parametrize(("failures", "told"), [(0, 1), (3, 1), (99, 0)])
def test_the_webhook_is_called_until_it_is_taken(store: JobStore, failures: int, told: int) -> None:
    job = a_job(1, webhook="https://a/")
    store.create(job, uris(job))
    webhooks, office = Deaf(failures), Bureau()
    attempts = 0

    async def run() -> None:
        nonlocal attempts
        worker = Worker(lambda: store, office, webhooks)
        while not store.is_told(job):
            attempts += 1
            try:
                await worker.work(Message(job=job.id, chunk=0), attempts)
            except WebhookFailed:
                assert store.end(job), "the job has ended all the same"
        await worker.work(Message(job=job.id, chunk=0), 1)

    asyncio.run(run())
    assert attempts == min(failures + 1, MOST_DELIVERIES)
    assert len(webhooks.told) == told
    assert office.diagnosed == {"leaf-0": 1}


def test_the_local_queue_brings_back_what_was_refused() -> None:
    troubles = [StorageUnavailable("gone"), ValueError("bad"), WebhookFailed("deaf")]
    seen: list[int] = []
    done = asyncio.Event()

    async def work(message: Message, attempt: int) -> None:
        seen.append(attempt)
        if troubles:
            raise troubles.pop(0)
        done.set()

    async def run() -> None:
        queue = LocalQueue(work, pause_s=0.01)
        await queue.send([Message(job="0" * 32, chunk=0)])
        async with asyncio.timeout(10):
            await done.wait()
        await queue.close()

    asyncio.run(run())
    assert seen == [1, 1, 2, 3], "a store that is away is no attempt"


# --- What platforms deliver

MESSAGE = Message(job="0" * 32, chunk=3)


def record(body: str, **more: Any) -> dict[str, Any]:
    return {"messageId": "1", "body": body, "eventSource": "aws:sqs", **more}


def test_sqs() -> None:
    event = {
        "Records": [
            record(MESSAGE.model_dump_json(), attributes={"ApproximateReceiveCount": "4"}),
            record('{"job": "x", "chunk": 1}'),
        ]
    }
    assert sqs.is_sqs(event)
    assert [(each.message, each.attempt) for each in sqs.deliveries(event)] == [(MESSAGE, 4), (None, 1)]


@pytest.mark.parametrize(
    "event", [{}, [], None, "a", {"Records": []}, {"Records": None}, {"Records": [{"eventSource": "aws:s3"}]}]
)
def test_no_sqs(event: object) -> None:
    assert not sqs.is_sqs(event)


@given(st.text() | st.from_regex(r'\{"job": ?"[0-9a-f]{30,34}", ?"chunk": ?[-0-9.]{1,9}\}', fullmatch=True))
def test_any_body(body: str) -> None:
    (delivery,) = sqs.deliveries({"Records": [record(body)]})
    if delivery.message:
        assert len(delivery.message.job) == 32
        assert 0 <= delivery.message.chunk < 1_000_000


def push(data: bytes, **more: Any) -> bytes:
    message = {"messageId": "1", "data": base64.b64encode(data).decode(), "attributes": {}, "publishTime": "now"}
    return json.dumps({"message": message, "subscription": "s", **more}).encode()


def test_pubsub() -> None:
    assert pubsub.delivery(push(MESSAGE.model_dump_json().encode(), deliveryAttempt=7)) == ("1", MESSAGE, 7)
    assert pubsub.delivery(push(b"{}")) == ("1", None, 1)
    assert pubsub.delivery(b'{"message": {"messageId": "1", "data": "*"}}') == ("1", None, 1)
    assert pubsub.delivery(b'{"message": {"messageId": "1"}}') == ("1", None, 1)


@given(st.binary() | st.recursive(st.none() | st.text(), lambda s: st.dictionaries(st.text(), s)).map(json.dumps))
def test_any_push(body: bytes | str) -> None:
    with pytest.raises(ValidationError):
        pubsub.delivery(body if isinstance(body, bytes) else body.encode())


@given(total=st.integers(1, 500), chunk=st.integers(1, 70))
@settings(deadline=None, max_examples=25)
def test_every_photo_is_in_one_chunk(tmp_path_factory: pytest.TempPathFactory, total: int, chunk: int) -> None:
    store = JobStore(open_store(str(tmp_path_factory.mktemp("jobs"))))
    job = a_job(total, chunk=chunk)
    store.create(job, uris(job))
    found = [store.uris(job, number) for number in range(job.chunks)]
    assert [uri for each in found for uri in each] == uris(job)
    assert [len(each) for each in found] == [len(job.photos_of(number)) for number in range(job.chunks)]
