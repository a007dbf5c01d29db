"""terraform on a copy of the checkout, so that no lock file, state or .terraform gets into it."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
TOOLS = Path(os.environ.get("TERRAFORM_TOOLS", ROOT / ".venv/terraform/bin"))
"""Where checkov is, in an environment of its own."""

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
PROVIDERS = {
    # The second is the newest version that is simulated; the first is reached by a narrower constraint.
    "google 7": ("gcp", _CACHE / "terraform-offline/terraform.rc", ("< 9.0", "< 8.0")),
    "google 8": ("gcp", _CACHE / "terraform-offline/terraform.rc", None),
    "aws 5": ("aws", _CACHE / "terraform-aws/terraform.rc", ("< 7.0", "< 6.0")),
    "aws 6": ("aws", _CACHE / "terraform-offline/terraform.rc", None),
}
"""Cloud, terraform's configuration (where there is none, terraform asks its registry), and a narrower constraint."""


def roots(cloud: str) -> list[str]:
    """What can be applied: relative to terraform/."""
    folder = ROOT / "terraform"
    found = [folder / cloud, folder / cloud / "bootstrap", *sorted((folder / cloud / "examples").glob("*"))]
    return [path.relative_to(folder).as_posix() for path in found if (path / "main.tf").exists()]


@dataclass(frozen=True)
class Copy:
    """A copy of terraform/ and of what it reads, with one version of one provider."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def make(cls, folder: Path, providers: str) -> "Copy":
        """Copy into an empty folder."""
        _, configuration, narrowed = PROVIDERS[providers]
        ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*")
        for name in ("terraform", "static_ui"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        if narrowed:
            for file in (folder / "terraform").rglob("versions.tf"):
                file.write_text(file.read_text().replace(*narrowed))
        environment = {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        if configuration.exists():
            environment["TF_CLI_CONFIG_FILE"] = str(configuration)
        return cls(folder, environment)

    def run(
        self, root: str, *arguments: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run terraform in terraform/ROOT."""
        done = subprocess.run(
            ["terraform", f"-chdir={self.folder / 'terraform' / root}", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**self.environment, **environment},
        )
        assert done.returncode == 0 or not check, (
            f"terraform {' '.join(arguments)} in {root}\n{done.stdout}{done.stderr}"
        )
        return done

    def init(self, root: str) -> None:
        """Get ready, without a remote state."""
        self.run(root, "init", "-backend=false", "-input=false", "-no-color")


def policy_failures() -> list[dict[str, Any]]:
    """What checkov finds in terraform/ that no comment beside the resource argues away."""
    done = subprocess.run(
        [
            TOOLS / "checkov",
            "-d",
            ROOT / "terraform",
            "--framework",
            "terraform",
            "--skip-download",
            "--quiet",
            "-o",
            "json",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 0, done.stdout + done.stderr
    assert report["summary"]["parsing_errors"] == 0, report["results"]["parsing_errors"]
    failures: list[dict[str, Any]] = report["results"]["failed_checks"]
    return failures
