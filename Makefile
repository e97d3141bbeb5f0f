# The commands of the platform. `make run` and `make test` work from a clean clone with Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DAGSTER_DISABLE_TELEMETRY := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help run ui test test-ui screenshots lint lock clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# uv resolves nothing here: it installs what the lock names, by hash, in seconds.
$(VENV)/.run: requirements/run.txt requirements/uv.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	touch $@

$(DAGSTER_HOME)/dagster.yaml: deploy/dagster.development.yaml
	mkdir -p $(DAGSTER_HOME)
	cp $< $@

run: $(VENV)/.run $(DAGSTER_HOME)/dagster.yaml  ## fill the warehouse: sample data unless SPARKIFY_LAKE names a lake
	@$(BIN)/sparkify run

ui: $(VENV)/.run $(DAGSTER_HOME)/dagster.yaml  ## the Dagster UI on http://127.0.0.1:3000
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

test: $(VENV)/.dev  ## the whole test suite
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not browser and not redshift"

test-ui: $(VENV)/.dev  ## the UI in a real browser (Debian: apt-get install chromium)
	$(BIN)/python -m pytest -m browser

screenshots: $(VENV)/.dev  ## the browser test, writing the pictures of the README anew
	SPARKIFY_SCREENSHOTS=1 $(BIN)/python -m pytest -m browser

lint: $(VENV)/.dev  ## style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## write the locks anew from pyproject.toml and requirements/*.in
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --upgrade requirements/uv.in -o requirements/uv.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --upgrade pyproject.toml requirements/run.in -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 -c requirements/run.txt requirements/dev.in -o requirements/dev.txt

clean:  ## remove the environment, the warehouse, the sample lake and Dagster's history
	rm -rf $(VENV) data .dagster
