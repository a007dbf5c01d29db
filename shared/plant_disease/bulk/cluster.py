"""Ray Data hands the shards to workers: on this machine, or on a cluster."""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import ray
import ray.data
import ray.data.exceptions
import ray.exceptions

from plant_disease import errors
from plant_disease.bulk.plan import Done
from plant_disease.bulk.shards import Job, Worker
from plant_disease.cpu import available_cpus
from plant_disease.errors import ConfigurationError, PlantDiseaseError, RuntimeUnavailable

_STORE_BYTES = 128 * 1024 * 1024
"""For Ray's object store on this machine. Between workers go numbers of shards, no photos."""


_KNOCK_S = 10.0


@contextmanager
def connected(address: str | None) -> Iterator[int]:
    """A connection to the cluster at an address, or else one on this machine; gives how many CPUs it has now.

    Raises:
        ConfigurationError: no cluster answers there.
    """
    # Ray tells its makers of each use unless it is told not to, and says on every start that it does.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # It warns of what cannot happen here: that the node of this process goes away, and workers go on without it.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    here = {"num_cpus": available_cpus(), "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    # Where a node dies, Ray says so on standard output, which is the summary's.
    with redirect_stdout(sys.stderr):
        try:
            _knock(address or "")
            ray.init(address or "local", **quiet, **({} if address else here))
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigurationError(f"There is no Ray cluster to connect to at {address}: {error}") from error
        try:
            yield int(ray.cluster_resources().get("CPU", 1))
        finally:
            ray.shutdown()


def has_room(cpus: int, gpus: float) -> bool:
    """Whether there is a node now that is large enough for a worker."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes)


def _knock(address: str) -> None:
    """Raise OSError if nobody listens there: Ray would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _KNOCK_S).close()


def run(job: Job, shards: Sequence[int], *, workers: int, gpus: float) -> Iterator[Done]:
    """Do these shards, and give each once it is done, in any order.

    A shard whose worker or node dies is done again by another.

    Args:
        job: what is done.
        shards: their numbers; at least one.
        workers: how many at most, each with `job.threads` CPUs. Fewer while the cluster has no room for more.
        gpus: for each worker.

    Raises:
        PlantDiseaseError: what a worker could not go on with.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # A block for each shard: what is handed out, and what is done again after a failure, is one shard.
    dataset = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards)).map(
        _Actor,
        fn_constructor_args=(job,),
        # One shard each: to hand out the next takes no time beside doing it, and what waits for a worker that dies, or
        # is slow, would wait for long. Fewer than all may go on: after a node died there is no room for its workers.
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=workers, initial_size=workers, max_tasks_in_flight_per_actor=1
        ),
        num_cpus=job.threads,
        num_gpus=gpus,
    )
    try:
        for row in dataset.iter_rows():
            if row["error"]:
                raise getattr(errors, row["error"])(row["text"])
            yield Done.model_validate_json(row["text"])
    except (ray.exceptions.RayError, ray.data.exceptions.SystemException) as error:
        raise RuntimeUnavailable(f"Ray gave up: {str(error).strip().splitlines()[-1]}") from error


class _Actor:
    """A worker as Ray Data calls it. An error of ours travels as a row: Ray would make another one of it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._worker: Worker | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            self._worker = self._worker or Worker(self._job)
            return {"error": "", "text": self._worker.do(int(row["shard"])).model_dump_json()}
        except PlantDiseaseError as error:
            return {"error": type(error).__name__, "text": str(error)}
