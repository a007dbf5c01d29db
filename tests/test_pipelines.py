"""The example pipelines: valid, pinned, without secrets, and in agreement with the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from pipelines.release import FUNCTIONS, variables
from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
from tests.functions import processes
from tests.servers import Answer, ScriptedServer
from tests.terraform.terraform import Copy

ROOT = Path(__file__).parent.parent
PIPELINES = ROOT / "pipelines"
WORKFLOWS = sorted((PIPELINES / "github").glob("*.yml"))
CLOUD_BUILDS = [PIPELINES / "cloudbuild" / f"{name}.yaml" for name in ("cloudbuild", "release")]
BIN = Path(sys.executable).parent

LIVE = {name: f"sha256:{number * 64}" for name, number in zip(FUNCTIONS, "123", strict=True)}
NEW = {name: f"sha256:{letter * 64}" for name, letter in zip(FUNCTIONS, "abc", strict=True)}

workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def tool(name: str, *arguments: str | Path) -> None:
    done = subprocess.run([BIN / name, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def bare(path: Path) -> str:
    """A file without its comments."""
    return re.sub(r"(^|\s)#.*", "", path.read_text())


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return found


def test_the_schemas_hold() -> None:
    assert len(WORKFLOWS) == 2
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    tool("check-jsonschema", "--builtin-schema", "vendor.cloudbuild", *CLOUD_BUILDS)


def test_no_weakness_that_zizmor_knows() -> None:
    tool("zizmor", "--offline", "--no-progress", *WORKFLOWS)


def test_shell_is_sound() -> None:
    tool("shellcheck", *PIPELINES.glob("*.sh"))


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


@pytest.mark.parametrize("path", [*WORKFLOWS, *CLOUD_BUILDS], ids=lambda path: path.stem)
def test_no_long_lived_credentials(path: Path) -> None:
    assert not re.search(
        r"secrets\.|credentials_json|aws-access-key|aws-secret|AWS_SECRET|PRIVATE KEY|password:", path.read_text()
    )


@pytest.mark.parametrize("path", [*WORKFLOWS, *CLOUD_BUILDS], ids=lambda path: path.stem)
def test_what_is_called_is_there(path: Path) -> None:
    text = bare(path)
    targets = {target for line in re.findall(r"\bmake ([a-z -]+)", text) for target in line.split()}
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    scripts = set(re.findall(r"\b(?:tools|pipelines)/\w+\.(?:py|sh)\b", text))
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)


@workflows
def test_every_variable_is_documented(path: Path) -> None:
    documented = (PIPELINES / "README.md").read_text()
    assert all(f"`{name}`" in documented for name in re.findall(r"\{ vars\.(\w+)", path.read_text()))


@pytest.mark.parametrize("path", CLOUD_BUILDS, ids=lambda path: path.stem)
def test_scripts_in_cloud_build_are_sound(path: Path, tmp_path: Path) -> None:
    build = yaml.safe_load(path.read_text())
    given = {"PROJECT_ID", "TAG_NAME", "SERVICE_ACCOUNT_EMAIL", *build["substitutions"]}
    assert set(re.findall(r"(?<!\$)\$(\w+)", path.read_text())) <= given
    scripts = [step for step in build["steps"] if "-euc" in step.get("args", ())]
    assert scripts
    for number, step in enumerate(scripts):
        file = tmp_path / f"{number}.sh"
        file.write_text(f"#!/bin/{step['entrypoint']}\n{step['args'][1].replace('$$', '$')}")
        tool("shellcheck", file)


def test_cloud_build_does_what_github_does() -> None:
    pattern = r"make [a-z ]+[a-z]|publish\.sh|release\.sh \w+"
    github, cloud_build = (
        {made for path in paths for made in re.findall(pattern, bare(path))} for paths in (WORKFLOWS, CLOUD_BUILDS)
    )
    # Nothing runs when a build of Cloud Build is cancelled.
    assert github - {"make images sbom", "release.sh back"} == cloud_build - {"make images", "make sbom"}
    scans = [step for step in yaml.safe_load(CLOUD_BUILDS[0].read_text())["steps"] if "grype" in step["name"]]
    assert [step["args"] for step in scans] == [
        [f"sbom:build/sbom/{name}.spdx.json", "--only-fixed", "--fail-on", "high"] for name in FUNCTIONS
    ]
    for path in WORKFLOWS:
        scans = [step for step in jobs(path)["publish"]["steps"] if "scan-action" in step.get("uses", "")]
        assert [step["with"] for step in scans] == [
            {"sbom": f"build/sbom/{name}.spdx.json", "severity-cutoff": "high", "only-fixed": True}
            for name in FUNCTIONS
        ]


@workflows
def test_a_job_that_was_stopped_goes_back(path: Path) -> None:
    *_, release, last = jobs(path)["release"]["steps"]
    assert last["if"] == "(failure() || cancelled()) && steps.release.outcome != 'skipped'"
    assert release["id"] == "release"
    assert release["run"].endswith("\npipelines/release.sh release\n")
    assert last["run"] == "pipelines/release.sh back"


@workflows
def test_jobs_hand_on_what_the_script_needs(path: Path) -> None:
    asked = re.findall(r"build/[a-z]+\.[\w.]+", (PIPELINES / "release.sh").read_text())
    kept = yaml.safe_load(path.read_text())["jobs"]["plan"]["steps"][-1]["with"]["path"].split()
    assert set(kept) == {"build/canary.tfplan", "build/live.json", "build/terraform.lock.hcl"}
    assert set(kept) | {"build/digests.json"} == set(asked)
    (keep,) = [step for step in yaml.safe_load(CLOUD_BUILDS[0].read_text())["steps"] if step["id"] == "keep"]
    assert {each for each in keep["args"] if each.startswith("build/")} == set(asked)


DOCKER = f"""#!/bin/sh
# In the place of docker and cosign: writes down what it is asked for. The image is known from elsewhere as well.
echo "${{0##*/}} $*" >> "$CALLS"
if [ "$1 $2" = "image inspect" ]; then
    for last; do :; done
    name=${{last%:*}}
    printf 'elsewhere/x@sha256:{"0" * 64}\\n%s@sha256:{"a" * 64}\\n' "$name"
