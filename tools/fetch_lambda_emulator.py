"""Take the Lambda Runtime Interface Emulator out of the wheel of aws-sam-cli.

Usage: fetch_lambda_emulator.py REQUIREMENT TARGET
"""

import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def main(requirement: str, target: Path) -> None:
    """Download the wheel without its dependencies and unpack one file of it."""
    member = f"samcli/local/rapid/aws-lambda-rie-{_ARCHITECTURES[platform.machine()]}"
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement]
        subprocess.run(download, check=True)  # noqa: S603
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            target.write_bytes(wheel.read(member))
    target.chmod(0o755)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
