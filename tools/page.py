"""Write into the page's service worker which files are the shell, and their version: after every change of the page.

Usage: python tools/page.py
"""

import hashlib
import json
from pathlib import Path

PAGE = Path(__file__).parent.parent / "static_ui"
WORKER = PAGE / "sw.js"
START, END = "// generated: start\n", "// generated: end\n"

_SHELL = ("index.html", "manifest.webmanifest", "css/*", "js/**/*.js", "icons/icon.svg", "locales/en.json")
_KEPT = (*_SHELL, "locales/*", "examples/*")
"""What the worker may keep: a change of any of these is a new version."""


def files(patterns: tuple[str, ...]) -> list[Path]:
    """The files of the page that fit, in order and each once."""
    return sorted({path for pattern in patterns for path in PAGE.glob(pattern) if path.is_file()})


def with_version(text: str) -> str:
    """The worker, brought up to date."""
    digest = hashlib.sha256()
    for path in files(_KEPT):
        digest.update(f"{path.relative_to(PAGE).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    shell = json.dumps([path.relative_to(PAGE).as_posix() for path in files(_SHELL)], indent=2)
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    # The worker's own logic is part of the version: its file changes with it anyway.
    digest.update((before + after).encode())
    version = f'const VERSION = "{digest.hexdigest()[:12]}";\n'
    return f"{before}{START}{version}const SHELL = {shell};\n{END}{after}"


if __name__ == "__main__":
    WORKER.write_text(with_version(WORKER.read_text()))
