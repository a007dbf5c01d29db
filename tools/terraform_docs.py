"""Write the tables of variables and outputs in the READMEs of terraform/ from the code.

Usage: python tools/terraform_docs.py
"""

import re
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).parent.parent
START, END = "<!-- terraform: start -->", "<!-- terraform: end -->"


def readmes() -> list[Path]:
    """Those with tables."""
    return [path for path in sorted((ROOT / "terraform").rglob("README.md")) if START in path.read_text()]


def with_tables(readme: Path) -> str:
    """The README with its tables brought up to date."""
    before, _, rest = readme.read_text().partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{_tables(readme.parent)}\n{END}{after}"


def _tables(folder: Path) -> str:
    lines = ["| variable | type | default | |", "|---|---|---|---|"]
    for name, variable in _blocks(folder / "variables.tf", "variable"):
        default = f"`{_inline(variable['default'])}`" if "default" in variable else "required"
        lines.append(f"| `{name}` | `{_inline(variable['type'])}` | {default} | {_prose(variable['description'])} |")
    outputs = _blocks(folder / "outputs.tf", "output")
    if outputs:
        lines += ["", "| output | |", "|---|---|"]
        lines += [f"| `{name}` | {_prose(output['description'])} |" for name, output in outputs]
    return "\n".join(lines)


def _blocks(file: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    if not file.exists():
        return []
    blocks = hcl2.loads(file.read_text()).get(kind, [])
    return sorted((name.strip('"'), block) for each in blocks for name, block in each.items())


def _inline(value: Any) -> str:
    """A value or type as HCL on one line that fits into a table."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_inline, value))}]"
        case dict():
            return "{" + ", ".join(f"{key} = {_inline(each)}" for key, each in value.items()) + "}"
    text = re.sub(r"\s+", " ", re.sub(r"^\$\{(.*)\}$", r"\1", str(value), flags=re.DOTALL)).strip()
    return text.replace("|", "\\|")


def _prose(text: str) -> str:
    """A description, which is quoted or stands between <<-EOT and EOT."""
    return re.sub(r"^<<-?(\w+) (.*) \1$", r"\2", _inline(text).strip('"'))


if __name__ == "__main__":
    for readme in readmes():
        readme.write_text(with_tables(readme))
