"""The RayJob of a bulk run: pods are valid and hardened, the command exists, versions agree. No cluster is asked."""

import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from packaging.requirements import Requirement

from tests.test_documents import check_plant_disease
from tests.test_kubernetes import VERSIONS, read
from tools.manifests import KUBERNETES, kustomize

Manifest = dict[str, Any]

FOLDER = KUBERNETES / "bulk"


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    return {manifest["kind"]: manifest for manifest in read(kustomize(FOLDER))}


@pytest.fixture(scope="module")
def job(manifests: dict[str, Manifest]) -> Manifest:
    spec: Manifest = manifests["RayJob"]["spec"]
    return spec


@pytest.fixture(scope="module")
def pods(job: Manifest) -> dict[str, Manifest]:
    """What becomes a pod, by its name."""
    cluster = job["rayClusterSpec"]
    workers = {group["groupName"]: group["template"]["spec"] for group in cluster["workerGroupSpecs"]}
    head = cluster["headGroupSpec"]["template"]["spec"]
    return {"submitter": job["submitterPodTemplate"]["spec"], "head": head, **workers}


@pytest.mark.parametrize("version", VERSIONS)
def test_schemas(manifests: dict[str, Manifest], pods: dict[str, Manifest], version: str) -> None:
    # The schema of a RayJob itself is the operator's.
    for kind, manifest in manifests.items():
        if kind != "RayJob":
            kubernetes_validate.validate(manifest, version, strict=True)
    for name, spec in pods.items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        kubernetes_validate.validate(pod, version, strict=True)


def test_pods_keep_to_the_restricted_standard(manifests: dict[str, Manifest], pods: dict[str, Manifest]) -> None:
    labels = manifests["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), name


def test_the_command(job: Manifest) -> None:
    words = shlex.split(job["entrypoint"])
    assert words[0] == "plant-disease"
    assert check_plant_disease(words[1:]) is None
    options = dict(itertools.pairwise(words))
    (group,) = job["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    of_a_pod = int(container["resources"]["limits"]["cpu"])
    assert int(options["--workers"]) * int(options["--cpus"]) == group["maxReplicas"] * of_a_pod
    # The driver is there; a worker there would be one more thing that can take it down.
    assert job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_versions_agree(job: Manifest, pods: dict[str, Manifest]) -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    version = job["rayClusterSpec"]["rayVersion"]
    assert f"FROM rayproject/ray:{version}-py311-cpu" in dockerfile
    assert f'"ray[data]=={version}"' in dockerfile
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    (extra,) = re.findall(r'"(ray\[data\][^"]*)"', project)
    assert Requirement(extra).specifier.contains(version)
    assert {container["image"] for pod in pods.values() for container in pod["containers"]} == {"plant-disease/bulk"}
