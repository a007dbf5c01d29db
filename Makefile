# make run   set everything up and serve on http://127.0.0.1:8000
# make test  set everything up and run the whole suite
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV ?= .venv
HOST = 127.0.0.1
PORT = 8000

# A plain `pip install torch` takes gigabytes of CUDA packages on Linux, so torch comes first and by itself:
# from a local wheel folder where pip is configured with one, or else from the PyTorch project's CPU index.
TORCH ?= 2.13.0
TORCHVISION ?= 0.28.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := $(VENV)/bin
CHROMIUM := $(if $(wildcard /usr/bin/chromium),,$(VENV)/chromium/chromium)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Readies providers for terraform where its registry is out of reach.
TERRAFORM_SETUP ?= $(if $(wildcard ../shared/tools),../shared/tools/terraform-offline/setup && ../shared/tools/terraform-aws/tf version,true)

# For `docker build`, such as --network=host, or --build-context wheels=FOLDER with a wheel of torch.
DOCKER_BUILD_ARGS ?=
IMAGES := predict batch explain

.PHONY: help run test test-monitoring test-pubsub test-terraform lint format bench bench-parts train-env clean lock images test-images sbom screenshots

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.serve ## Set everything up and serve on http://127.0.0.1:8000 (HOST, PORT)
	$(BIN)/plant-disease serve --host $(HOST) --port $(PORT)

test: $(VENV)/.dev ## Set everything up and run the whole test suite (ARGS="-k images")
	$(BIN)/python -m pytest $(ARGS)

test-monitoring: $(VENV)/.dev ## Run the tests that need Prometheus and Alertmanager (docs/monitoring.md)
	$(BIN)/python -m pytest -m monitoring $(ARGS)

test-pubsub: $(VENV)/.dev ## Run the tests that need the Pub/Sub emulator: gcloud with it, and Java (docs/jobs.md)
	$(BIN)/python -m pytest -m pubsub $(ARGS)

test-terraform: $(VENV)/.dev $(VENV)/.terraform ## Run the tests that need terraform (terraform/README.md)
	{ $(TERRAFORM_SETUP); } > /dev/null
	$(BIN)/python -m pytest -m terraform $(ARGS)

lint: $(VENV)/.dev ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev build/peers/.ready ## Measure the speed in turns, beside others: docs/performance/report.md (ARGS="--quick --only engine")
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-parts: $(VENV)/.dev ## Run the benchmarks of single parts, which other documents quote
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python benchmarks/precision.py
	$(BIN)/python benchmarks/explain.py
	$(BIN)/python benchmarks/batch.py
	$(BIN)/python benchmarks/rate_limits.py
	$(BIN)/python benchmarks/metering.py
	$(BIN)/python benchmarks/telemetry.py
	$(BIN)/python benchmarks/resources.py

# LitServe and BentoML pin what they like, so they have an environment of their own.
build/peers/.ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

lock: $(VENV)/.dev ## Lock the newest versions that the images may have (ARGS= keeps what still fits)
	PATH="$(abspath $(BIN)):$$PATH" tools/lock.sh $(if $(filter undefined,$(origin ARGS)),--upgrade,$(ARGS))

# Lambda takes images for one platform, and no index with a provenance beside the image, which BuildKit makes by default.
images: ## Build the container images, one after the other
	for image in $(IMAGES); do \
		docker build --platform linux/amd64 --provenance=false $(DOCKER_BUILD_ARGS) --build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' shared/plant_disease/__init__.py)" \
			--build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
			-f functions/$$image/Dockerfile -t plant-disease/$$image .; \
	done

test-images: $(VENV)/.dev ## Run the container images, and all of Compose, as in production (needs make images)
	$(BIN)/python -m pytest -o python_files="check_*.py" tests/images $(ARGS)

sbom: $(VENV)/.dev ## What is in each container image: build/sbom (SPDX)
	mkdir -p build/sbom
	for image in $(IMAGES); do $(BIN)/syft docker:plant-disease/$$image -q -o spdx-json=build/sbom/$$image.spdx.json; done

screenshots: $(VENV)/.dev ## Take the pictures of the page for docs/page/
	$(BIN)/python -m tools.screenshots

train-env: $(VENV)/.train ## Set up what plant-disease train and export need

clean: ## Remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV), half a minute or so ..."
	$(PIP) --editable .
	touch $@

$(VENV)/.torch: | $(BIN)/python
	$(PIP) --no-index --no-deps torch==$(TORCH) 2>/dev/null || $(PIP) --index-url $(TORCH_INDEX) torch==$(TORCH)
	touch $@

$(VENV)/.train: pyproject.toml $(VENV)/.torch
	$(PIP) --editable ".[train]" torch==$(TORCH) torchvision==$(TORCHVISION)
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.torch $(BIN)/aws-lambda-rie $(CHROMIUM)
	@echo "Setting up $(VENV) for development, some minutes ..."
	$(PIP) --editable ".[dev]" torch==$(TORCH) torchvision==$(TORCHVISION)
	touch $@ $(VENV)/.serve $(VENV)/.train

# checkov's dependencies do not go together with ours.
$(VENV)/.terraform: | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/terraform
	$(VENV)/terraform/bin/python -m pip install --quiet --disable-pip-version-check "checkov>=3.2,<4"
	touch $@

# AWS publishes its Lambda Runtime Interface Emulator inside the wheel of aws-sam-cli; only that file is wanted.
RIE_WHEEL := aws-sam-cli==1.170.0
$(BIN)/aws-lambda-rie: | $(BIN)/python
	$(BIN)/python tools/fetch_lambda_emulator.py "$(RIE_WHEEL)" $@

# The browser tests take the installed Chromium. Where there is none, an npm package carries one; browsers that Playwright
# would download come from a host of its own.
$(VENV)/chromium/chromium: | $(BIN)/python
	$(BIN)/python tools/fetch_chromium.py @sparticuz/chromium@153.0.0 $(@D)
