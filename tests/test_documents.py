"""The documents name nothing that does not exist: links, commands, options, files, variables.

Commands are what stands in blocks of shell.
"""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from plant_disease.cli import app
from plant_disease.settings import Settings
from tests.terraform.terraform import Copy

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "terraform/**/README.md", "pipelines/README.md")
    for path in ROOT.glob(pattern)
    if ".terraform" not in path.parts
)
SHELLS = ("sh", "bash", "shell", "console")
COMPOSE_VALUED = ("--scale", "--profile", "--entrypoint", "--env-file", "-f", "-p", "-e")
"""Options of `docker compose` that take a value."""

WRITTEN_BY_THE_READER = {"recipes/mine.toml"}

MAKE = re.compile(r"(?:^|[;&|(`]\s*|\bthen )make((?: +(?:[A-Z_]+=\S*|[\w./-]+))+)")
SETTING = re.compile(r"\bPLANT_[A-Z0-9_]+\b")


def text(document: str) -> str:
    return (ROOT / document).read_text()


def blocks(markdown: str) -> Iterator[str]:
    """What stands in blocks of shell, with continued lines joined; of a console, the lines after `$ `."""
    for language, body in re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", markdown, flags=re.MULTILINE | re.DOTALL):
        if language in SHELLS:
            joined = re.sub(r"\\\n\s*", " ", body)
            lines = joined.splitlines()
            yield "\n".join(line[2:] for line in lines if line.startswith("$ ")) if language == "console" else joined


def spans(markdown: str) -> Iterator[str]:
    """What stands between backticks in a line."""
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^ *```.*?^ *```", "", markdown, flags=re.M | re.S))


