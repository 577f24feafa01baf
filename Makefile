# One line each over `python manage.py ...` and `python -m ...`, so that the same commands work without make.
# Every target first installs what it needs into .venv, and again when pyproject.toml has changed.

PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 60
LOGINS ?= 1000
ROUNDS ?= 3
ROWS ?= 1000000
# Processes that run tests side by side: a number, or auto for one per core.
WORKERS ?= auto

BIN := .venv/bin
RUN := $(BIN)/python

# Idle workers take tests from busy ones: a few tests take much longer than the others.
PARALLEL := -n $(WORKERS) --dist=worksteal
# Whole sign-ins, attacks, failures, and tests that start another pytest: `make test` has them, and more examples of
# the generated ones.
SLOW := $(addprefix --ignore=tests/,browser concurrency example journeys other_project security \
	test_other_project.py test_project.py)
ON_A_DATABASE := -m django_db --ignore=tests/concurrency/races
CACHED := django.contrib.sessions.backends.cached_db
IN_CACHE := django.contrib.sessions.backends.cache

.DEFAULT_GOAL := help
.PHONY: help demo test check lint fuzz e2e databases on-postgresql on-mariadb races matrix lowest bench bench-growth \
	plans load mutants clean

help: ## show this list
	@echo 'make TARGET [PORT=$(PORT)] [PYTHON=$(PYTHON)] [WORKERS=$(WORKERS)]'
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1@/p' $(firstword $(MAKEFILE_LIST)) | awk -F@ '{ printf "%-14s%s\n", $$1, $$2 }'

demo: .venv/.for-run ## sign in at http://localhost:8000 with an account of the local Microsoft emulator
	@$(RUN) manage.py demo $(PORT)

test: .venv/.for-test ## all tests, on every core, with the coverage that they must reach
	@$(RUN) -m pytest $(PARALLEL) --cov -rs

check: lint ## within a minute: lint and the unit tests, for the loop of a working day
	@$(RUN) -m pytest -q $(PARALLEL) $(SLOW) --hypothesis-profile=few

lint: .venv/.for-dev ## formatting, lint, types, layers, missing migrations
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(BIN)/lint-imports
	$(RUN) manage.py makemigrations --check --dry-run

fuzz: .venv/.for-test ## hostile input at every parser for a while (SECONDS=60); prints what breaks, and its seed
	@$(RUN) -m tests.security.fuzz --seconds $(SECONDS)

# Playwright runs an event loop in this thread, which Django would take for async code.
# The empty values override a developer's .env: the journeys use the emulator.
# Chromium keeps connections open that Django's test server leaves to the garbage collector: no ResourceWarning.
e2e: .venv/.for-browser ## the demo in a real browser; saves the pictures of docs/images
	@MS_IDENTITY_CLIENT_ID= SELFSERVICE_METHODS_OIDC_CONFIG_PROVIDERS= DJANGO_ALLOW_ASYNC_UNSAFE=true \
		$(RUN) -m pytest tests/browser/journeys.py --ds=example_project.settings -W ignore::ResourceWarning

# Tests without a database have the same result on each: about three quarters of all.
# The variables are explained in tests/support/servers.py.
databases: on-postgresql on-mariadb ## the tests that use a database, on PostgreSQL and MariaDB with Redis; first: .ci/services

on-postgresql on-mariadb: on-%: .venv/.for-databases
	TEST_DATABASE=$* TEST_CACHE=redis $(RUN) -m pytest -q -rs $(PARALLEL) $(ON_A_DATABASE)

# One after the other: each test has threads and processes of its own.
races: .venv/.for-databases ## threads, processes and nodes at once on SQLite, PostgreSQL, MariaDB; first: .ci/services
	TEST_DATABASE=sqlite-file $(RUN) -m pytest -q -rs tests/concurrency/races
	TEST_DATABASE=postgresql TEST_CACHE=redis TEST_SESSIONS=$(CACHED) $(RUN) -m pytest -q -rs tests/concurrency/races
	TEST_DATABASE=mariadb TEST_CACHE=redis TEST_SESSIONS=$(IN_CACHE) $(RUN) -m pytest -q -rs tests/concurrency/races

matrix: .venv/.for-matrix ## the tests on every supported Python and Django that is here; .ci/matrix.py says which where
	@$(RUN) .ci/matrix.py $(MATRIX)

# In an environment of its own: .venv keeps the newest versions.
lowest: .venv/.for-lowest ## the unit tests with the lowest version of each dependency that pyproject.toml allows
	@$(BIN)/uv --quiet venv --python $(RUN) --no-python-downloads --clear .venv/lowest
	@VIRTUAL_ENV=.venv/lowest $(BIN)/uv --quiet pip install --resolution lowest-direct --editable '.[fast]'
	@VIRTUAL_ENV=.venv/lowest $(BIN)/uv --quiet pip install --group test
	@$(BIN)/uv --quiet pip list --python .venv/lowest
	@.venv/lowest/bin/python -m pytest -q $(PARALLEL) $(SLOW) --hypothesis-profile=few

bench: .venv/.for-bench ## what a sign-in costs, beside its budget
	@$(RUN) -m benchmarks

bench-growth: .venv/.for-bench .venv/.for-load ## sign-in, admin and query plans among ROWS=1000000 identities (POSTGRES=postgres://… too)
	@$(RUN) -m benchmarks.growth --rows $(ROWS) $(if $(POSTGRES),--postgres $(POSTGRES))

plans: .venv/.for-bench .venv/.for-load ## only the query plans, which a busy machine does not spoil (ROWS, POSTGRES)
	@$(RUN) -m benchmarks.growth --plans --rows $(ROWS) $(if $(POSTGRES),--postgres $(POSTGRES))

load: .venv/.for-load ## many sign-ins at once at four servers (LOGINS=10000; POSTGRES=postgres://… instead of SQLite)
	@$(RUN) -m benchmarks.load --logins $(LOGINS) --rounds $(ROUNDS) $(if $(POSTGRES),--postgres $(POSTGRES))

mutants: .venv/.for-test ## removes each check once and names those that no test misses (ONLY=linking for one package)
	@$(RUN) .ci/mutants $(ONLY)

clean: ## remove .venv and what the tools left
	rm -rf .venv .tox .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage* build dist

# pip knows dependency groups (PEP 735) since 25.1.
.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo '$(PYTHON) is missing or older than Python 3.11: install a newer one, or name one, as in "make $(MAKECMDGOALS) PYTHON=python3.13".' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) cannot make virtual environments: on Debian and Ubuntu run "apt-get install python3-venv" first.' >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(RUN) -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

.venv/.for-run: .venv/.created pyproject.toml
	@echo 'Installing what is needed into .venv ...'
	@$(RUN) -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

.venv/.for-%: .venv/.created pyproject.toml
	@echo 'Installing what is needed into .venv ...'
	@$(RUN) -m pip install -qq --disable-pip-version-check --editable . --group $*
	@touch $@
