"""Write the Kubernetes manifests that are made from others: python tools/manifests.py.

deployment.yaml is kubernetes/base as one file, for those who have no kustomize; the operator's rules are those of
monitoring/rules.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "kubernetes"
DEPLOYMENT = KUBERNETES / "deployment.yaml"
RULES = KUBERNETES / "components/monitoring/rules.yaml"

_NOTE = "# Written by `python tools/manifests.py` from {source}. Do not edit it.\n"


def kustomize(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder.

    Raises:
        CalledProcessError: it cannot be built; the message is on standard error.
    """
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or "kubectl"
    return subprocess.run([kubectl, "kustomize", folder], check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own command


def deployment() -> str:
    """All of kubernetes/base."""
    return _NOTE.format(source="kubernetes/base") + kustomize(KUBERNETES / "base")


def rules() -> str:
    """The rules of Prometheus as an object of its operator."""
    # Groups of one object need names of their own.
    groups = [
        {**group, "name": f"{group['name']}-{path.stem}"}
        for path in sorted((ROOT / "monitoring/rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "plant-disease"},
        "spec": {"groups": groups},
    }
    return _NOTE.format(source="monitoring/rules") + yaml.safe_dump(document, sort_keys=False, width=120)


if __name__ == "__main__":
    RULES.write_text(rules())
    DEPLOYMENT.write_text(deployment())
