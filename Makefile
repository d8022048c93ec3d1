# Everything one can do here. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/runtime-is-installed
DEVELOPMENT := .venv/development-is-installed
ZEP_PYTHON := .environments/zep-python
ZEP_JS := .environments/zep-js

##@ Use
.PHONY: serve
serve: $(RUNTIME)  ## Serve on http://127.0.0.1:8000 with ./recollect-data/recollect.db
	@$(BIN)/recollect serve

.PHONY: doctor
doctor: $(RUNTIME)  ## Look at settings, file, versions and free space; say what is wrong
	@$(BIN)/recollect doctor

##@ Develop
.PHONY: help
help:  ## List what one can do
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*##/ {printf "  make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check
check: $(DEVELOPMENT)  ## Format, lint, strict types, import contract (seconds)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: $(DEVELOPMENT)  ## Put the code in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: $(DEVELOPMENT)  ## Renew the locked dependencies in requirements/
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  pyproject.toml requirements/build.in --output-file requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  pyproject.toml requirements/build.in --group development --output-file requirements/development.txt

.PHONY: clean
clean:  ## Remove environments and caches (never recollect-data)
	rm -rf .venv .environments .mypy_cache .ruff_cache .hypothesis
	find recollect tests bench -name __pycache__ -prune -exec rm -rf {} +

# What is missing is set up once; a second run starts at once.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Recollect needs Python 3.11 or newer; try make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

$(RUNTIME): requirements/runtime.txt pyproject.toml | .venv/bin/python
	@echo "Setting up .venv (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): requirements/development.txt $(RUNTIME)
	@echo "Setting up the development tools (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	@touch $@
