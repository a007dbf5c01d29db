"""The example pipelines: valid, pinned, without secrets, and in agreement with the repository."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.release import FUNCTIONS, variables

ROOT = Path(__file__).parent.parent
PIPELINES = ROOT / "pipelines"
WORKFLOWS = sorted((PIPELINES / "github").glob("*.yml"))
CLOUD_BUILD = PIPELINES / "cloudbuild" / "cloudbuild.yaml"
BIN = Path(sys.executable).parent

LIVE = {name: f"sha256:{number * 64}" for name, number in zip(FUNCTIONS, "123", strict=True)}
NEW = {name: f"sha256:{letter * 64}" for name, letter in zip(FUNCTIONS, "abc", strict=True)}

workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def tool(name: str, *arguments: str | Path) -> None:
    done = subprocess.run([BIN / name, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return found


def test_the_schemas_hold() -> None:
    assert len(WORKFLOWS) == 2
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    tool("check-jsonschema", "--builtin-schema", "vendor.cloudbuild", CLOUD_BUILD)


def test_no_weakness_that_zizmor_knows() -> None:
    tool("zizmor", "--offline", "--no-progress", *WORKFLOWS)


def test_shell_is_sound() -> None:
    tool("shellcheck", PIPELINES / "publish.sh")


@workflows
def test_scripts_in_workflows_are_sound(path: Path, tmp_path: Path) -> None:
    scripts = [step["run"] for job in jobs(path).values() for step in job["steps"] if "run" in step]
    assert scripts
    for number, script in enumerate(scripts):
        assert "${{" not in script, "an expression inside a script can be an injection: pass it by env"
        file = tmp_path / f"{number}.sh"
        file.write_text(f"#!/usr/bin/env bash\n{script}")
        tool("shellcheck", file)


@workflows
def test_actions_are_pinned_by_hash(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for each in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[0-9.]+", each), each


@workflows
def test_jobs_may_no_more_than_they_must(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    for name, job in jobs(path).items():
        allowed = {"contents": "read"} if name == "test" else {"contents": "read", "id-token": "write"}
        assert job["permissions"] == allowed
    assert jobs(path)["release"]["environment"] == "production"


@pytest.mark.parametrize("path", [*WORKFLOWS, CLOUD_BUILD], ids=lambda path: path.stem)
def test_no_long_lived_credentials(path: Path) -> None:
    assert not re.search(
        r"secrets\.|credentials_json|aws-access-key|aws-secret|AWS_SECRET|PRIVATE KEY|password:", path.read_text()
    )


@pytest.mark.parametrize("path", [*WORKFLOWS, CLOUD_BUILD], ids=lambda path: path.stem)
def test_what_is_called_is_there(path: Path) -> None:
    text = path.read_text()
    targets = {target for line in re.findall(r"\bmake ([a-z -]+)", text) for target in line.split()}
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    scripts = set(re.findall(r"\b(?:tools|pipelines)/\w+\.(?:py|sh)\b", text))
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)


@workflows
def test_every_variable_is_documented(path: Path) -> None:
    documented = (PIPELINES / "README.md").read_text()
    assert all(f"`{name}`" in documented for name in re.findall(r"\{ vars\.(\w+)", path.read_text()))


@workflows
def test_a_failed_release_goes_back(path: Path) -> None:
    names = [step.get("name") for step in jobs(path)["release"]["steps"]]
    order = [
        "Apply the plan that was approved",
        "Ask the canary",
        "Shift all traffic",
        "Ask the new release",
        "Back to what was live",
    ]
    assert [name for name in names if name in order] == order
    assert jobs(path)["release"]["steps"][-1]["if"] == "failure() || cancelled()"


def test_a_canary_gets_its_share_and_nothing_else_changes() -> None:
    base = {"functions": {"predict": {"cpu": 2}}, "domain": "plants.example.com"}
    made = variables("canary", base, LIVE, NEW, 10)
    assert made["image_digests"] == LIVE
    assert made["functions"]["predict"] == {"cpu": 2, "canary": {"digest": NEW["predict"], "percent": 10}}
    assert made["functions"]["batch"] == {"canary": {"digest": NEW["batch"], "percent": 10}}
    assert base == {"functions": {"predict": {"cpu": 2}}, "domain": "plants.example.com"}


@pytest.mark.parametrize(("step", "digests"), [("full", NEW), ("back", LIVE)])
def test_without_a_canary_one_set_of_images_is_left(step: str, digests: dict[str, str]) -> None:
    base = {"functions": {"predict": {"cpu": 2, "canary": {"digest": NEW["predict"], "percent": 50}}}}
    made = variables(step, base, LIVE, NEW, 10)
    assert made == {"functions": {"predict": {"cpu": 2}, "batch": {}, "explain": {}}, "image_digests": digests}


@pytest.mark.parametrize(
    ("live", "percent", "said"),
    [
        ({"predict": LIVE["predict"]}, 10, "digest"),
        ({**LIVE, "batch": "latest"}, 10, "digest"),
        (LIVE, 0, "percentage"),
        (LIVE, 100, "percentage"),
    ],
)
def test_what_cannot_be_released(live: dict[str, str], percent: int, said: str, tmp_path: Path) -> None:
    for name, content in (("base", {}), ("live", live), ("new", NEW)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = [part for name in ("base", "live", "new") for part in (f"--{name}", str(tmp_path / f"{name}.json"))]
    command = [sys.executable, str(PIPELINES / "release.py"), "canary", *files, "--percent", str(percent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stdout == ""
