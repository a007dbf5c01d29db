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
    "google.auth",
    "requests",
    "cryptography",
    "onnxruntime",
    "onnx",
    "typer",
    "rich",
    "tenacity",
    "limits",
    "redis",
    "prometheus_client",
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "ray",
    "pyarrow",
]
PACKAGE = Path(__file__).parent.parent / "shared" / "plant_disease"


@pytest.mark.parametrize(
    "module",
    [
        "plant_disease",
        "functions.predict.main",
        "functions.explain.main",
        "functions.batch.main",
        "plant_disease.storage",
        "plant_disease.classifier",
        "plant_disease.explanation.explainer",
    ],
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
            whole = node.module == "plant_disease"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} if whole else {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


# Lower may not import higher, nor its like beside it.
RANK = {
    **dict.fromkeys(["errors", "cpu", "loading", "advice", "plans"], 0),
    **dict.fromkeys(["containers", "storage", "manifest", "architectures", "tables"], 1),
    **dict.fromkeys(["images", "bundle", "archives", "usage"], 2),
    **dict.fromkeys(["runtimes", "publishing", "keys"], 3),
    **dict.fromkeys(["classifier", "settings"], 4),
    **dict.fromkeys(["explanation", "batch", "jobs"], 5),
    **dict.fromkeys(["bulk", "service", "training"], 6),
    "cli": 7,
}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_down_only(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports_of(path):
        head, *rest = name.split(".")
        if head in ("fastapi", "starlette", "mangum"):
            assert layer == "service", f"{layer} knows of HTTP"
        if head == "functions":
            assert layer == "cli"
        if head == "plant_disease" and rest and rest[0] != layer:
            assert RANK.get(rest[0], 0) < RANK[layer], f"{layer} imports {rest[0]}"
