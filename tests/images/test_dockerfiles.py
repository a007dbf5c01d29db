"""What can be said of the images without a Docker engine."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.functions.processes import BIN, ROOT
from tools.dockerfiles import FUNCTIONS, TORCH, dockerfile

REQUIREMENTS = FUNCTIONS / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("function", TORCH)
def test_dockerfiles_are_one(function: str) -> None:
    text = (FUNCTIONS / function / "Dockerfile").read_text()
    assert text == dockerfile(function), "run: python tools/dockerfiles.py"


def test_every_function_has_one() -> None:
    assert {path.parent.name for path in FUNCTIONS.glob("*/main.py")} == set(TORCH)


@pytest.mark.parametrize(
    "path", [*FUNCTIONS.glob("*/Dockerfile"), ROOT / "benchmarks/usual/Dockerfile"], ids=lambda path: path.parent.name
)
def test_lint(path: Path) -> None:
    linted = subprocess.run([BIN / "hadolint", path], check=False, capture_output=True, text=True, cwd=ROOT)
    assert linted.returncode == 0, linted.stdout


def test_what_builds_and_serves_is_python_slim_without_root() -> None:
    stages = re.split(r"^FROM ", dockerfile("predict"), flags=re.MULTILINE)
    assert "ARG PYTHON=python:3.11-slim\n" in stages[0]
    last = stages[-1]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE), "a number: Kubernetes cannot look up names"
    assert "\nRUN " not in last, "nothing is done as root in what is shipped"
    assert "\nHEALTHCHECK " in last
    assert "curl" not in last
    assert not re.search("amd64|x86_64|--platform", dockerfile("predict")), "Graviton must do"


# Locks


def locked(name: str) -> dict[str, list[Requirement]]:
    """The pins of a lock, and that each has a hash."""
    pins: dict[str, list[Requirement]] = {}
    for entry in re.split(r"\n(?=[a-z0-9])", (REQUIREMENTS / name).read_text()):
        lines = [line.strip(" \\") for line in entry.splitlines() if line.strip() and not line.strip().startswith("#")]
        if lines:
            requirement = Requirement(lines[0])
            assert len(lines) > 1, f"{requirement} has no hash"
            assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", line) for line in lines[1:])
            assert [each.operator for each in requirement.specifier] == ["=="]
            pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


def asked_for(extra: str | None = None) -> list[Requirement]:
    """What pyproject.toml asks for, the extras that an extra consists of included."""
    texts = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    requirements = []
    for requirement in map(Requirement, texts):
        if requirement.name == PROJECT["name"]:
            requirements += [each for name in requirement.extras for each in asked_for(name)]
        else:
            requirements.append(requirement)
    return requirements


def test_the_lock_is_what_the_project_asks_for() -> None:
    pins = locked("service.txt")
    asked = [*asked_for(), *asked_for("container")]
    for requirement in asked:
        assert canonicalize_name(requirement.name) in pins, f"{requirement.name} is not locked: make lock"
        for pin in pins[canonicalize_name(requirement.name)]:
            (version,) = (each.version for each in pin.specifier)
            assert requirement.specifier.contains(version), f"{requirement} is not met by {version}: make lock"
    # Each pin says what has asked for it.
    entries = re.split(r"\n(?=[a-z0-9])", (REQUIREMENTS / "service.txt").read_text())
    ours = {canonicalize_name(Requirement(each.split(" \\")[0]).name) for each in entries if PROJECT["name"] in each}
    assert ours == {canonicalize_name(each.name) for each in asked}, "something is asked for no more: make lock"


def test_torch_is_the_same_everywhere() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name, variable in {"torch": "TORCH", "torchvision": "TORCHVISION"}.items():
        (version,) = re.findall(rf"^{variable} \?= (\S+)$", makefile, re.MULTILINE)
        assert f"{name}=={version}\n" in (REQUIREMENTS / "torch.in").read_text()
        assert str(locked("torch-cuda.txt")[name][0]) == f"{name}=={version}"
        cpu = {"torch": "torch-cpu-wheel.txt", "torchvision": "torch-cpu.txt"}[name]
        assert str(locked(cpu)[name][0]).removesuffix("+cpu") == f"{name}=={version}"


def test_what_torch_needs_does_not_replace_what_the_service_has() -> None:
    assert not set(locked("service.txt")) & (set(locked("torch-cpu.txt")) | set(locked("torch-cuda.txt")))


# Compose


def test_compose_keeps_every_container_small_and_powerless() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name not in ("prepare", "plant-disease"):
            assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
            assert service["restart"] == "unless-stopped", name
        image = service["image"]
        assert image.startswith("${PLANT_IMAGES") or re.search(r":v?\d+\.?\d*", image), f"{image} has no version"


def test_compose_mounts_what_there_is() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    missing = [
        path
        for path in (mount.split(":")[0] for mount in mounts if mount.startswith("./"))
        if not (ROOT / path).exists()
    ]
    assert missing == []
