# The commands of the platform. `make run` and `make test` work from a clean clone with Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DAGSTER_DISABLE_TELEMETRY := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where nothing is kept of what was compiled, each start compiles 1,700 modules: 2 seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run ui test mutants chromium test-ui smoke-redshift test-redshift screenshots lint bench bench-day bench-redshift lock clean
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

$(VENV)/.production: $(VENV)/.run requirements/production.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/run.txt -r requirements/production.txt
	touch $@

# No target of its own: make cannot say a path with blanks. Renamed, as two may begin at once.
HOME_READY = mkdir -p "$$DAGSTER_HOME" && { \
	test "$$DAGSTER_HOME/dagster.yaml" -nt deploy/dagster.development.yaml || { \
	cp deploy/dagster.development.yaml "$$DAGSTER_HOME/.new.$$$$" && \
	mv "$$DAGSTER_HOME/.new.$$$$" "$$DAGSTER_HOME/dagster.yaml"; }; }

run: $(VENV)/.run  ## fill the warehouse: sample data unless SPARKIFY_LAKE names a lake
	@$(HOME_READY)
	@$(BIN)/sparkify run

# Dagster recommends a project tool of its own, `dg dev`, in a warning at each start.
ui: $(VENV)/.run  ## the Dagster UI on http://127.0.0.1:3000
	@$(HOME_READY)
	PYTHONWARNINGS='ignore:Function `dev_command`' $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

test: $(VENV)/.dev  ## the whole test suite
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not browser and not redshift"

mutants: $(VENV)/.dev  ## a fault in every statement of sql/, one at a time: do the tests notice? (long; SECTIONS="star/songs" for some)
	$(BIN)/python -u -m sparkify_dagster_tests.mutants $(SECTIONS)

# pytest alone would skip these tests where there is no browser, and so pass.
chromium:
	@command -v chromium >/dev/null || { echo "There is no chromium: install it first (Debian: apt-get install chromium)" >&2; exit 1; }

test-ui: chromium $(VENV)/.dev  ## the UI in a real browser (Debian: apt-get install chromium)
	$(BIN)/python -m pytest -m browser --durations=3 sparkify_dagster_tests/ui

screenshots: chromium $(VENV)/.dev  ## the browser test, writing the pictures of the README anew
	SPARKIFY_SCREENSHOTS=1 $(BIN)/python -m pytest -m browser sparkify_dagster_tests/ui

smoke-redshift: $(VENV)/.run  ## first contact with a real cluster, its database empty (5 minutes, under a dollar); writes redshift-smoke.md
	@$(BIN)/python -m sparkify_dagster_tests.smoke

test-redshift: $(VENV)/.dev  ## the Redshift suite on a real cluster (about 45 minutes, 3 dollars): REDSHIFT_... and SPARKIFY_MANIFEST_PREFIX name it
	@echo "About 45 minutes; on Redshift Serverless with 8 RPU about 3 dollars. Estimated, not measured."
	SPARKIFY_TEST_REDSHIFT=yes $(BIN)/python -m pytest -rs -m redshift sparkify_dagster_tests/warehouse/redshift/test_redshift_cluster.py || test $$? -eq 5

lint: $(VENV)/.dev  ## style, types, layers, layout of sql/
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --nocolor --disable-progress-bar sql

bench: $(VENV)/.run  ## full loads and a new day against dbt, SQLMesh, a script (SIZES="S M L" RUNS=5)
	$(BIN)/python -m benchmarks full $(SIZES) --runs $(or $(RUNS),5)
	$(BIN)/python -m benchmarks drift --runs $(or $(RUNS),5)

bench-day: $(VENV)/.run  ## a new day after 30, 365, 1000 days; start-up (HISTORY="30 365" RUNS=5)
	$(BIN)/python -m benchmarks day $(HISTORY) --runs $(or $(RUNS),5)

bench-redshift: $(VENV)/.dev  ## what runs ask of Redshift, on the double, and the seconds that a model has for it (HISTORY="30 365")
	$(BIN)/python -m benchmarks.redshift $(HISTORY)

lock:  ## write the locks anew from pyproject.toml and requirements/*.in
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --upgrade requirements/uv.in -o requirements/uv.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --upgrade pyproject.toml requirements/run.in -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 -c requirements/run.txt requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --no-deps -c requirements/dev.txt requirements/production.in -o requirements/production.txt

clean:  ## remove the environment, the warehouse, the sample lake and Dagster's history
	rm -rf $(VENV) data .dagster
