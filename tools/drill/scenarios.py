"""The disasters. Each takes a folder to work in and a pace, and tells what it measured."""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from plant_disease.settings import Settings
from tests.functions import processes
from tests.functions.processes import uvicorn
from tools.drill.load import CLIENTS, Load
from tools.drill.stage import (
    WITHIN_S,
    balancer,
    becomes_ready,
    bucket,
    bundled,
    command,
    is_ready,
    mislabelled,
    wait_until_ready,
)

RTO_S = 30 * 60
RPO_S = 60 * 60


@dataclass(frozen=True)
class Pace:
    """How often a service looks whether something has changed.

    Attributes:
        model_s: PLANT_MODEL_REFRESH_S.
        keys_s: PLANT_API_KEYS_REFRESH_S.
        retry_s: PLANT_MODEL_RETRY_S.
    """

    model_s: float = Settings.model_fields["model_refresh_s"].default
    keys_s: float = Settings.model_fields["api_keys_refresh_s"].default
    retry_s: float = Settings.model_fields["model_retry_s"].default

    @property
    def settings(self) -> dict[str, str]:
        """As a service takes them."""
        return {
            "PLANT_MODEL_REFRESH_S": str(self.model_s),
            "PLANT_API_KEYS_REFRESH_S": str(self.keys_s),
            "PLANT_MODEL_RETRY_S": str(self.retry_s),
            "PLANT_MODEL_LOADING": "background",
        }


QUICK = Pace(model_s=1, keys_s=1, retry_s=1)


@dataclass(frozen=True)
class Outcome:
    """What a drill measured.

    Attributes:
        event: what happened, and what was done.
        rto_s: seconds until all was as it should be.
        design_s: how many they are to be by construction, besides what a person takes.
        requests: how many were sent.
        lost: how many of them failed.
        lost_allowed: how many may; None where the disaster itself is that requests fail.
        seen: what must hold besides, and whether it did.
        rpo_s: seconds of data that are lost; None where nothing is written that could be.
    """

    event: str
    rto_s: float
    design_s: float
    requests: int
    lost: int
    lost_allowed: int | None
    seen: dict[str, bool] = field(default_factory=dict)
    rpo_s: float | None = None

    @property
    def passed(self) -> bool:
        """Whether every limit is held and everything was seen."""
        few_lost = self.lost_allowed is None or self.lost <= self.lost_allowed
        return self.rto_s <= RTO_S and (self.rpo_s or 0) <= RPO_S and few_lost and all(self.seen.values())


def region(folder: Path, pace: Pace) -> Outcome:
    """One of two regions dies at once, and never comes back."""
    usage = folder / "usage"
    with ExitStack() as stack:
        regions = []
        for name in ("primary", "standby"):
            # Each has a copy of the models of its own.
            shutil.copytree(bundled().parent, folder / name / "models")
            settings = {"PLANT_MODEL_URI": str(folder / name / "models"), "PLANT_USAGE_URI": str(usage)}
            settings |= {"PLANT_MODEL_CACHE": str(folder / name / "cache"), **pace.settings}
            regions.append(stack.enter_context(uvicorn(folder / name, **settings)))
        primary, standby = regions
        wait_until_ready(*regions)
        front = stack.enter_context(balancer(folder, "first", primary, standby))
        with Load(front.url) as load:
            load.wait_for(lambda answer: answer.is_right, WITHIN_S)
            time.sleep(2)
            before = load.answers[-1]
            died, died_at = time.monotonic(), time.time()
            primary.popen.kill()
            rto_s = load.mended(died, lambda answer: answer.is_right, WITHIN_S)
        # It writes its usage events before it ends.
        standby.terminate(WITHIN_S)
    on_file = {
        event["request_id"]: datetime.fromisoformat(event["time"]).timestamp()
        for path in usage.rglob("*.jsonl")
        for event in map(json.loads, path.read_text().splitlines())
    }
    unbilled = [answer for answer in load.answers if answer.status == 200 and answer.request_id not in on_file]
    return Outcome(
        event="kill -9 of the primary; the balancer turns to the standby",
        rto_s=rto_s,
        design_s=10,
        rpo_s=max((died - answer.at for answer in unbilled), default=0.0),
        requests=len(load.answers),
        lost=load.lost(),
        lost_allowed=CLIENTS,
        seen={
            "the standby serves the same model": before.version == load.answers[-1].version != "",
            "no usage event of the standby is missing": all(answer.at <= died for answer in unbilled),
            "every event on file is of a request that was answered": bool(on_file) and max(on_file.values()) > died_at,
        },
    )


