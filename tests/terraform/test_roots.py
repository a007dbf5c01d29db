"""Whatever can be applied, with each version of the providers that versions.tf admits."""

import subprocess
from pathlib import Path

import pytest

from tests.terraform.terraform import PROVIDERS, ROOT, Copy, policy_failures, roots
from tools import terraform_docs

needs_terraform = pytest.mark.terraform


@needs_terraform
def test_the_code_is_formatted() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", ROOT / "terraform"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_terraform
@pytest.mark.parametrize("providers", PROVIDERS)
def test_every_root_is_valid_and_keeps_its_promises(
    providers: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The promises are in the *.tftest.hcl files beside each root."""
    copy = Copy.make(tmp_path, providers)
    # Where the provider is real, the examples' own configuration of it is checked: it asks who it is.
    environment = request.getfixturevalue("aws") if providers == "aws 5" else {}
    for root in roots(PROVIDERS[providers][0]):
        copy.init(root)
        copy.run(root, "validate", "-no-color")
        said = copy.run(root, "test", "-no-color", **environment).stdout
        assert "Success! 0 passed" not in said, f"{root} has no test"


@needs_terraform
def test_no_policy_is_broken_without_a_reason() -> None:
    assert [f"{f['check_id']} {f['resource']} {f['file_path']}" for f in policy_failures()] == []


@pytest.mark.parametrize("readme", terraform_docs.readmes(), ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_the_tables_of_variables_and_outputs_are_current(readme: Path) -> None:
    assert terraform_docs.with_tables(readme) == readme.read_text(), "run: python tools/terraform_docs.py"


def test_every_folder_that_can_be_used_has_a_readme() -> None:
    folders = {path.parent for path in (ROOT / "terraform").rglob("variables.tf") if "examples" not in path.parts}
    assert {path.parent for path in terraform_docs.readmes()} == folders
