# Two commands do it all on a machine with only Python >= 3.11 and make:
#   make quickstart   sets everything up and runs the main job
#   make test         passes the tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup quickstart test test-services test-tools lint format bench bench-all bench-bridge lock docs clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Stackproof needs Python 3.11 or newer; found %s. Next: make PYTHON=python3.12 setup" % sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.lock)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(READY)

quickstart: setup
	@$(BIN)/stackproof quickstart quickstart-output

test: setup
	@$(BIN)/python -m pytest -m "not slow and not services and not tools" -n auto --dist loadfile

test-services: setup
	@bash tests/services.sh
	@$(BIN)/python -m pytest -m "(slow or services) and not tools" -n 3 --dist loadfile

test-tools: setup
	@bash tests/services.sh
	@$(BIN)/python -m pytest -m tools -n 3 --dist loadfile

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup
	@$(BIN)/python -m benchmarks.deciding
	@$(BIN)/python -m benchmarks.tracking_writes
	@$(BIN)/python -m benchmarks.point_in_time_join

bench-all: bench
	@$(BIN)/python -m benchmarks.serving
	@$(BIN)/python -m benchmarks.drift
	@$(BIN)/python -m benchmarks.orchestration

bench-bridge: setup
	@$(BIN)/python -m benchmarks.bridge

lock: setup
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra embedded --extra flights --extra testing --group dev pyproject.toml -o requirements.lock

docs: setup
	@$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) quickstart-output