def model(folder: Path, pace: Pace) -> Outcome:
    """A version that is wrong is promoted, noticed by a known photo, and taken back."""
    with bucket() as (_, _, settings), ExitStack() as stack:
        good = bundled()
        command("models", "publish", str(good), "--promote", "stable", settings=settings)
        bad = mislabelled(folder, "mislabelled")
        own = [{"PLANT_MODEL_CACHE": str(folder / name)} for name in ("a", "b")]
        replicas = [stack.enter_context(uvicorn(folder, **settings, **pace.settings, **each)) for each in own]
        wait_until_ready(*replicas)
        front = stack.enter_context(balancer(folder, "round_robin", *replicas))
        with Load(front.url) as load:
            load.wait_for(lambda answer: answer.is_right, WITHIN_S)
            command("models", "publish", str(bad), "--promote", "stable", settings=settings)
            load.wait_for(lambda answer: answer.status == 200 and not answer.is_right, WITHIN_S)
            noticed = time.monotonic()
            command("models", "rollback", settings=settings)
            # Until every replica has read the channel once more, one of them may not have met the bad version yet.
            time.sleep(pace.model_s)
            rto_s = load.mended(noticed, lambda answer: answer.is_right, WITHIN_S)
    versions = [answer.version for answer in load.answers]
    return Outcome(
        event="a version with mixed-up classes is promoted; models rollback",
        rto_s=rto_s,
        design_s=2 * pace.model_s + 5,
        requests=len(load.answers),
        lost=load.lost(),
        lost_allowed=0,
        seen={
            "the bad version was served": "mislabelled" in versions,
            "the version before is served again": versions[-1] == good.name,
        },
    )


def key(folder: Path, pace: Pace) -> Outcome:
    """A key that is in use has leaked: its owner gets another one, and it is taken back."""
    settings = {"PLANT_API_KEYS_URI": str(folder / "keys.json")}
    command("keys", "plan", "starter", settings=settings)
    leaked = json.loads(
        command("keys", "create", "Drill", "--plan", "starter", "--scope", "predict", "--json", settings=settings)
    )
    with uvicorn(folder, PLANT_AUTH="required", **settings, **pace.settings) as service:
        wait_until_ready(service)
        with Load(service.url, {"X-API-Key": leaked["key"]}) as load:
            load.wait_for(lambda answer: answer.is_right, WITHIN_S)
            revoked = time.monotonic()
            rotated = json.loads(command("keys", "rotate", leaked["id"], "--json", settings=settings))
            command("keys", "revoke", leaked["id"], settings=settings)
            rto_s = load.mended(revoked, lambda answer: answer.status == 401, WITHIN_S)
        with Load(service.url, {"X-API-Key": rotated["key"]}) as owner:
            owner.mended(time.monotonic(), lambda answer: answer.is_right, WITHIN_S)
    return Outcome(
        event="a key in use has leaked; keys rotate, keys revoke",
        rto_s=rto_s,
        design_s=2 * pace.keys_s + 5,
        requests=len(load.answers) + len(owner.answers),
        lost=load.lost(frozenset({200, 401})) + owner.lost(),
        lost_allowed=0,
        seen={
            "the leaked key is refused": load.answers[-1].status == 401,
            "the key in its place works": owner.answers[-1].is_right,
        },
    )


