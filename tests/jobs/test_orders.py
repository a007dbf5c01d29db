"""Orders of jobs while the store or the queue fails: nobody pays twice, and nothing runs that nobody can name."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request

from plant_disease.errors import PreconditionFailed, QueueUnavailable, StorageUnavailable
from plant_disease.jobs.documents import End, Job, Message
from plant_disease.jobs.store import JobStore
from plant_disease.plans import Plan
from plant_disease.service import job_orders, job_routes, job_threads
from plant_disease.service.app import create_app
from plant_disease.service.auth import Caller
from plant_disease.service.jobs import open_jobs
from plant_disease.settings import Settings

WITH_A_KEY = {"Idempotency-Key": "tonight"}


class Queue:
    """Takes messages, or does not."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.fails = False

    async def send(self, messages: Sequence[Message]) -> None:
        if self.fails:
            raise QueueUnavailable("gone")
        self.sent += messages


class Classifier:
    """Would diagnose whatever it is asked to."""

    def check(self, top_k: int, crops: Sequence[str]) -> None:
        pass


class House:
    """A service in this process, in which nobody works.

    Attributes:
        back: photos that went back to the quota.
        plan: of its one caller.
    """

    def __init__(self, folder: Path) -> None:
        self.uploads = folder / "uploads"
        settings = Settings(
            auth="off", uploads_uri=str(self.uploads), jobs_uri=str(folder / "jobs"), jobs_chunk=3, max_job_images=300
        )
        self.store = open_jobs(str(settings.jobs_uri))
        self.app = create_app(job_routes.router, settings=settings)
        self.jobs = job_routes.add_jobs(self.app)
        self.queue = self.jobs.queue = Queue()
        self.plan = Plan(rates={"batch": "20/day"}, quota="1000/month")
        self.back: list[int] = []
        self.app.state.engine.classifier = self._classifier
        self.jobs.give_back = self._give_back  # type: ignore[method-assign]
        self.app.dependency_overrides[job_routes._ALLOWED.dependency] = self._caller

    async def _classifier(self) -> Classifier:
        return Classifier()

    async def _give_back(self, job: Job, photos: int) -> None:
        self.back.append(photos)

    async def _caller(self, request: Request) -> Caller:
        request.state.caller = Caller("key:1", "1", plan=self.plan)
        return request.state.caller  # type: ignore[no-any-return]

    def run(self, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        async def running() -> Any:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await work(client)

        return asyncio.run(running())

    def order(self, photos: int = 5, headers: dict[str, str] | None = None) -> httpx.Response:
        order = {"image_uris": [f"{self.uploads}/leaf.jpg"] * photos}
        answer: httpx.Response = self.run(lambda client: client.post("/batch/jobs", json=order, headers=headers))
        return answer

    def written(self) -> list[Job]:
        return list(self.store.unfinished())


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def fails(*_: Any, **__: Any) -> Any:
    raise StorageUnavailable("gone")


def create_and_fail(self: JobStore, job: Job, uris: Sequence[str], create: Any = JobStore.create) -> None:
    create(self, job, uris)
    raise StorageUnavailable("the answer is lost")


def test_written_although_the_store_failed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobStore, "create", create_and_fail)
    answer = house.order()
    assert answer.status_code == 202
    assert [job.id for job in house.written()] == [answer.json()["id"]]
    assert [message.chunk for message in house.queue.sent] == [0, 1]
    assert house.back == []


def test_not_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobStore, "create", fails)
    for headers in (None, WITH_A_KEY):
        answer = house.order(headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "jobs_unavailable")
    assert house.back == [5, 5]
    assert house.queue.sent == []


def test_refused_and_yet_not_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers so to one of two who write at the same moment."""

    def conflict(*_: Any) -> None:
        raise PreconditionFailed("409")

    monkeypatch.setattr(JobStore, "create", conflict)
    answer = house.order(headers=WITH_A_KEY)
    assert (answer.status_code, answer.json()["code"]) == (503, "jobs_unavailable")
    assert house.back == [5]


def test_somebody_else_was_faster(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first = house.order(headers=WITH_A_KEY).json()
    finds, find = iter([lambda *_: None]), JobStore.find
    monkeypatch.setattr(JobStore, "find", lambda *asked: next(finds, find)(*asked))
    answer = house.order(headers=WITH_A_KEY)
    assert answer.json()["id"] == first["id"]
    assert answer.headers["idempotency-replayed"] == "true"
    assert house.back == [5]


def test_nobody_knows_whether_it_is_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody could name is cancelled, and goes back to the quota once: at its end."""
    monkeypatch.setattr(JobStore, "create", create_and_fail)
    monkeypatch.setattr(JobStore, "find", fails)
    assert house.order().status_code == 503
    (end,) = (house.uploads.parent / "jobs").glob("*/*/end.json")
    assert End.model_validate_json(end.read_text()).status == "cancelled"
    assert house.back == [5]


def test_nobody_knows_and_it_may_come_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    finds = iter([lambda *_: None])
    with monkeypatch.context() as patched:
        patched.setattr(JobStore, "create", create_and_fail)
        patched.setattr(JobStore, "find", lambda *asked: next(finds, fails)(*asked))
        assert house.order(headers=WITH_A_KEY).status_code == 503
    (job,) = house.written()
    assert not house.store.is_cancelled(job)
    assert house.order(headers=WITH_A_KEY).json()["id"] == job.id
    assert len(house.queue.sent) == 2
    assert house.back == []


