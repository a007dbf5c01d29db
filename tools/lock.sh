#!/bin/sh
# Lock what the container images install, with hashes: functions/requirements/*.txt. Needs uv on the PATH.
# `tools/lock.sh --upgrade` takes the newest versions that pyproject.toml allows; without it, as few change as possible.
set -eu
cd "$(dirname "$0")/../functions/requirements"

compile() {
	uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header "$@"
}

compile "$@" --universal --extra container ../../pyproject.toml --output-file service.txt
# Of what torch needs, the service has some already.
set -- "$@" --constraints service.txt --no-emit-package numpy --no-emit-package pillow \
	--no-emit-package typing-extensions torch.in
compile "$@" --universal --output-file torch-cuda.txt
# PyPI's torch for Linux wants CUDA, its torch for macOS nothing of the kind: what that needs, the CPU build needs.
# torch itself is in torch-cpu-wheel.txt.
export MACOSX_DEPLOYMENT_TARGET=14.0
compile "$@" --python-platform aarch64-apple-darwin --no-emit-package torch --output-file torch-cpu.txt
