"""Jobs over HTTP: handed over, looked at, fetched, cancelled, refused, and seen by nobody else."""

import base64
import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from plant_disease.jobs.documents import Message
from plant_disease.jobs.store import JobStore
from plant_disease.plans import Plan
from plant_disease.storage import open_store
from plant_disease.usage import read_events
from tests.functions import processes
from tests.functions.photos import CLASS_ID, leaf
from tests.functions.processes import Process, wait_for
from tests.jobs.clouds import Account

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Client:
    """A caller of a service."""

    def __init__(self, process: Process, key: str | None = None) -> None:
        self._process = process
        self._headers = {"x-api-key": key} if key else {}

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self._headers, **more.pop("headers", {})}
        url = self._process.url + path
        return httpx.request(method, url, headers=headers, timeout=60, trust_env=False, **more)

    def upload(self, photo: bytes) -> str:
        asked = self.ask("POST", "/uploads", json={"content_type": "image/jpeg", "size": len(photo)}).json()
        httpx.put(asked["upload_url"], content=photo, headers=asked["headers"], trust_env=False).raise_for_status()
        return str(asked["image_uri"])

    def order(self, *, headers: dict[str, str] | None = None, **order: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/batch/jobs", json=order, headers=headers or {})
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        assert answer.headers["location"] == f"/batch/jobs/{job['id']}"
        return job

    def finished(self, job: dict[str, Any]) -> dict[str, Any]:
        now: dict[str, Any] = {}

        def is_finished() -> bool:
            nonlocal now
            now = self.ask("GET", f"/v1/batch/jobs/{job['id']}").json()
            return now["finished"] is not None

        wait_for(is_finished, 60)
        return now

    def lines(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask("GET", job["results"]).text.splitlines()]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
def account(house: Path) -> Account:
    return Account(house, Plan(rates={"jobs": "500/day"}, quota="1000/month"))


@pytest.fixture(scope="module")
def server(house: Path, account: Account) -> Iterator[Process]:
    """With keys, and an account whose key is known before it starts."""
    settings = {
        "PLANT_UPLOADS_URI": str(house / "uploads"),
        "PLANT_JOBS_URI": str(house / "jobs"),
        "PLANT_USAGE_URI": str(house / "usage"),
        "PLANT_JOBS_CHUNK": "3",
        "PLANT_MAX_JOB_IMAGES": "300",
        "PLANT_WEBHOOK_HOSTS": "localhost,hooks.example.invalid",
        "PLANT_WEBHOOK_SECRET": SECRET,
        **account.settings,
    }
    with processes.serve(house, **settings) as process:
        yield process


@pytest.fixture(scope="module")
def me(server: Process, account: Account) -> Client:
    client = Client(server, account.key("batch", "usage"))
    wait_for(lambda: client.ask("GET", "/usage").status_code == 200, 20)
    return client


def used(client: Client) -> int:
    return next(
        int(limit["used"]) for limit in client.ask("GET", "/usage").json()["limits"] if limit["name"] == "quota"
    )


def billed(house: Path) -> int:
    if not (house / "usage").exists():
        return 0
    return sum(each.photos for each in read_events(open_store(str(house / "usage")), f"{datetime.now(UTC):%Y-%m}"))


def test_hand_over_and_come_back(me: Client, house: Path) -> None:
    uris = [me.upload(leaf()) for _ in range(7)] + [me.upload(leaf()[:3000])]
    before = used(me), billed(house)
    job = me.order(image_uris=uris, top_k=2, crop=["apple"])
    assert job["counts"] == {"total": 8, "succeeded": 0, "failed": 0, "remaining": 8}
    done = me.finished(job)
    assert done["status"] == "done"
    assert done["counts"] == {"total": 8, "succeeded": 7, "failed": 1, "remaining": 0}
    lines = me.lines(done)
    assert [(line["index"], line["name"]) for line in lines] == list(enumerate(uris))
    assert [len(line["predictions"]) for line in lines[:7]] == [2] * 7
    assert {line["predictions"][0]["class_id"] for line in lines[:7]} == {CLASS_ID}
    assert lines[7]["problem"]["code"] == "unreadable_image"
    assert set(lines[0]) == {
        *("index", "name", "status", "decision", "is_leaf", "is_healthy", "predictions", "images", "model_version")
    }
    for more in ({"params": {"format": "csv"}}, {"headers": {"accept": "text/csv"}}):
        answer = me.ask("GET", done["results"], **more)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        table = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert [row["class_id"] for row in table] == [CLASS_ID] * 7 + [""]
    wait_for(lambda: used(me) == before[0] + 7, 10)
    assert billed(house) == before[1] + 7


def test_same_as_a_batch(me: Client) -> None:
    uri = me.upload(leaf())
    (line,) = me.lines(me.finished(me.order(image_uris=[uri])))
    (item,) = me.ask("POST", "/batch", json={"image_uris": [uri]}).json()["items"]
    assert {**item, "model_version": line["model_version"]} == line


def test_a_prefix(server: Process, account: Account) -> None:
    key = account.key()
    other = Client(server, key)
    wait_for(lambda: other.ask("GET", "/usage").status_code == 200, 20)
    uris = sorted(other.upload(leaf()) for _ in range(4))
    own = uris[0].rpartition("/")[0]
    done = other.finished(other.order(prefix=own + "/"))
    assert [line["name"] for line in other.lines(done)] == uris
    empty = other.ask("POST", "/batch/jobs", json={"prefix": f"{own}/nothing"})
    assert (empty.status_code, empty.json()["code"]) == (400, "no_image")
    # What begins alike is not the same folder.
    for prefix in (own[:-1], own.rpartition("/")[0], f"{own}/../", "", "/", "s3://elsewhere/in"):
        answer = other.ask("POST", "/batch/jobs", json={"prefix": prefix})
        assert (answer.status_code, answer.json()["code"]) == (403, "uri_not_allowed"), prefix


def test_an_order_that_comes_again(me: Client) -> None:
    uris = [me.upload(leaf())]
    headers = {"Idempotency-Key": "tonight"}
    before = used(me)
    first = me.order(image_uris=uris, headers=headers)
    me.finished(first)
    again = me.ask("POST", "/batch/jobs", json={"image_uris": uris}, headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] == first["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert used(me) == before + 1
    other = me.ask("POST", "/batch/jobs", json={"image_uris": uris * 2}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    wrong = me.ask("POST", "/batch/jobs", json={"image_uris": uris}, headers={"Idempotency-Key": "a b"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_idempotency_key")


def test_the_same_order_many_times_at_once(me: Client) -> None:
    uris = [me.upload(leaf())] * 5
    before = used(me)

    def send(_: int) -> httpx.Response:
        return me.ask("POST", "/batch/jobs", json={"image_uris": uris}, headers={"Idempotency-Key": "at-once"})

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(send, range(6)))
    assert {answer.status_code for answer in answers} == {202}
    (job_id,) = {answer.json()["id"] for answer in answers}
    assert me.finished({"id": job_id})["counts"]["succeeded"] == 5
    wait_for(lambda: used(me) == before + 5, 10)


def test_nobody_else_sees_it(me: Client, server: Process, account: Account) -> None:
    job = me.order(image_uris=[me.upload(leaf())])
    done = me.finished(job)
    other = Client(server, account.key())
    wait_for(lambda: other.ask("GET", "/usage").status_code == 200, 20)
    path = f"/batch/jobs/{job['id']}"
    for method, asked in (("GET", path), ("DELETE", path), ("GET", done["results"])):
        answer = other.ask(method, asked)
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
        assert Client(server).ask(method, asked).status_code == 401
    for wrong in ("0" * 32, "x", "..%2f..", job["id"].upper()):
        assert me.ask("GET", f"/batch/jobs/{wrong}").status_code == 404
    without = Client(server, account.key("predict"))
    wait_for(lambda: without.ask("GET", path).status_code == 403, 20)


def test_cancelled(me: Client, house: Path) -> None:
    uris = [me.upload(leaf())] * 90
    before, events = used(me), billed(house)
    job = me.order(image_uris=uris)
    wait_for(lambda: me.ask("GET", f"/batch/jobs/{job['id']}").json()["counts"]["succeeded"] > 0, 30)
    answer = me.ask("DELETE", f"/batch/jobs/{job['id']}")
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert job["status"] == "cancelled"
    assert job["finished"]
    assert job["counts"]["remaining"] == 0
    succeeded = job["counts"]["succeeded"]
    assert 0 < succeeded < 90
    lines = me.lines(job)
    assert [line["index"] for line in lines] == list(range(90))
    assert sum(line["status"] == "ok" for line in lines) == succeeded
    assert {line["problem"]["code"] for line in lines if line["status"] == "error"} == {"cancelled"}
    assert used(me) == before + succeeded
    assert billed(house) == events + succeeded
    # Once more changes nothing; nor does what was on its way.
    assert me.ask("DELETE", f"/batch/jobs/{job['id']}").json() == job


REFUSED: dict[str, tuple[int, str, Any]] = {
    "a million addresses": (413, "too_many_images", {"image_uris": ["a"] * 1_000_000}),
    "too many": (413, "too_many_images", {"image_uris": ["a"] * 301}),
    "somebody else's": (403, "uri_not_allowed", {"image_uris": ["/secret/leaf.jpg"]}),
    "the web": (403, "uri_not_allowed", {"image_uris": ["https://example.com/leaf.jpg"]}),
    "metadata": (403, "uri_not_allowed", {"image_uris": ["http://169.254.169.254/latest"]}),
    "nothing": (400, "no_image", {}),
    "both": (400, "no_image", {"image_uris": ["a"], "prefix": "b"}),
    "an empty list": (400, "invalid_json", {"image_uris": []}),
    "no list": (400, "invalid_json", {"image_uris": "a"}),
    "numbers": (400, "invalid_json", {"image_uris": [1]}),
    "too long": (400, "invalid_json", {"image_uris": ["a" * 2001]}),
    "an unknown field": (400, "invalid_json", {"image_uris": ["a"], "topk": 3}),
    "a list": (400, "invalid_json", []),
    "no classes": (400, "invalid_json", {"image_uris": ["a"], "top_k": 0}),
    "too many classes": (400, "invalid_json", {"image_uris": ["a"], "top_k": 11}),
    "an unknown crop": (422, "invalid_parameter", {"image_uris": ["a"], "crop": ["Banana"]}),
    "a webhook elsewhere": (422, "webhook_refused", {"image_uris": ["a"], "webhook": "https://example.com/"}),
    "a webhook in the clear": (422, "webhook_refused", {"image_uris": ["a"], "webhook": "http://localhost/"}),
    "a webhook to this machine": (422, "webhook_refused", {"image_uris": ["a"], "webhook": "https://localhost/"}),
    "a webhook to nowhere": (
        422,
        "webhook_refused",
        {"image_uris": ["a"], "webhook": "https://hooks.example.invalid/"},
    ),
    "a webhook to metadata": (422, "webhook_refused", {"image_uris": ["a"], "webhook": "https://169.254.169.254/"}),
    "a webhook that is none": (422, "webhook_refused", {"image_uris": ["a"], "webhook": "https://[::1"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(me: Client, case: str) -> None:
    status, code, order = REFUSED[case]
    before = used(me)
    answer = me.ask("POST", "/batch/jobs", json=order)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 1500
    assert used(me) == before


def test_what_is_no_json(me: Client) -> None:
    for content, media_type, status in (
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 413),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"a=1", "application/x-www-form-urlencoded", 415),
    ):
        answer = me.ask("POST", "/batch/jobs", content=content, headers={"content-type": media_type})
        assert answer.status_code == status, content[:10]


def test_more_than_the_plan_has(me: Client) -> None:
    uris = [me.upload(leaf())] * 300
    answers = [me.ask("POST", "/batch/jobs", json={"image_uris": uris}) for _ in range(2)]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused
    assert {answer.status_code for answer in refused} == {429}
    assert refused[0].headers["retry-after"]
    for answer in answers:
        if answer.status_code == 202:
            assert '"jobs";q=500' in answer.headers["ratelimit-policy"]
            me.ask("DELETE", answer.headers["location"])


def test_results_come_at_the_end(me: Client, house: Path) -> None:
    store = JobStore(open_store(str(house / "jobs")))
    job = me.order(image_uris=[me.upload(leaf())])
    me.finished(job)
    (end,) = (house / "jobs" / job["id"]).glob("*/end.json")
    end.rename(end.with_suffix(".away"))
    try:
        answer = me.ask("GET", f"/batch/jobs/{job['id']}/results")
        assert (answer.status_code, answer.json()["code"]) == (409, "job_not_finished")
    finally:
        end.with_suffix(".away").rename(end)
    assert store.find(job["id"])


def test_nothing_is_delivered_here(me: Client) -> None:
    message = base64.b64encode(Message(job="0" * 32, chunk=0).model_dump_json().encode()).decode()
    push = {"message": {"messageId": "1", "data": message}, "subscription": "s"}
    assert me.ask("POST", "/jobs/work", json=push).status_code == 404


def test_killed_and_started_again(tmp_path: Path) -> None:
    """A job whose server is killed goes on with the next one, and nothing is done twice."""
    settings = {
        "PLANT_UPLOADS_URI": str(tmp_path / "uploads"),
        "PLANT_JOBS_URI": str(tmp_path / "jobs"),
        "PLANT_USAGE_URI": str(tmp_path / "usage"),
        "PLANT_JOBS_CHUNK": "2",
    }
    with processes.serve(tmp_path, **settings) as process:
        client = Client(process)
        job = client.order(image_uris=[client.upload(leaf())] * 60)
        wait_for(lambda: client.ask("GET", f"/batch/jobs/{job['id']}").json()["counts"]["succeeded"] > 2, 30)
        process.popen.kill()
        process.popen.wait()
    with processes.serve(tmp_path, **settings) as process:
        client = Client(process)
        done = client.finished(job)
        assert done["counts"] == {"total": 60, "succeeded": 60, "failed": 0, "remaining": 0}
        assert [line["index"] for line in client.lines(done)] == list(range(60))
        assert billed(tmp_path) == 60


def test_off(tmp_path: Path) -> None:
    with processes.uvicorn(tmp_path, "batch") as process:
        client = Client(process)
        for method, path in (("POST", "/batch/jobs"), ("GET", "/batch/jobs/1"), ("DELETE", "/batch/jobs/1")):
            answer = client.ask(method, path, json={"image_uris": ["a"]})
            assert (answer.status_code, answer.json()["code"]) == (404, "jobs_off")
