# One line each over `python manage.py ...` and `python -m ...`, so that the same commands work without make.
# Every target first sets up what it needs in .venv, and again when pyproject.toml has changed.

PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 60
LOGINS ?= 1000
ROUNDS ?= 3
ROWS ?= 1000000

BIN := .venv/bin
RUN := $(BIN)/python

ASKING_A_DATABASE := -m django_db --ignore=tests/concurrency/races
CACHED := django.contrib.sessions.backends.cached_db
IN_CACHE := django.contrib.sessions.backends.cache

.DEFAULT_GOAL := help
.PHONY: help demo test lint fuzz e2e databases on-postgresql on-mariadb races matrix bench bench-growth plans load mutants clean

help: ## show this list
	@echo 'make TARGET [PORT=$(PORT)] [PYTHON=$(PYTHON)]'
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1@/p' $(firstword $(MAKEFILE_LIST)) | awk -F@ '{ printf "%-14s%s\n", $$1, $$2 }'

demo: .venv/.for-run ## sign in at http://localhost:8000 with an account of the local Microsoft emulator
	@$(RUN) manage.py demo $(PORT)

test: .venv/.for-test ## the tests, with the coverage that they must reach
	@$(RUN) -m pytest --cov -rs

lint: .venv/.for-dev ## formatting, lint, types, layers, missing migrations
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(BIN)/lint-imports
	$(RUN) manage.py makemigrations --check --dry-run

fuzz: .venv/.for-test ## hostile input at every door for a while (SECONDS=60); prints what breaks, and its seed
	@$(RUN) -m tests.security.fuzz --seconds $(SECONDS)

# Playwright runs an event loop in this thread, which Django would take for async code.
# The empty values beat those of a developer's .env: the journeys are the emulator's.
# Chromium keeps connections open that Django's test server leaves to the garbage collector: no ResourceWarning.
e2e: .venv/.for-browser ## the demo in a real browser; saves the pictures of docs/images
	@MS_IDENTITY_CLIENT_ID= SELFSERVICE_METHODS_OIDC_CONFIG_PROVIDERS= DJANGO_ALLOW_ASYNC_UNSAFE=true \
		$(RUN) -m pytest tests/browser/journeys.py --ds=example_project.settings -W ignore::ResourceWarning

# What asks no database is the same on each: about three quarters of the tests.
# The variables are explained in tests/support/servers.py.
databases: on-postgresql on-mariadb ## the tests that ask a database, on PostgreSQL and MariaDB with Redis; first: .ci/services

on-postgresql on-mariadb: on-%: .venv/.for-databases
	TEST_DATABASE=$* TEST_CACHE=redis $(RUN) -m pytest -q -rs $(ASKING_A_DATABASE)

races: .venv/.for-databases ## threads, processes and nodes at once on SQLite, PostgreSQL, MariaDB; first: .ci/services
	TEST_DATABASE=sqlite-file $(RUN) -m pytest -q -rs tests/concurrency/races
	TEST_DATABASE=postgresql TEST_CACHE=redis TEST_SESSIONS=$(CACHED) $(RUN) -m pytest -q -rs tests/concurrency/races
	TEST_DATABASE=mariadb TEST_CACHE=redis TEST_SESSIONS=$(IN_CACHE) $(RUN) -m pytest -q -rs tests/concurrency/races

matrix: .venv/.for-matrix ## the tests on every Python and Django that are supported
	@$(RUN) .ci/matrix.py

bench: .venv/.for-bench ## what a sign-in costs, beside its budget
	@$(RUN) -m benchmarks

bench-growth: .venv/.for-bench .venv/.for-load ## sign-in, admin and query plans among ROWS=1000000 identities (POSTGRES=postgres://… too)
	@$(RUN) -m benchmarks.growth --rows $(ROWS) $(if $(POSTGRES),--postgres $(POSTGRES))

plans: .venv/.for-bench .venv/.for-load ## only the query plans, which a busy machine does not spoil (ROWS, POSTGRES)
	@$(RUN) -m benchmarks.growth --plans --rows $(ROWS) $(if $(POSTGRES),--postgres $(POSTGRES))

load: .venv/.for-load ## many sign-ins at once at four servers (LOGINS=10000; POSTGRES=postgres://… instead of SQLite)
	@$(RUN) -m benchmarks.load --logins $(LOGINS) --rounds $(ROUNDS) $(if $(POSTGRES),--postgres $(POSTGRES))

mutants: .venv/.for-test ## takes each guard out once and names those that no test misses (ONLY=linking for one room)
	@$(RUN) .ci/mutants $(ONLY)

clean: ## remove .venv and what the tools left
	rm -rf .venv .tox .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage* build dist

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo '$(PYTHON) is missing or older than Python 3.11: install a newer one, or name one, as in "make $(MAKECMDGOALS) PYTHON=python3.13".' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) cannot make virtual environments: on Debian and Ubuntu run "apt-get install python3-venv" first.' >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.for-run: .venv/.made pyproject.toml
	@echo 'Installing what is needed into .venv ...'
	@$(RUN) -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

.venv/.for-%: .venv/.made pyproject.toml
	@echo 'Installing what is needed into .venv ...'
	@$(RUN) -m pip install -qq --disable-pip-version-check --editable '.[$*]'
	@touch $@
