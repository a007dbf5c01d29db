"""Start-up counts: nothing heavy is imported before it is needed, and arrows between layers point down only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = [
    "torch",
    "torchvision",
    "boto3",
    "botocore",
    "google.cloud",
    "onnxruntime",
    "onnx",
    "typer",
    "rich",
    "tenacity",
]
PACKAGE = Path(__file__).parent.parent / "shared" / "plant_disease"


@pytest.mark.parametrize(
    "module", ["plant_disease", "functions.predict.main", "plant_disease.storage", "plant_disease.classifier"]
)
def test_nothing_heavy_is_imported(module: str) -> None:
    program = f"import sys; before = set(sys.modules); import {module}; new = set(sys.modules) - before"
    program += f"; print(*new.intersection({HEAVY!r}))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert loaded == []


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_knows_no_http(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0]
    imported = imports_of(path)
    if layer != "service":
        assert not {name for name in imported if name.split(".")[0] in ("fastapi", "starlette", "mangum")}
    if layer not in ("service", "cli"):
        above = ("plant_disease.service", "plant_disease.cli", "functions")
        assert not {name for name in imported if name.startswith(above)}
