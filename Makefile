# Everything a developer or a user types; each target says what it does.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
# Four processes more than cores: many tests wait. Files stay together, the long ones begin first.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, os.cpu_count()) + 4)')
ROUNDS ?= 10
N ?= 1e6
ATTACKS ?= 5000
SEED ?= 1
# JSON=benchmarks/results/NAME.json: the file that the tables of the documents are made from.
RESULT = $(if $(JSON),--json $(JSON))
# Where it is set, each process that a test starts compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

help:  ## show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

serve: .venv/serve .venv/kernels  ## set up what is missing and serve the shipped models on http://127.0.0.1:8000
	$(BIN)/timbre serve

test: style .venv/kernels .venv/librosa  ## set up what is missing, then lint, type-check and run the tests
	tools/with-types $(MAKE) --no-print-directory .venv/collected all-tests

# Each process that runs tests compiles all of them, unless that was done before they start.
.venv/collected: $(shell find tests -name '*.py') .venv/dev
	$(BIN)/python -m pytest --collect-only --quiet --quiet >/dev/null || true  # the tests say it again
	touch $@

all-tests:
	$(PYTEST)

check: style .venv/kernels .venv/librosa  ## lint, type-check and run the tests of what changed since main
	tests=$$($(BIN)/python tools/changed-tests) && tools/with-types $(PYTEST) -q $$tests

test-slow: .venv/dev .venv/kernels  ## the tests that take minutes, or sound fonts
	tools/system-packages training cameras
	$(BIN)/python -m pip install --quiet pillow-heif  # GPL: of no other target
	$(BIN)/python -m pytest -m slow

test-loaded: .venv/dev .venv/kernels .venv/librosa  ## the tests ten times (ROUNDS=10) beside two busy processes
	tools/loaded $(ROUNDS) $(PYTEST) -q

fuzz: .venv/dev .venv/kernels  ## a million mutated inputs (N=1e6) for every reader of bytes, and requests from the description; SEED=1
	$(BIN)/python -m tests.fuzz --inputs $(N) --seed $(SEED)
	mkdir -p build/fuzz
	CASES=$(N) SEED=$(SEED) PROGRESS=$(CURDIR)/build/fuzz/requests-$(SEED).json \
		$(BIN)/python -m pytest -m slow tests/service/api_description/test_fuzz.py

chaos: .venv/dev .venv/kernels  ## kill, stop and fill everything, ten times over (ROUNDS=10)
	ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -m "" tests/chaos

attack: .venv/dev .venv/kernels  ## hostile files, streams, headers, artefacts and Redis, 5,000 of each (ATTACKS=5000 SEED=1)
	ATTACKS=$(ATTACKS) SEED=$(SEED) $(BIN)/python -m pytest tests/attack tests/service/api/test_hostile_headers.py

monitoring: .venv/dev .venv/kernels  ## Prometheus reads a live server: every panel of the board, every alert
	tools/system-packages monitoring
	$(BIN)/python -m pytest -m "slow or not slow" tests/deploy

cluster: .venv/dev .venv/kernels  ## as root: nine machines in network namespaces, cut off, slowed down, failed over; a table (JSON=FILE)
	tools/system-packages cluster
	unshare --net $(BIN)/python -m benchmarks.cluster $(RESULT)

upgrade: .venv/dev .venv/kernels  ## old gateways with new workers and the reverse, over Redis; REF= an earlier commit or tag
	tools/system-packages tests
	$(BIN)/python -m benchmarks.cluster.upgrade $(if $(REF),--ref $(REF)) $(RESULT)

container: wheel  ## as root: build the image without a daemon, run it read-only; size, memory, time (JSON=FILE)
	tools/container

zoo: .venv/dev .venv/kernels  ## read sound and picture files of every kind, whole and damaged; counts by outcome
	$(BIN)/python -m tests.zoo

lint: style  ## ruff and mypy --strict
	tools/with-types true

style: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

bench: .venv/dev .venv/kernels .venv/librosa  ## speed beside the alternatives in ten minutes: results, page and tables
	$(BIN)/timbre bench all --short

bench-page: .venv/dev .venv/kernels  ## the page in Chromium: first paint, bytes, frames a second, processor time
	$(BIN)/python tools/page_speed.py

docs: .venv/dev  ## the documentation site in build/site, for any web server or opened as files
	$(BIN)/python tools/docs_site.py
	$(BIN)/python -m zensical build --strict --clean
	$(BIN)/python tools/check_site.py build/site

kernels: .venv/dev  ## compile the kernels that are shipped in features/kernels/compiled, for each processor
	tools/system-packages kernels
	$(BIN)/python tools/build_kernels.py

arm64: .venv/dev  ## the wheel and fast tests (TESTS=) on an emulated aarch64, scores as on this processor (root, Debian; JSON=FILE)
	tools/system-packages arm64
	$(BIN)/python tools/arm64.py $(RESULT)
	$(BIN)/python tools/arm64_tests.py $(RESULT:.json=-tests.json) $(TESTS)

arm-wheels: .venv/serve  ## show that all that serving installs has a wheel for aarch64, at the tested versions
	$(BIN)/python tools/arm_wheels.py

wheel: .venv/dev  ## wheel and source archive in build/package, of which the images are made
	$(BIN)/python tools/package.py --wheel

package: .venv/dev  ## wheel and source archive in build/package, tried in clean environments of each Python
	$(BIN)/python tools/package.py $(PYTHONS) $(RESULT)

release: .venv/dev  ## refuse base images without a digest (tools/pin_images.py), then package and container
	$(BIN)/python tools/pin_images.py --check
	$(MAKE) --no-print-directory package container

train: .venv/dev  ## train the shipped models anew (about an hour; TIMBRE_DATA names the folder of recordings)
	tools/system-packages training
	tools/more-recordings
	$(BIN)/timbre train instruments --out models/artefacts

# One environment; each level adds to the one before. The stamp files make the second call start at once.
.venv/serve: pyproject.toml constraints.txt tools/python-environment tools/system-packages
	tools/python-environment "mic,mqtt"
	tools/system-packages microphone
	touch $@

.venv/kernels: $(wildcard features/kernels/*.py) .venv/serve
	rm -f features/kernels/__pycache__/kernels-*.o
	$(BIN)/python -m features.warm
	touch $@

# librosa compiles itself at its first use, and several processes that do so at once crash.
.venv/librosa: .venv/dev
	$(BIN)/python -c "from tests.features import oracle as o; o.features(o.noise(1)), o.log_mel(o.noise(1))"
	touch $@

.venv/dev: pyproject.toml constraints.txt tools/python-environment tools/system-packages
	tools/python-environment "mic,mqtt,parquet,osc,grpc,kernels,train,cluster,otel,docs,dev"
	tools/system-packages microphone tests
	tools/system-packages browser
	touch $@ .venv/serve

gpu: .venv/serve  ## put onnxruntime-gpu in the place of onnxruntime
	$(BIN)/python -m pip install --quiet --editable ".[gpu]"
	$(BIN)/python -m pip uninstall --quiet --yes onnxruntime
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps onnxruntime-gpu

clean:  ## remove the environment and all caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache

# Every target that is a plain word is no file.
.PHONY: $(shell sed -nE 's/^([a-z0-9-]+):.*/\1/p' $(MAKEFILE_LIST))