fi
"""


def test_images_are_pushed_and_signed_by_digest(tmp_path: Path) -> None:
    for name in ("docker", "cosign"):
        (tmp_path / name).write_text(DOCKER)
        (tmp_path / name).chmod(0o755)
    settings = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}
    command = [PIPELINES / "publish.sh", "host/plants", "v2", tmp_path / "digests.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "digests.json").read_text()) == dict.fromkeys(FUNCTIONS, f"sha256:{'a' * 64}")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if "predict" in call and "inspect" not in call] == [
        "docker tag plant-disease/predict host/plants/predict:v2",
        "docker push --quiet host/plants/predict:v2",
        f"cosign sign --yes host/plants/predict@sha256:{'a' * 64}",
        "cosign attest --yes --type spdxjson --predicate build/sbom/predict.spdx.json "
        f"host/plants/predict@sha256:{'a' * 64}",
    ]


TERRAFORM = """#!/bin/sh
# In the place of terraform: writes down what it is asked for.
step=$2 root=${1#-chdir=}
echo "$step $*" >> "$CALLS"
case $step in
init) touch "$root/.terraform.lock.hcl" ;;
output) cat "$LIVE" ;;
plan) for last; do :; done; echo planned > "${last#-out=}" ;;
esac
[ "$step" != "$FAILS" ]
"""


class Checkout:
    """What a job has: a copy of the repository's pipelines, with something in the place of terraform."""

    def __init__(self, folder: Path, key: str = "") -> None:
        self.folder = folder
        for name in ("pipelines", "tests/photos"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("tools", "terraform/gcp", "terraform/aws", "build", "bin"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tools" / "smoke.py", folder / "tools")
        (folder / "bin" / "terraform").write_text(TERRAFORM)
        (folder / "bin" / "terraform").chmod(0o755)
        for name, content in (
            ("base.json", {"domain": "plants.example.com"}),
            ("live.json", LIVE),
            ("build/digests.json", NEW),
        ):
            (folder / name).write_text(json.dumps(content))
        self.environment = {
            "PATH": f"{folder / 'bin'}:{BIN}:{os.environ['PATH']}",
            "ROOT": "terraform/gcp",
            "STATE_BUCKET": "states",
            "BASE": "base.json",
            "TAG": "v2",
            "SMOKE_KEY": key,
            "PERCENT": "90",
            "CALLS": str(folder / "calls"),
            "LIVE": str(folder / "live.json"),
            "FAILS": "nothing",
        }

    def run(self, step: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Take one step of a release."""
        command = [self.folder / "pipelines" / "release.sh", step]
        inherited = {name: os.environ[name] for name in ("HOME", "no_proxy", "NO_PROXY") if name in os.environ}
        settings = {**inherited, **self.environment, **environment}
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=settings)

    def calls(self) -> list[str]:
        """What terraform was asked for, in order; of an apply also for which images."""
        made = []
        for line in (self.folder / "calls").read_text().splitlines():
            step, _, arguments = line.partition(" ")
            which = re.search(r"build/(\w+)\.(?:tfvars\.json|tfplan)", arguments)
            made.append(f"{step} {which[1]}" if which else step)
        return made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A service that asks for keys, and a key of it."""
    folder = tmp_path_factory.mktemp("service")
    store = KeyStore(str(folder / "keys.json"))
    keys.define_plan(store, "all", Plan())
    issued = keys.create(store, name="smoke", scopes=["predict", "batch", "explain"], plan="all")
    settings = {"PLANT_AUTH": "required", "PLANT_API_KEYS_URI": str(folder / "keys.json")}
    with processes.serve(folder, **settings) as process:
        yield process.url, issued.text


def test_a_release_takes_its_steps_in_order(service: tuple[str, str], tmp_path: Path) -> None:
    url, key = service
    job = Checkout(tmp_path, key)
    planned = job.run("plan")
    assert planned.returncode == 0, planned.stderr
    assert json.loads((tmp_path / "build" / "canary.tfvars.json").read_text())["image_digests"] == LIVE
    released = job.run("release", URL=url)
    assert released.returncode == 0, released.stderr
    assert released.stdout.count("ok canary_answers\n") == 1
    assert job.calls() == ["init", "output", "plan canary", "init", "apply canary", "init", "apply full"]
    assert json.loads((tmp_path / "build" / "full.tfvars.json").read_text())["image_digests"] == NEW
    assert key not in planned.stdout + planned.stderr + released.stdout + released.stderr


def test_a_canary_that_fails_is_taken_back(tmp_path: Path) -> None:
    job = Checkout(tmp_path, "pd_any")
    assert job.run("plan").returncode == 0
    with ScriptedServer(Answer(200, b'{"status": "ok", "model": "ready"}'), Answer(500)) as server:
        done = job.run("release", URL=server.url)
    assert done.returncode == 1
    assert "Error: smoke failed; back to what was live" in done.stderr
    assert job.calls()[3:] == ["init", "apply canary", "init", "apply back"]
    assert json.loads((tmp_path / "build" / "back.tfvars.json").read_text()) == {
        "functions": {"predict": {}, "batch": {}, "explain": {}},
        "image_digests": LIVE,
    }


def test_what_cannot_be_applied_is_taken_back_and_nobody_is_asked(tmp_path: Path) -> None:
    job = Checkout(tmp_path)
    assert job.run("plan").returncode == 0
    done = job.run("release", URL="http://127.0.0.1:1", FAILS="apply")
    assert done.returncode == 1
    assert "apply failed" in done.stderr
    assert "FAILED" not in done.stderr
    assert job.calls()[3:] == ["init", "apply canary", "init", "apply back"]


def test_nothing_is_planned_before_something_is_live(tmp_path: Path) -> None:
    job = Checkout(tmp_path)
    (tmp_path / "live.json").write_text("{}")
    done = job.run("plan")
    assert done.returncode == 1
    assert "needs a digest" in done.stderr
    assert job.calls() == ["init", "output"]


@pytest.mark.parametrize("cloud", ["gcp", "aws"])
def test_the_state_is_in_the_bucket(cloud: str, tmp_path: Path) -> None:
    job = Checkout(tmp_path)
    assert job.run("plan", ROOT=f"terraform/{cloud}", STATE_REGION="eu-west-1").returncode == 0
    (init,) = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("init")]
    assert init.endswith("-backend-config=bucket=states -backend-config=region=eu-west-1")


def test_a_step_that_is_none(tmp_path: Path) -> None:
    done = Checkout(tmp_path).run("destroy")
    assert done.returncode == 2
    assert "Usage" in done.stderr


ROOT_OF_A_TEST = """
terraform {
  backend "s3" {
    key                         = "plant-disease/terraform.tfstate"
    encrypt                     = true
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
  }
}
variable "domain" { type = string }
variable "image_tag" { type = string }
variable "image_digests" { type = map(string) }
variable "functions" {
  type    = map(object({ canary = optional(object({ digest = string, percent = number })) }))
  default = {}
}
resource "terraform_data" "function" {
  for_each = var.image_digests
  input    = { stable = each.value, canary = try(var.functions[each.key].canary.digest, "none") }
}
output "image_digests" { value = { for key, function in terraform_data.function : key => function.output.stable } }
output "canaries" { value = { for key, function in terraform_data.function : key => function.output.canary } }
"""


@pytest.mark.terraform
def test_terraform_does_it_with_its_state_in_s3(
    service: tuple[str, str], tmp_path: Path, moto_url: str, aws_environment: pytest.MonkeyPatch
) -> None:
    url, key = service
    job = Checkout(tmp_path, key)
    (tmp_path / "bin" / "terraform").unlink()
    root = tmp_path / "terraform" / "aws"
    (root / "main.tf").write_text(ROOT_OF_A_TEST)
    # It needs no provider, so terraform writes none down.
    (root / ".terraform.lock.hcl").touch()
    settings = {
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        "AWS_ENDPOINT_URL_S3": moto_url,
        "ROOT": "terraform/aws",
        "STATE_REGION": "eu-west-1",
        "CHECKPOINT_DISABLE": "1",
    }
    boto3.client("s3", endpoint_url=moto_url).create_bucket(
        Bucket="states", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )

    def live() -> tuple[dict[str, str], set[str]]:
        asked = ["terraform", f"-chdir={root}", "output", "-json"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True, env={**os.environ, **settings})
        outputs = json.loads(done.stdout)
        return outputs["image_digests"]["value"], set(outputs["canaries"]["value"].values())

    # The first apply is made by hand: here by going back to it.
    (tmp_path / "build" / "live.json").write_text(json.dumps(LIVE))
    first = job.run("back", URL=url, **settings)
    assert first.returncode == 0, first.stderr
    assert live() == (LIVE, {"none"})

    planned = job.run("plan", **settings)
    assert planned.returncode == 0, planned.stderr
    assert live() == (LIVE, {"none"})
    assert job.run("apply", **settings).returncode == 0
    assert live() == (LIVE, set(NEW.values()))
    with ScriptedServer(Answer(200, b'{"status": "ok", "model": "ready"}'), Answer(500)) as server:
        assert job.run("shift", URL=server.url, **settings).returncode == 1
    assert live() == (NEW, {"none"})
    assert job.run("back", **settings).returncode == 0
    assert live() == (LIVE, {"none"})

    assert job.run("plan", **settings).returncode == 0
    released = job.run("release", URL=url, **settings)
    assert released.returncode == 0, released.stdout + released.stderr
    assert live() == (NEW, {"none"})


@pytest.mark.parametrize("cloud", ["gcp", "aws"])
def test_terraform_has_what_is_set_and_read(cloud: str) -> None:
    root = "".join(path.read_text() for path in (ROOT / "terraform" / cloud).glob("*.tf"))
    read = re.findall(r"output -json (\w+)", (PIPELINES / "release.sh").read_text())
    assert read == ["image_digests"]
    assert set(read) <= set(re.findall(r'^output "(\w+)"', root, re.MULTILINE))
    declared = dict(re.findall(r'^variable "(\w+)" \{(.*?)^\}', root, re.MULTILINE | re.DOTALL))
    assert {"image_tag", *variables("full", {}, LIVE, NEW, 10)} <= set(declared)
    canary = variables("canary", {}, LIVE, NEW, 10)["functions"]["predict"]["canary"]
    found = re.search(r"canary += optional\(object\(\{ (.*?) \}\)\)", declared["functions"])
    assert found
    assert re.findall(r"(\w+) = \w+", found[1]) == list(canary)
    assert f'backend "{"gcs" if cloud == "gcp" else "s3"}"' in root


@workflows
def test_bootstrap_lets_in_what_the_workflow_runs_on(path: Path) -> None:
    on = yaml.safe_load(path.read_text())[True]
    assert on == {"push": {"tags": ["v*"]}}
    cloud = path.stem.removeprefix("deploy-")
    bootstrap = "".join(file.read_text() for file in (ROOT / "terraform" / cloud / "bootstrap").glob("*.tf"))
    environment = jobs(path)["release"]["environment"]
    assert re.search(rf'variable "environment" \{{[^}}]*default += "{environment}"', bootstrap)
    name, default = {"gcp": ("tags", "v"), "aws": ("ref", "refs/tags/v*")}[cloud]
    assert re.search(rf'variable "{name}" \{{[^}}]*default += "{re.escape(default)}"', bootstrap)


WITHOUT_BUCKET = """#!/bin/bash
# terraform, with the state beside the root.
for argument; do
    [[ $argument == -backend-config=* ]] || arguments+=("$argument")
done
exec "$REAL" "${arguments[@]}"
"""

DEPLOYED = {
    "gcp": {"project": "plants-481912", "registry": "europe-docker.pkg.dev/plants-481912/plant-disease"},
    "aws": {"zone_id": "Z0123456789ABC", "registry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease"},
}


@pytest.mark.terraform
@pytest.mark.parametrize(("cloud", "providers"), [("gcp", "google 8")])
def test_a_root_is_released(cloud: str, providers: str, service: tuple[str, str], tmp_path: Path) -> None:
    """The root itself, with a provider that only simulates what it applies."""
    url, key = service
    copy = Copy.make(tmp_path, providers)
    root = tmp_path / "terraform" / cloud
    (root / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    job = Checkout(tmp_path, key)
    (tmp_path / "bin" / "terraform").write_text(WITHOUT_BUCKET)
    (tmp_path / "base.json").write_text(json.dumps({"domain": "plants.example.com", **DEPLOYED[cloud]}))
    real = shutil.which("terraform")
    assert real
    settings = {"REAL": real, "ROOT": f"terraform/{cloud}", "URL": url}
    settings |= {name: value for name, value in copy.environment.items() if name.startswith(("TF_", "CHECKPOINT_"))}

    def live() -> tuple[dict[str, str], bool]:
        shown = json.loads(copy.run(cloud, "show", "-json").stdout)["values"]
        digests: dict[str, str] = shown["outputs"]["image_digests"]["value"]
        return digests, any(digest in json.dumps(shown["root_module"]) for digest in NEW.values())

    (tmp_path / "build" / "live.json").write_text(json.dumps(LIVE))
    first = job.run("back", **settings)
    assert first.returncode == 0, first.stderr
    assert live() == (LIVE, False)
    planned = job.run("plan", **settings)
    assert planned.returncode == 0, planned.stderr
    assert job.run("apply", **settings).returncode == 0
    assert live() == (LIVE, True)
    assert job.run("back", **settings).returncode == 0
    assert live() == (LIVE, False)
    assert job.run("plan", **settings).returncode == 0
    released = job.run("release", **settings)
    assert released.returncode == 0, released.stderr
    assert live() == (NEW, True)


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
