"""docs/interface.md knows every code of a problem, and no other."""

import ast
import re
from pathlib import Path

from plant_disease.service import problems

ROOT = Path(__file__).parent.parent
SERVICE = Path(problems.__file__).parent


def codes_in_the_source() -> set[str]:
    codes = {"http_error", *problems._HTTP_CODES.values(), *(error.code for error in problems._STATUSES)}
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                code = node.args[1]
                if isinstance(code, ast.Constant):
                    codes.add(code.value)
    return codes


def test_every_code_is_documented() -> None:
    text = (ROOT / "docs/interface.md").read_text()
    table = text[text.index("| status | code |") :]
    documented = set(
        re.findall(r"`([a-z0-9_]+)`", "\n".join(line.split("|")[2] for line in table.splitlines() if "|" in line))
    )
    assert documented | {"http_error"} == codes_in_the_source()


def test_tests_that_are_named_in_the_documents_exist() -> None:
    named = [
        name
        for document in ROOT.glob("docs/*.md")
        for name in re.findall(r"`(tests/[^`]+\.py::[^`]+)`", document.read_text())
    ]
    assert named
    for name in named:
        path, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), name