def test_a_store_that_is_slow_to_write(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    create = JobStore.create

    def slowly(self: JobStore, job: Job, uris: Sequence[str]) -> None:
        time.sleep(0.6)
        create(self, job, uris)

    monkeypatch.setattr(job_threads, "_TIMEOUT_S", 0.3)
    monkeypatch.setattr(JobStore, "create", slowly)
    assert house.order().status_code == 202
    assert house.back == []


def test_the_answer_needs_no_store(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("end", "is_cancelled"):
        monkeypatch.setattr(JobStore, name, fails)
    answer = house.order()
    assert answer.status_code == 202
    assert answer.json()["counts"] == {"total": 5, "succeeded": 0, "failed": 0, "remaining": 5}
    assert answer.json()["status"] == "queued"


def test_a_repetition_costs_its_messages(house: House) -> None:
    """Of 20 photos a day, 5 were ordered; each repetition queues 2 chunks again."""
    assert house.order(headers=WITH_A_KEY).status_code == 202
    answers = [house.order(headers=WITH_A_KEY) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [202] * 7 + [429]
    assert len(house.queue.sent) == 2 * 8
    assert "quota" not in answers[0].headers["ratelimit"]


def test_a_repetition_of_what_is_over_queues_nothing(house: House) -> None:
    job_id = house.order(headers=WITH_A_KEY).json()["id"]
    house.run(lambda client: client.delete(f"/batch/jobs/{job_id}"))
    answers = [house.order(headers=WITH_A_KEY) for _ in range(16)]
    assert [answer.status_code for answer in answers] == [202] * 15 + [429]
    assert answers[0].json()["status"] == "cancelled"
    assert len(house.queue.sent) == 2


def test_what_was_not_queued_goes_on_at_once(house: House) -> None:
    house.queue.fails = True
    assert house.order(headers=WITH_A_KEY).status_code == 503
    assert not house.store.is_cancelled(house.written()[0])
    house.queue.fails = False
    assert house.order(headers=WITH_A_KEY).status_code == 202
    assert len(house.queue.sent) == 2
    assert house.back == []


def test_not_queued_and_without_a_key(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note is enough: nobody begins a chunk of it any more."""
    house.queue.fails = True
    monkeypatch.setattr(JobStore, "keep", fails)
    answer = house.order()
    assert (answer.status_code, answer.json()["code"]) == (503, "jobs_unavailable")
    assert house.store.is_cancelled(house.written()[0])


def test_cancelling_a_large_job(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered before its end, which comes once all the same."""
    job_id = house.order(headers=WITH_A_KEY).json()["id"]
    may_end, finish, ends = threading.Event(), JobStore.finish, []

    def late(self: JobStore, job: Job, end: End) -> End:
        ends.append(end)
        may_end.wait(20)
        return finish(self, job, end)

    monkeypatch.setattr(job_orders, "_DROP_S", 0.1)
    monkeypatch.setattr(JobStore, "finish", late)

    async def cancel(client: httpx.AsyncClient) -> None:
        for _ in range(3):
            answer = await client.delete(f"/batch/jobs/{job_id}")
            assert answer.status_code == 200
            assert answer.json()["status"] == "cancelled"
            assert answer.json()["finished"] is None
        may_end.set()
        await asyncio.gather(*job_orders._dropping.values())
        assert (await client.get(f"/batch/jobs/{job_id}")).json()["finished"]

    house.run(cancel)
    assert house.back == [5]
    assert len(ends) == 1
    assert not job_orders._dropping


def test_the_fingerprint_is_taken_once_and_in_a_thread(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, fingerprint = [], job_orders._fingerprint

    def noted(sent: Any) -> str:
        taken.append(threading.current_thread())
        return fingerprint(sent)

    monkeypatch.setattr(job_orders, "_fingerprint", noted)
    house.order(headers=WITH_A_KEY)
    assert len(taken) == 1
    assert threading.main_thread() not in taken


async def while_they_hang(path: str, order: dict[str, Any] | None, client: httpx.AsyncClient) -> list[httpx.Response]:
    """What ten requests that hang are answered in the end. Meanwhile jobs can be looked at."""
    hanging = [asyncio.create_task(client.post(path, json=order)) for _ in range(10)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    assert (await client.get(f"/batch/jobs/{'0' * 32}")).status_code == 404
    assert time.monotonic() - began < 0.6
    return await asyncio.gather(*hanging)


def test_a_name_server_that_hangs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for, and nobody else waits for it."""
    answers = threading.Event()

    class Webhooks:
        def check(self, url: str) -> None:
            answers.wait(20)

    monkeypatch.setattr(house.jobs, "webhooks", Webhooks())
    monkeypatch.setattr(job_threads, "_TIMEOUT_S", 1.0)
    order = {"image_uris": [f"{house.uploads}/leaf.jpg"], "webhook": "https://hooks.example.com/"}

    try:
        assert {answer.status_code for answer in house.run(partial(while_they_hang, "/batch/jobs", order))} == {503}
    finally:
        answers.set()


def test_google_does_not_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliveries are refused after a while, and jobs can be looked at all the time."""
    answers = threading.Event()

    class Tokens:
        def are_valid(self, authorization: str) -> bool:
            return answers.wait(20)

    monkeypatch.setattr(house.jobs, "tokens", Tokens())
    monkeypatch.setattr(job_routes, "_TOKEN_S", 1.0)

    try:
        assert {answer.status_code for answer in house.run(partial(while_they_hang, "/jobs/work", None))} == {503}
    finally:
        answers.set()