def shell_commands(block: str) -> Iterator[list[str]]:
    """The words of each command, without the variables that are set before it."""
    lexer = shlex.shlex(block.replace("\n", " ; "), posix=True, punctuation_chars="();<>|&")
    # A comment ends its line, so it is taken away before lines become one.
    lexer.commenters = ""
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            while words and re.match(r"^[A-Za-z_]+=|^(do|then|if|while|!|exec|sudo)$", words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(word)


def commands(document: str) -> Iterator[list[str]]:
    for block in blocks(text(document)):
        bare = "\n".join(re.sub(r"(^|\s)#\s.*$", "", line) for line in block.splitlines())
        try:
            yield from shell_commands(bare)
        except ValueError as error:
            pytest.fail(f"{document}: {error} in {bare}")


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(document: Path) -> set[str]:
    markdown = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#{1,6} (.+)$", markdown, flags=re.MULTILINE)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    here = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text(document)):
        path, _, anchor = "".join(target).partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        to = (here.parent / path) if path else here
        assert to.exists(), f"{document}: {path} does not exist"
        if anchor and to.suffix == ".md":
            assert anchor in anchors(to), f"{document}: {path or document} has no heading #{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE)) | {".venv/.dev"}
    named = [match for block in [*blocks(text(document)), *spans(text(document))] for match in MAKE.findall(block)]
    for words in named:
        assert {word for word in words.split() if "=" not in word} <= targets, f"{document}: make{words}"


def check_plant_disease(arguments: list[str]) -> str | None:
    """What is wrong with arguments of `plant-disease`."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if "|" in name or name in ("…", "..."):
            return None
        found = command.commands.get(name)
        if found is None:
            return f"there is no command {name}"
        command = found
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if word.startswith("--") and word.partition("=")[0] not in options | {"--help"}:
            return f"{command.name} has no option {word}"
    return None


def after_plant_disease(words: list[str]) -> list[str] | None:
    """The arguments of `plant-disease`, however it is started."""
    for index, word in enumerate(words):
        if word == "plant-disease" or word.endswith("/plant-disease"):
            is_program = index == 0 or (words[:2] == ["docker", "compose"] and "run" in words[:index])
            if is_program and "--entrypoint" not in words[:index]:
                return words[index + 1 :]
        if word == "plant_disease.cli" and words[index - 1] == "-m":
            return words[index + 1 :]
    return None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_plant_disease_knows_its_commands(document: str) -> None:
    inline = [span.split() for span in spans(text(document)) if re.match(r"plant-disease [a-z]", span)]
    for words in [*commands(document), *inline]:
        arguments = after_plant_disease(words)
        if arguments:
            wrong = check_plant_disease(arguments)
            assert not wrong, f"{document}: {' '.join(words)}: {wrong}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_scripts_and_files_exist(document: str) -> None:
    for words in [*commands(document), *(span.split() for span in spans(text(document)))]:
        if re.search(r"(^|/)python(3(\.\d+)?)?$", words[0]) and len(words) > 1:
            if words[1].endswith(".py") and "/" in words[1]:
                assert (ROOT / words[1]).is_file(), f"{document}: {words[1]}"
            elif words[1] == "-m" and words[2].startswith("tools."):
                module = ROOT / words[2].replace(".", "/")
                assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), f"{document}: {words}"
        for word in words:
            path = word.removeprefix("image=@").removeprefix("./").rstrip("/,")
            if path in WRITTEN_BY_THE_READER or "/X/" in path:
                continue
            if re.match(
                r"^(tests|docs|kubernetes|nginx|monitoring|functions|tools|benchmarks|recipes)/[\w./-]+$", path
            ):
                assert (ROOT / path).exists(), f"{document}: {path} does not exist"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_settings_exist(document: str) -> None:
    known = {f"PLANT_{name.upper()}" for name in Settings.model_fields}
    # Of compose.yaml, and of the tests.
    known |= set(SETTING.findall((ROOT / "compose.yaml").read_text())) | {"PLANT_TEST_DATA"}
    for block in [*blocks(text(document)), *spans(text(document))]:
        for name in SETTING.findall(block):
            if not name.endswith("_"):
                assert name in known, f"{document}: {name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_compose_services_exist(document: str) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    profiles = {profile for service in compose["services"].values() for profile in service.get("profiles", ())}
    for words in commands(document):
        if words[:2] != ["docker", "compose"]:
            continue
        for option, value in pairwise(words):
            if option == "--profile":
                assert value in profiles, f"{document}: {' '.join(words)}: there is no profile {value}"
            if option == "--scale":
                assert value.partition("=")[0] in compose["services"], f"{document}: {' '.join(words)}"
        verbs = ("up", "run", "exec", "logs", "restart", "ps", "stop", "pull", "build")
        verb = next((index for index, word in enumerate(words) if word in verbs), None)
        if verb is None:
            continue
        rest = iter(words[verb + 1 :])
        for word in rest:
            if word in COMPOSE_VALUED:
                next(rest, None)
            elif not word.startswith("-"):
                assert word in compose["services"], f"{document}: {' '.join(words)}: there is no service {word}"
                if words[verb] in ("run", "exec"):
                    break


@pytest.mark.parametrize("document", DOCUMENTS)
def test_terraform_roots_and_variables_exist(document: str) -> None:
    for words in commands(document):
        if words[0] != "terraform":
            continue
        folder = next((word.removeprefix("-chdir=") for word in words if word.startswith("-chdir=")), None)
        if folder is None or "$" in folder:
            continue
        root = ROOT / folder
        assert list(root.glob("*.tf")), f"{document}: {folder} is no root of Terraform"
        declared = set(
            re.findall(r'^variable "(\w+)"', "\n".join(p.read_text() for p in root.glob("*.tf")), flags=re.M)
        )
        outputs = set(re.findall(r'^output "(\w+)"', "\n".join(p.read_text() for p in root.glob("*.tf")), flags=re.M))
        for option, value in pairwise(words):
            if option == "-var":
                assert value.partition("=")[0] in declared, f"{document}: {folder} has no variable {value}"
            if option in ("-raw", "-json") and not value.startswith("-"):
                assert value in outputs, f"{document}: {folder} has no output {value}"


def test_a_command_that_does_not_exist_is_found() -> None:
    assert check_plant_disease(["models", "undo"]) == "there is no command undo"
    assert check_plant_disease(["models", "rollback", "--now"]) == "rollback has no option --now"
    assert check_plant_disease(["models", "rollback", "--channel", "beta"]) is None
    assert list(shell_commands("A=b plant-disease keys list | jq .; make x")) == [
        ["plant-disease", "keys", "list"],
        ["jq", "."],
        ["make", "x"],
    ]
    assert slug("Where `models` come from, and how?") == "where-models-come-from-and-how"


QUOTED = {
    "gcp": {
        r"backend-services (?:describe|remove-backend) (\S+)": ("google_compute_backend_service", "name"),
        r"--network-endpoint-group=(\S+)": ("google_compute_region_network_endpoint_group", "name"),
        r"run (?:services (?:describe|update-traffic) |revisions list --service=)(\S+)": (
            "google_cloud_run_v2_service",
            "name",
        ),
        r"--secret=(plant\S+)|secrets versions add (plant\S+)": ("google_secret_manager_secret", "secret_id"),
        r"certificates describe (\S+)": ("google_certificate_manager_certificate", "name"),
        r"maps entries update (\S+)": ("google_certificate_manager_certificate_map_entry", "name"),
        r"--map=(\S+)": ("google_certificate_manager_certificate_map", "name"),
    },
    "aws": {
        r"--function-name (\S+)": ("aws_lambda_function", "function_name"),
        r"\b(plant-disease-\w+-canary)\b": ("aws_lambda_function", "function_name"),
        r"s3://(\$STANDBY_PREFIX-\w+)": ("aws_s3_bucket", "bucket"),
        r"describe-load-balancers --names (\S+)": ("aws_lb", "name"),
    },
}
"""Where documents quote the name of a resource, and which type of resource has it in which attribute."""

PLANNED = {
    "gcp": {"project": "plants-481912", "registry": "europe-docker.pkg.dev/plants-481912/plant-disease"},
    "aws": {
        "zone_id": "Z0123456789ABC",
        "registry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease",
        "regions": '["eu-central-1", "eu-west-1"]',
    },
}


@pytest.mark.terraform
@pytest.mark.parametrize(("cloud", "providers"), [("gcp", "google 8"), ("aws", "aws 6")])
def test_resources_have_the_names_that_documents_say(cloud: str, providers: str, tmp_path: Path) -> None:
    copy = Copy.make(tmp_path, providers)
    (tmp_path / "terraform" / cloud / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    digests = {name: f"sha256:{number * 64}" for name, number in (("predict", "1"), ("batch", "2"), ("explain", "3"))}
    variables = {
        "domain": "plants.example.com",
        "image_tag": "1.0.0",
        "image_digests": json.dumps(digests),
        "functions": json.dumps(
            {"predict": {"canary": {"digest": digests["batch"], "percent": 10}}, "batch": {}, "explain": {}}
        ),
        **PLANNED[cloud],
    }
    copy.run(cloud, "init", "-input=false")
    copy.run(cloud, "plan", "-input=false", "-out=p", *(f"-var={name}={value}" for name, value in variables.items()))
    planned = json.loads(copy.run(cloud, "show", "-json", "p").stdout)["resource_changes"]
    for pattern, (kind, attribute) in QUOTED[cloud].items():
        names = {change["change"]["after"].get(attribute) for change in planned if change["type"] == kind}
        quoted = {
            "".join(name).rstrip("`,.)") if isinstance(name, tuple) else name.rstrip("`,.)")
            for document in DOCUMENTS
            for name in re.findall(pattern, text(document))
        }
        assert quoted, f"no document quotes {pattern}"
        named = {name.replace("$STANDBY_PREFIX", "plant-disease-123456789012-eu-west-1") for name in quoted}
        assert named <= names, f"{kind}: {sorted(named - names)} are not among {sorted(names)}"
