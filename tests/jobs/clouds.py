"""The function batch in two clouds, as far as they can be had on one machine, with workers that are killed.

Aws      moto's S3 and SQS; workers are polled for, as Lambda's event source does
Google   fake-gcs-server and the emulator of Pub/Sub, whose pushes go through a relay that signs them
"""

import json
import os
import random
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import boto3
import httpx

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
from plant_disease.storage import Store, open_store
from plant_disease.usage import UsageEvent, read_events
from tests import service_accounts
from tests.functions import processes
from tests.functions.conftest import AWS
from tests.functions.processes import Process
from tests.jobs.google import ACCOUNT, AUDIENCE, Google, relay
from tests.servers import REGION

PROJECT = "leaves"


class Account:
    """A key on file with a plan of its own."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._store = KeyStore(str(folder / "keys.json"))
        keys.define_plan(self._store, "plan", plan)
        self.settings = {
            "PLANT_AUTH": "required",
            "PLANT_API_KEYS_URI": str(folder / "keys.json"),
            "PLANT_API_KEYS_REFRESH_S": "0.3",
        }

    def key(self, *scopes: str) -> str:
        """A new key."""
        wanted: Any = scopes or ("batch", "usage")
        return keys.create(self._store, name="Cooperative", scopes=wanted, plan="plan").text


class Cloud(ABC):
    """The function batch, and its workers.

    Args:
        folder: for logs.
        where: environment variables that lead to the cloud, for this process too.
        settings: environment variables of the service and its workers.

    Attributes:
        uploads: where photos lie.
        usage: where events lie.
        url: of the service; set once it runs.
    """

    uploads: Store
    usage: Store
    url: str

    def __init__(self, folder: Path, where: Mapping[str, str], settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.settings = {"PLANT_MODEL_LOADING": "eager", "PLANT_LOG_LEVEL": "WARNING", **where, **settings}
        self.stack = ExitStack()
        self.stack.enter_context(patch.dict(os.environ, where))
        self.chance = random.Random(0)
        self.killed = 0

    @abstractmethod
    def set_up(self) -> None:
        """Make buckets and queues, and start the service."""

    @abstractmethod
    def start_workers(self, number: int) -> None:
        """Start workers."""

    @abstractmethod
    def kill_one(self) -> None:
        """Kill a worker at once, and start another."""

    @abstractmethod
    def disturb(self, job_id: str, chunks: int) -> None:
        """Have messages come twice and late."""

    def __enter__(self) -> Self:
        self.stack.__enter__()
        self.set_up()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def upload(self, owner: str, photos: Sequence[tuple[str, bytes]]) -> list[str]:
        """Put photos where an owner's are."""
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda each: self.uploads.write(f"{owner}/{each[0]}", each[1]), photos))
        return [f"{self.uploads.uri}/{owner}/{name}" for name, _ in photos]

    def events(self) -> list[UsageEvent]:
        """What was billed."""
        return read_events(self.usage, f"{datetime.now(UTC):%Y-%m}")

    def ask(self, method: str, path: str, key: str, **more: Any) -> httpx.Response:
        """Ask the service."""
        headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, trust_env=False, **more)

    def run(self, job: dict[str, Any], key: str, *, kills: int, within_s: float) -> dict[str, Any]:
        """Wait for the end of a job, whose workers are killed on the way. The job as it is then."""
        deadline = time.monotonic() + within_s
        total = job["counts"]["total"]
        while not job["finished"]:
            assert time.monotonic() < deadline, job
            time.sleep(self.chance.uniform(0.05, 0.3))
            job = self.ask("GET", f"/batch/jobs/{job['id']}", key).raise_for_status().json()
            # A machine may be slow: what has not begun is not worth being killed.
            if total - job["counts"]["remaining"] > total * self.killed / kills:
                self.kill_one()
                self.killed += 1
        return job

    def results(self, job: dict[str, Any], key: str, **query: str) -> httpx.Response:
        """The results, from where they lie."""
        answer = self.ask("GET", job["results"], key, params=query)
        assert answer.status_code == 302, answer.text
        return httpx.get(answer.headers["location"], timeout=60, trust_env=False)


