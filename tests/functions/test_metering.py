"""What is counted before it is done, and billed for what was done: through real services, to the last event."""

import asyncio
import json
import secrets
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import httpx
import pytest

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
from plant_disease.storage.local import LocalStore
from plant_disease.usage import Usage, UsageEvent, read_events, sum_usage
from tests.functions import processes
from tests.functions.conftest import _STARTED, AWS
from tests.functions.faces import Answer, Face, Http, Lambda
from tests.functions.photos import CLASS_ID, as_json, form, huge, leaf
from tests.functions.processes import Process, wait_for
from tests.servers import REGION, FaultyProxy

JPEG = {"content-type": "image/jpeg"}
MONTH = f"{datetime.now(UTC):%Y-%m}"


class Account:
    """A key on file with a plan of its own, and where its usage is kept."""

    def __init__(self, folder: Path, plan: Plan | None = None, process: Process | None = None) -> None:
        self.usage = folder / "usage"
        self.store = KeyStore(str(folder / "keys.json"))
        self.plan = f"plan-{secrets.token_hex(4)}"
        keys.define_plan(self.store, self.plan, plan or Plan())
        self.key = self.another(process)
        self.settings = {
            "PLANT_AUTH": "required",
            "PLANT_API_KEYS_URI": str(folder / "keys.json"),
            "PLANT_API_KEYS_REFRESH_S": "0.3",
            "PLANT_USAGE_URI": str(self.usage),
            "PLANT_USAGE_FLUSH_S": "0.2",
            "PLANT_MODEL_LOADING": "eager",
        }

    def another(self, process: Process | None) -> str:
        """A further key, known to a process that runs already."""
        scopes = ["predict", "batch", "explain", "usage"]
        key = keys.create(self.store, name="Greenhouse", scopes=scopes, plan=self.plan).text  # type: ignore[arg-type]
        if process:
            url, headers = f"{process.url}/usage", {"x-api-key": key}
            wait_for(lambda: httpx.get(url, headers=headers, trust_env=False).status_code == 200, 20)
        return key

    def events(self) -> list[UsageEvent]:
        """The events of this key and of nobody's."""
        if not self.usage.exists():
            return []
        events = read_events(LocalStore(str(self.usage)), MONTH)
        return [event for event in events if event.key_id in (None, keys.id_of(self.key))]

    def wait_for(self, number: int) -> list[UsageEvent]:
        """The events, once there are so many."""
        wait_for(lambda: len(self.events()) >= number, 20)
        events = self.events()
        assert len(events) == number
        return events


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the keys and the usage of the service that most tests share."""
    house = tmp_path_factory.mktemp("house")
    Account(house)
    return house


@pytest.fixture(scope="module")
def service(folder: Path, house: Path) -> Iterator[Process]:
    with processes.serve(folder, **Account(house).settings) as process:
        yield process


@pytest.fixture
def account(house: Path, service: Process) -> Account:
    """With the shared service."""
    return Account(house, process=service)


@pytest.fixture
def own(tmp_path: Path) -> Account:
    """For a service of its own."""
    return Account(tmp_path)


def ask(
    account: Account,
    face: Face,
    path: str = "/predict",
    *,
    content: bytes = leaf(),
    headers: dict[str, str] = JPEG,
    query: str = "",
    key: str | None = None,
    **more: str,
) -> Answer:
    """Ask with a key; names of further headers may be spelt with underscores."""
    further = {name.replace("_", "-"): value for name, value in more.items()}
    sent = {**headers, "x-api-key": key or account.key, **further}
    return face.ask("POST", path, content=content, headers=sent, query=query)


# --- Events


def test_every_function_of_every_face(folder: Path, own: Account, kind: str) -> None:
    account = own
    content, headers = form(leaf(), b"no photo", leaf())
    expected = []
    for function, body, sent, photos in (
        ("predict", *form(leaf(), leaf("PNG")), 2),
        ("batch", content, headers, 2),
        ("explain", leaf(), JPEG, 1),
    ):
        with _STARTED[kind](folder, function, **account.settings) as process:
            face: Face = Lambda(process) if kind == "lambda" else Http(process)
            answer = ask(account, face, f"/{function}", content=body, headers=sent, x_request_id=f"of-{function}")
            assert answer.status == 200, answer.content
            expected.append((function, photos, f"of-{function}"))
            events = account.wait_for(len(expected))
            line = next(line for line in process.log_lines() if line.get("event") == "usage")
    assert sorted((event.endpoint, event.photos, event.request_id) for event in events) == sorted(expected)
    key_id = keys.id_of(account.key)
    for event in events:
        assert event.key_id == key_id
        assert event.model_version
        assert event.ms > 0
        assert event.outcome == ("partial" if event.endpoint == "batch" else "complete")
    assert {name: line[name] for name in UsageEvent.model_fields if name != "time"} == next(
        event for event in events if event.endpoint == "explain"
    ).model_dump(mode="json", exclude={"time"})
    assert [(each.endpoint, each.photos) for each in sum_usage(events)] == [
        ("batch", 2),
        ("explain", 1),
        ("predict", 2),
    ]


def test_only_work_that_was_done_is_billed(house: Path, service: Process) -> None:
    account = Account(house, Plan(quota="10/month"), service)
    face = Http(service)
    for content, headers, query in (
        (b"no photo", JPEG, ""),
        (leaf()[:5000], JPEG, ""),
        (b"", JPEG, ""),
        (leaf(), JPEG, "crop=Banana"),
        (leaf(), {"content-type": "text/plain"}, ""),
        (*form(*[leaf()] * 6), ""),
    ):
        assert ask(account, face, content=content, headers=headers, query=query).status >= 400
    assert ask(account, face, "/batch", content=form(b"x", b"y")[0], headers=form()[1]).json()["summary"]["failed"] == 2
    assert ask(account, face, "/explain", content=ROBOT, query="format=png").status == 422
    assert left(account, face) == 10, "what was not done is given back"
    assert account.events() == []
    assert ask(account, face).status == 200
    assert left(account, face) == 9
    assert [event.photos for event in account.wait_for(1)] == [1]


ROBOT = (processes.ROOT / "tests/photos/robot.png").read_bytes()


def left(account: Account, face: Face, name: str = "quota") -> int:
    answer = face.ask("GET", "/usage", headers={"authorization": f"Bearer {account.key}"})
    assert answer.status == 200, answer.content
    limits: dict[str, int] = {limit["name"]: limit["left"] for limit in answer.json()["limits"]}
    return limits[name]


def test_no_leaf_is_an_answer_that_counts(account: Account, service: Process) -> None:
    assert (
        ask(account, Http(service), content=ROBOT, headers={"content-type": "image/png"}).json()["decision"]
        == "rejected"
    )
    (event,) = account.wait_for(1)
    assert (event.photos, event.rejected, event.diagnosed) == (1, 1, 0)


@pytest.mark.parametrize("server", ["uvicorn", "serve", "functions-framework"])
def test_no_event_is_lost_on_sigterm(folder: Path, own: Account, server: str) -> None:
    account = own
    start = {"serve": processes.serve, **_STARTED}[server]
    settings = {**account.settings, "PLANT_USAGE_FLUSH_S": "3600"}
    answered: list[int] = []
    with start(folder, **settings) as process:  # type: ignore[operator]
        assert ask(account, Http(process)).status == 200

        def hammer(_: int) -> None:
            face = Http(process)
            while True:
                try:
                    status = ask(account, face).status
                except httpx.TransportError:
                    return
                answered.append(status)

        with ThreadPoolExecutor(4) as pool:
            hammering = [pool.submit(hammer, number) for number in range(4)]
            wait_for(lambda: len(answered) > 40, 60)
            # functions-framework never says when it ends.
            assert (account.events() == []) == (server != "functions-framework")
            process.popen.send_signal(signal.SIGTERM)
            process.popen.wait(40)
            for each in hammering:
                each.result()
    served = 1 + Counter(answered)[200]
    # An answer may have been on its way when the connection was closed: that one was done, and is billed.
    assert served <= len(account.events()) <= served + 4
    assert set(answered) <= {200, 503}


def test_a_store_that_is_out_of_reach(folder: Path, tmp_path: Path, moto_url: str) -> None:
    account = Account(tmp_path)
    client = boto3.client("s3", endpoint_url=moto_url, region_name=REGION, **_CREDENTIALS)  # type: ignore[call-overload]
    client.create_bucket(Bucket="usage-trouble", CreateBucketConfiguration={"LocationConstraint": REGION})
    with FaultyProxy(moto_url) as proxy:
        settings = {
            **account.settings,
            "PLANT_USAGE_URI": "s3://usage-trouble/events",
            "AWS_ENDPOINT_URL_S3": proxy.url,
            **AWS,
        }
        proxy.set("refuse")
        with processes.uvicorn(folder, **settings) as process:
            face = Http(process)
            for _ in range(3):
                assert ask(account, face).status == 200, "nobody is turned away for it"
            assert ask(account, face, idempotency_key="a").status == 200
            wait_for(lambda: "usage events cannot be written" in process.log(), 60)
            proxy.set("pass")
            wait_for(lambda: "usage events are written again" in process.log(), 60)

            def written() -> int:
                found = client.list_objects_v2(Bucket="usage-trouble").get("Contents", [])
                keys_of = [each["Key"] for each in found if "dt=" in each["Key"]]
                files = [client.get_object(Bucket="usage-trouble", Key=key)["Body"].read() for key in keys_of]
                return b"".join(files).count(b"\n")

            # The last may have come when the file of the others was already on its way.
            wait_for(lambda: written() >= 4, 60)
            assert written() == 4


_CREDENTIALS = {
    "aws_access_key_id": AWS["AWS_ACCESS_KEY_ID"],
    "aws_secret_access_key": AWS["AWS_SECRET_ACCESS_KEY"],
}


def test_a_client_that_goes_at_the_last_line_pays(folder: Path, tmp_path: Path, redis_url: str) -> None:
    account = Account(tmp_path, Plan(quota="1000/month"))
    content, headers = form(leaf(), leaf(), b"no photo")
    sent = {**headers, "x-api-key": account.key, "accept": "application/x-ndjson"}
    with processes.uvicorn(folder, "batch", **account.settings, PLANT_LIMITS_URI=redis_url) as process:
        for _ in range(5):
            with httpx.stream("POST", f"{process.url}/batch", content=content, headers=sent, trust_env=False) as answer:
                for line in answer.iter_lines():
                    if "summary" in line:
                        break
        events = account.wait_for(5)
        assert [event.photos for event in events] == [2] * 5
        wait_for(lambda: left(account, Http(process)) == 990, 20)


@pytest.mark.parametrize("server", ["uvicorn", "functions-framework"])
def test_nobody_waits_for_a_store_that_hangs(folder: Path, tmp_path: Path, moto_url: str, server: str) -> None:
    account = Account(tmp_path)
    with FaultyProxy(moto_url) as proxy:
        proxy.set("hang")
        settings = {**account.settings, "PLANT_USAGE_URI": "s3://usage-hangs", "AWS_ENDPOINT_URL_S3": proxy.url, **AWS}
        with _STARTED[server](folder, **settings) as process:
            ask(account, Http(process), idempotency_key="first")

            def slow(number: int) -> bool:
                start = time.monotonic()
                assert ask(account, Http(process), idempotency_key=f"a-{number}").status == 200
                return time.monotonic() - start > 10

            with ThreadPoolExecutor(12) as pool:
                assert not any(pool.map(slow, range(24)))
            wait_for(lambda: "the store fails" in process.log(), 20)
            assert len([line for line in process.log_lines() if line.get("event") == "usage"]) == 25


def test_an_address_that_is_none_stops_the_start() -> None:
    for uri in ("ftp://x/y", "s3://Bad_Bucket/u"):
        command = [processes.BIN / "uvicorn", "functions.predict.main:app", "--port", "0"]
        environment = processes.environment({"PLANT_USAGE_URI": uri})
        done = subprocess.run(command, env=environment, cwd=processes.ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        assert "PLANT_USAGE_URI" in done.stderr


# --- Idempotency


@pytest.mark.parametrize(
    ("path", "query", "accept"),
    [
        ("/predict", "", "application/json"),
        ("/v1/predict", "explain=true", "application/json"),
        ("/explain", "format=png", "*/*"),
        ("/batch", "", "application/json"),
        ("/batch", "", "application/x-ndjson"),
        ("/batch", "", "text/csv"),
    ],
)
def test_a_retry_is_free_and_gets_the_same_answer(
    account: Account, service: Process, path: str, query: str, accept: str
) -> None:
    face = Http(service)
    first, again = (
        ask(account, face, path, query=query, content=body, headers=headers, accept=accept, idempotency_key="order-1")
        for body, headers in (form(leaf()), _other_boundary())
    )
    assert first.status == again.status == 200
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert ask(account, face, path, query=query, idempotency_key="order-2").status == 200
    events = account.wait_for(2)
    assert {event.idempotency_key for event in events} == {"order-1", "order-2"}


def _other_boundary() -> tuple[bytes, dict[str, str]]:
    body, headers = form(leaf())
    return body.replace(b"--edge", b"--other"), {"content-type": headers["content-type"].replace("edge", "other")}


def test_a_key_is_for_one_request_of_one_caller(account: Account, service: Process) -> None:
    face = Http(service)
    assert ask(account, face, idempotency_key="a").status == 200
    for content, query, path in (
        (leaf("PNG"), "", "/predict"),
        (leaf(), "top_k=1", "/predict"),
        (leaf(), "", "/explain"),
    ):
        other = ask(account, face, path, content=content, query=query, idempotency_key="a")
        assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")
    somebody = account.another(service)
    answer = ask(account, face, key=somebody, content=leaf("PNG"), idempotency_key="a")
    assert answer.status == 200
    assert "idempotency-replayed" not in answer.headers
    for malformed in ("", "x" * 256, "a b"):
        refused = ask(account, face, idempotency_key=malformed)
        assert (refused.status, refused.json()["code"]) == (400, "invalid_idempotency_key")


def test_a_stream_that_broke_off_and_came_again_is_billed_as_a_whole(account: Account, service: Process) -> None:
    content, headers = form(leaf(), *[huge()] * 5)
    sent = {**headers, "x-api-key": account.key, "accept": "application/x-ndjson", "idempotency-key": "broken"}
    with httpx.stream("POST", f"{service.url}/batch", content=content, headers=sent, trust_env=False) as answer:
        next(answer.iter_lines())

    def again() -> bool:
        answer = httpx.post(f"{service.url}/batch", content=content, headers=sent, trust_env=False, timeout=60)
        assert answer.status_code in (200, 409)
        return answer.status_code == 200

    wait_for(again, 60)
    wait_for(lambda: sum_usage(account.events()) == [Usage(keys.id_of(account.key), "batch", 1, 6)], 20)
    (event,) = account.events()
    assert event.outcome == "complete"


def test_what_is_had_again_is_not_to_be_had_without_end(house: Path, service: Process) -> None:
    account = Account(house, Plan(rates={"predict": "5/hour"}, quota="1/month"), service)
    statuses = [ask(account, Http(service), idempotency_key="a").status for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    assert left(account, Http(service)) == 0


def test_what_is_refused_leaves_nothing_and_reads_nothing(house: Path, service: Process) -> None:
    account = Account(house, Plan(quota="1/month"), service)
    assert ask(account, Http(service)).status == 200
    before = len(list((house / "usage/answers").iterdir())) if (house / "usage/answers").exists() else 0
    content, headers = as_json(image_uris=["s3://x/1.jpg", "s3://x/2.jpg"])
    for number in range(5):
        answer = ask(account, Http(service), content=content, headers=headers, idempotency_key=f"n-{number}")
        assert (answer.status, answer.json()["code"]) == (402, "quota_spent")
    after = len(list((house / "usage/answers").iterdir())) if (house / "usage/answers").exists() else 0
    assert after == before


def test_a_rotated_key_is_the_same_account(house: Path, service: Process) -> None:
    account = Account(house, Plan(quota="2/month"), service)
    face = Http(service)
    assert [ask(account, face, idempotency_key=name).status for name in "aa"] == [200, 200]
    content, headers = as_json(content_type="image/jpeg", size=len(leaf()))
    uri = ask(account, face, "/uploads", content=content, headers=headers).json()["image_uri"]
    rotated = keys.rotate(account.store, str(keys.id_of(account.key)), keep=timedelta(days=1)).text
    headers = {"x-api-key": rotated}
    wait_for(lambda: httpx.get(f"{service.url}/usage", headers=headers, trust_env=False).status_code == 200, 20)
    assert ask(account, face, key=rotated, idempotency_key="a").headers["idempotency-replayed"] == "true"
    content, headers = as_json(image_uri=uri)
    assert ask(account, face, content=content, headers=headers, key=rotated).json()["code"] == "image_not_found"
    assert [ask(account, face, key=rotated).status for _ in range(2)] == [200, 402]


def test_what_failed_may_be_tried_again(account: Account, service: Process) -> None:
    face = Http(service)
    for _ in range(2):
        assert ask(account, face, content=leaf()[:5000], idempotency_key="a").status == 400
    assert ask(account, face, idempotency_key="a").status == 200, "with a photo that can be read this time"
    assert ask(account, face, idempotency_key="a").headers["idempotency-replayed"] == "true"
    assert len(account.wait_for(1)) == 1


def test_the_same_at_the_same_time_is_done_once(account: Account, service: Process) -> None:
    content, headers = form(*[huge()] * 4)

    async def post(client: httpx.AsyncClient) -> httpx.Response:
        sent = {**headers, "x-api-key": account.key, "idempotency-key": "at-once"}
        return await client.post("/batch", content=content, headers=sent)

    async def all_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as client:
            return await asyncio.gather(*(post(client) for _ in range(6)))

    answers = asyncio.run(all_at_once())
    done = [answer for answer in answers if answer.status_code == 200]
    assert done
    assert len({answer.content for answer in done}) == 1
    for answer in answers:
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (409, "in_progress")
            assert int(answer.headers["retry-after"]) >= 1
    assert sum_usage(account.wait_for(1)) == [Usage(keys.id_of(account.key), "batch", 1, 4)]


# --- Limits, as a caller meets them


def test_limits_of_a_plan(folder: Path, tmp_path: Path, kind: str) -> None:
    account = Account(tmp_path, Plan(rates={"predict": "3/hour"}, quota="5/month"))
    with _STARTED[kind](folder, "predict", **account.settings) as process:
        face: Face = Lambda(process) if kind == "lambda" else Http(process)
        seen = []
        for _ in range(3):
            answer = ask(account, face)
            assert answer.status == 200
            seen.append(answer.headers["ratelimit"].partition(";t=")[0])
            assert answer.headers["ratelimit-policy"].startswith('"predict";q=3;w=3600, "quota";q=5;w=')
        assert seen == ['"predict";r=2', '"predict";r=1', '"predict";r=0']
        refused = ask(account, face)
        assert (refused.status, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
        assert '"predict";r=0' in refused.headers["ratelimit"]
        assert refused.headers["content-type"] == "application/problem+json"
        account.wait_for(3)


def test_a_quota_over_all_functions_and_photos(house: Path, service: Process) -> None:
    account, face = Account(house, Plan(quota="10/month"), service), Http(service)
    content, headers = form(*[leaf()] * 8)
    assert ask(account, face, "/batch", content=content, headers=headers).status == 200
    refused = ask(account, face, "/batch", content=content, headers=headers)
    assert (refused.status, refused.json()["code"]) == (402, "quota_spent")
    assert ask(account, face).status == ask(account, face, "/explain").status == 200
    assert ask(account, face).status == 402
    assert left(account, face) == 0


def test_uploads_have_a_rate_and_cost_no_photo(house: Path, service: Process) -> None:
    account = Account(house, Plan(rates={"uploads": "2/hour"}, quota="1/month"), service)
    content, headers = as_json(content_type="image/jpeg", size=len(leaf()))
    asked = [ask(account, Http(service), "/uploads", content=content, headers=headers) for _ in range(3)]
    assert [answer.status for answer in asked] == [200, 200, 429]
    assert left(account, Http(service)) == 1
    uri = asked[0].json()["image_uri"]
    sent = as_json(image_uri=uri)
    assert ask(account, Http(service), content=sent[0], headers=sent[1]).json()["code"] == "image_not_found"
    somebody = Account(house, process=service)
    stolen = ask(somebody, Http(service), content=sent[0], headers=sent[1])
    assert (stolen.status, stolen.json()["code"]) == (403, "uri_not_allowed")


def test_a_limit_counts_across_processes(folder: Path, tmp_path: Path, redis_url: str) -> None:
    account = Account(tmp_path, Plan(rates={"predict": "20/hour"}))
    settings = {**account.settings, "PLANT_LIMITS_URI": redis_url, "PLANT_LIMITS_ON_ERROR": "deny"}
    with (
        processes.uvicorn(folder, **settings) as one,
        processes.uvicorn(folder, **settings) as other,
        ThreadPoolExecutor(8) as pool,
    ):
        statuses = Counter(pool.map(lambda number: ask(account, Http((one, other)[number % 2])).status, range(60)))
    assert statuses == {200: 20, 429: 40}


def test_callers_without_a_key(folder: Path, tmp_path: Path) -> None:
    account = Account(tmp_path)
    keys.define_plan(account.store, "visitors", Plan(quota="2/day"))
    settings = {**account.settings, "PLANT_ANONYMOUS_PLAN": "visitors", "PLANT_TRUSTED_PROXIES": "1"}
    with processes.uvicorn(folder, **settings) as process:

        def visit(address: str) -> int:
            headers = {**JPEG, "x-forwarded-for": address}
            return Http(process).ask("POST", "/predict", content=leaf(), headers=headers).status

        assert [visit("192.0.2.1") for _ in range(3)] == [200, 200, 402]
        assert visit("192.0.2.2") == 200
        assert visit("192.0.2.9, 192.0.2.1") == 402, "what is made up moves nobody"
        assert ask(account, Http(process)).status == 200
        events = account.wait_for(4)
    assert Counter(event.key_id for event in events) == {None: 3, keys.id_of(account.key): 1}


def test_who_is_not_asked_for_a_key_is_not_counted(folder: Path) -> None:
    with processes.serve(folder, PLANT_AUTH="off") as process:
        face = Http(process)
        answer = face.ask("POST", "/predict", content=leaf(), headers=JPEG)
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
        assert "ratelimit" not in answer.headers
        assert '"event": "usage"' not in process.log()
        assert face.ask("GET", "/usage").json() == {"key_id": None, "name": None, "plan": None, "limits": []}
        assert json.loads(answer.content)["decision"] == "diagnosed"