def models_bucket(folder: Path, pace: Pace) -> Outcome:
    """Everything in the bucket of the models is deleted, and brought back from its versions."""
    with bucket() as (s3, name, settings), ExitStack() as stack:
        command("models", "publish", str(bundled()), "--promote", "stable", settings=settings)
        channel = s3.get_object(Bucket=name, Key="channels/stable.json")["Body"].read()
        settings |= pace.settings
        service = stack.enter_context(uvicorn(folder, **settings, PLANT_MODEL_CACHE=str(folder / "old")))
        wait_until_ready(service)
        with Load(service.url) as load:
            load.wait_for(lambda answer: answer.is_right, WITHIN_S)
            for item in s3.list_objects_v2(Bucket=name)["Contents"]:
                s3.delete_object(Bucket=name, Key=item["Key"])
            processes.wait_for(lambda: "the channel cannot be followed" in service.log(), WITHIN_S)
            serves_on = is_ready(service)
            fresh = stack.enter_context(uvicorn(folder, **settings, PLANT_MODEL_CACHE=str(folder / "new")))
            refused_not_dead = not becomes_ready(fresh, 2 * pace.retry_s) and fresh.popen.poll() is None
            restored = time.monotonic()
            for marker in s3.list_object_versions(Bucket=name)["DeleteMarkers"]:
                s3.delete_object(Bucket=name, Key=marker["Key"], VersionId=marker["VersionId"])
            wait_until_ready(fresh)
            rto_s = time.monotonic() - restored
        same = s3.get_object(Bucket=name, Key="channels/stable.json")["Body"].read() == channel
    return Outcome(
        event="every object is deleted; the delete markers are taken away",
        rto_s=rto_s,
        design_s=pace.retry_s + 10,
        requests=len(load.answers),
        lost=load.lost(),
        lost_allowed=0,
        seen={
            "what runs serves on from memory": serves_on,
            "what starts without a model answers 503 and lives": refused_not_dead,
            "the channel is what it was": same,
        },
    )


def image(folder: Path, pace: Pace) -> Outcome:
    """One new version never becomes ready; another one does, and fails. Traffic goes back to the old one."""
    (folder / "empty").mkdir()
    with ExitStack() as stack:
        old = stack.enter_context(uvicorn(folder, **pace.settings))
        wait_until_ready(old)
        front = stack.enter_context(balancer(folder, "first", old))
        with Load(front.url) as load:
            load.wait_for(lambda answer: answer.is_right, WITHIN_S)
            broken = {"PLANT_MODEL_URI": str(folder / "empty"), "PLANT_MODEL_CACHE": str(folder / "cache")}
            with uvicorn(folder, **pace.settings, **broken) as never:
                says_ready = becomes_ready(never, 2 * pace.retry_s)
            lost_before = load.lost()
            # Ready, but nobody gets in: a version whose secret was forgotten.
            failing = stack.enter_context(uvicorn(folder, PLANT_AUTH="required", **pace.settings))
            ready = becomes_ready(failing, WITHIN_S)
            front.share("weighted_round_robin 9 1", old, failing)
            load.wait_for(lambda answer: answer.status != 200, WITHIN_S)
            noticed = time.monotonic()
            front.share("first", old)
            rto_s = load.mended(noticed, lambda answer: answer.is_right, WITHIN_S)
    return Outcome(
        event="a version is never ready; a canary of 10 % fails; traffic back",
        rto_s=rto_s,
        design_s=60,
        requests=len(load.answers),
        lost=load.lost(),
        lost_allowed=None,
        seen={
            "a version without a model never says that it is ready": not says_ready,
            "no request was lost meanwhile": lost_before == 0,
            "the canary was ready": ready,
        },
    )


SCENARIOS: dict[str, Callable[[Path, Pace], Outcome]] = {
    "region": region,
    "model": model,
    "image": image,
    "key": key,
    "bucket": models_bucket,
}