class Aws(Cloud):
    """S3, SQS and workers like Lambda's."""

    def __init__(self, folder: Path, settings: Mapping[str, str], moto_url: str, name: str) -> None:
        super().__init__(folder, {"AWS_ENDPOINT_URL": moto_url, **AWS}, settings)
        self.bucket = name
        self.s3 = boto3.client("s3", endpoint_url=moto_url, region_name=REGION)
        self.sqs = boto3.client("sqs", endpoint_url=moto_url, region_name=REGION)
        self.queue = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
        self.settings |= {
            "PLANT_UPLOADS_URI": f"s3://{name}/in",
            "PLANT_JOBS_URI": f"s3://{name}/jobs",
            "PLANT_USAGE_URI": f"s3://{name}/usage",
            "PLANT_JOBS_QUEUE": f"sqs:{self.queue}",
        }
        self._workers: list[subprocess.Popen[bytes]] = []

    def set_up(self) -> None:
        location: Any = {"LocationConstraint": REGION}
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=location)
        self.uploads = open_store(self.settings["PLANT_UPLOADS_URI"])
        self.usage = open_store(self.settings["PLANT_USAGE_URI"])
        self.url = self.stack.enter_context(processes.uvicorn(self.folder, "batch", **self.settings)).url

    def start_workers(self, number: int) -> None:
        for _ in range(number):
            self._workers.append(self._started())

    def kill_one(self) -> None:
        worker = self._workers.pop(self.chance.randrange(len(self._workers)))
        worker.kill()
        worker.wait()
        self._workers.append(self._started())

    def disturb(self, job_id: str, chunks: int) -> None:
        for chunk in range(0, chunks, 3):
            self.sqs.send_message(
                QueueUrl=self.queue,
                MessageBody=json.dumps({"job": job_id, "chunk": chunk}),
                DelaySeconds=self.chance.randrange(4),
            )
        self.sqs.send_message(QueueUrl=self.queue, MessageBody="{")

    def _started(self) -> subprocess.Popen[bytes]:
        log = (self.folder / "workers.log").open("ab")
        self.stack.callback(log.close)
        worker = subprocess.Popen(
            [processes.BIN / "python", "-m", "tests.jobs.sqs_worker"],
            cwd=processes.ROOT,
            env=processes.environment(self.settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.stack.callback(worker.wait)
        self.stack.callback(worker.kill)
        return worker


class Gcp(Cloud):
    """Cloud Storage, Pub/Sub and services that are pushed to."""

    def __init__(self, folder: Path, settings: Mapping[str, str], gcs_url: str, pubsub: str, name: str) -> None:
        self.google = Google()
        where = {
            "STORAGE_EMULATOR_HOST": gcs_url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(service_accounts.key_file(folder, service_accounts.new_key())),
        }
        super().__init__(folder, where, settings)
        self.bucket = name
        self._gcs_url = gcs_url
        self._api = f"http://{pubsub}/v1/projects/{PROJECT}"
        self.settings |= {
            "PLANT_UPLOADS_URI": f"gs://{name}/in",
            "PLANT_JOBS_URI": f"gs://{name}/jobs",
            "PLANT_USAGE_URI": f"gs://{name}/usage",
            "PLANT_JOBS_QUEUE": f"pubsub:projects/{PROJECT}/topics/{name}",
            "PLANT_JOBS_PUSH_AUDIENCE": AUDIENCE,
            "PLANT_JOBS_PUSH_ACCOUNT": ACCOUNT,
            "PUBSUB_EMULATOR_HOST": pubsub,
        }
        self._workers: list[tuple[Process, ExitStack]] = []

    def set_up(self) -> None:
        httpx.post(f"{self._gcs_url}/storage/v1/b", json={"name": self.bucket}, trust_env=False).raise_for_status()
        self.uploads = open_store(self.settings["PLANT_UPLOADS_URI"])
        self.usage = open_store(self.settings["PLANT_USAGE_URI"])
        self.relay = self.stack.enter_context(relay(self.google))
        self.settings["GOOGLE_CERTIFICATES"] = f"{self.relay.url}/certificates"
        topic = f"{self._api}/topics/{self.bucket}"
        httpx.put(topic, trust_env=False).raise_for_status()
        subscription = {
            "topic": f"projects/{PROJECT}/topics/{self.bucket}",
            "pushConfig": {"pushEndpoint": f"{self.relay.url}/"},
            "ackDeadlineSeconds": 10,
        }
        made = httpx.put(f"{self._api}/subscriptions/{self.bucket}", json=subscription, trust_env=False)
        made.raise_for_status()
        self.url = self.stack.enter_context(processes.uvicorn(self.folder, "tests.jobs.pushed", **self.settings)).url

    def start_workers(self, number: int) -> None:
        for _ in range(number):
            self._start()

    def disturb(self, job_id: str, chunks: int) -> None:
        self.relay.trouble = 0.1

    def kill_one(self) -> None:
        process, own = self._workers.pop(self.chance.randrange(len(self._workers)))
        process.popen.send_signal(signal.SIGKILL)
        self.relay.services.remove(process.url)
        own.close()
        self._start()

    def _start(self) -> None:
        own = ExitStack()
        process = own.enter_context(processes.uvicorn(self.folder, "tests.jobs.pushed", **self.settings))
        self.stack.callback(own.close)
        self._workers.append((process, own))
        self.relay.services.append(process.url)


@contextmanager
def pubsub_emulator(folder: Path) -> Iterator[str]:
    """The emulator of Google's SDK; host and port."""
    port = processes.free_port()
    command = ["gcloud", "beta", "emulators", "pubsub", "start", f"--host-port=127.0.0.1:{port}"]
    with processes.started(command, port, folder, {"CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}, health=False):
        yield f"127.0.0.1:{port}"


def check(
    uris: Sequence[str],
    kind_of: Callable[[str], str],
    lines: Sequence[dict[str, Any]],
    job: dict[str, Any],
    events: Sequence[UsageEvent],
) -> None:
    """Every photo is there exactly once, with the answer that photos like it have, and what was done is billed.

    Args:
        uris: of the photos.
        kind_of: what must make no difference: photos of one kind are the same.
        lines: the results.
        job: at its end.
        events: all there are.
    """
    assert [line["index"] for line in lines] == list(range(len(uris)))
    assert [line["name"] for line in lines] == list(uris)
    answers: dict[str, Any] = {}
    for line in lines:
        answer = line["predictions"] if line["status"] == "ok" else line["problem"]
        assert answer == answers.setdefault(kind_of(line["name"]), answer)
    done = Counter(line["status"] for line in lines)
    assert job["counts"] == {"total": len(uris), "succeeded": done["ok"], "failed": done["error"], "remaining": 0}
    assert sum(event.photos for event in events) == done["ok"]
    assert len({event.event_id for event in events}) == len(events)
