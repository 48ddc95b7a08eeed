# What a contributor types. Every target sets up what it needs in .venv; a second call does nothing.
# The environment lies in .venv and is remade when pyproject.toml or constraints.txt change.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
CODE := gpusched tests tools $(wildcard bench demo)
PYTEST_ARGS ?=
# Tests mostly wait, for daemons and clocks: more processes than cores. JOBS=0: one after the other.
JOBS ?= 3
SPREAD := -n $(JOBS)
# Else every Python that a test starts compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check unit covered bentoml frameworks proto proto-check reference reference-check bench mutation lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | sort \
	  | awk -F'\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: gpusched needs Python 3.11 or newer, and '$(PYTHON)' is not; try make PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
	  exit 1; }
	@echo "make: setting up $(VENV) (once)"
	@# One that was cut off while it was made has a Python, and no pip.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip setuptools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## the main job, shown with real processes on simulated GPUs
	@$(BIN)/python -m demo

check: $(STAMP) proto-check reference-check ## lint, types, layers, shape, drift of what is generated
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { \
	  echo "ruff: the files that '$(BIN)/ruff format --check .' lists are not formatted; run $(BIN)/ruff format" >&2; \
	  exit 1; }
	@$(BIN)/mypy --no-error-summary $(CODE)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest --quiet --no-header tests/contracts/test_shape.py

unit: $(STAMP) ## the pure tests, with a fifth of the random examples: seconds, for every save
	@$(BIN)/pytest --quiet --no-header -n 2 tests/unit --hypothesis-profile=quick $(PYTEST_ARGS)

covered: $(STAMP) ## the pure tests whole; fails when a line or branch of the core is not covered
	@$(BIN)/pytest --quiet --no-header $(SPREAD) tests/unit --cov=gpusched.core --cov-branch \
	  --cov-report=term-missing:skip-covered --cov-fail-under=100 $(PYTEST_ARGS)

test: check covered ## everything this machine allows; what was skipped is listed with its reason
	@$(BIN)/pytest --no-header -rs $(SPREAD) tests --ignore=tests/unit $(PYTEST_ARGS)

bentoml: $(STAMP) ## BentoML in environments of its own, for the tests that run it
	@tools/fetch_bentoml.sh

frameworks: ## model servers and launchers into .cache/frameworks, for the tests that run them
	@tools/fetch_frameworks.sh $(PYTHON)

proto: $(STAMP) ## write gpusched/api from protos/
	@$(BIN)/python tools/proto.py

proto-check: $(STAMP)
	@$(BIN)/python tools/proto.py --check

reference: $(STAMP) ## write docs/reference from the docstrings
	@$(BIN)/python tools/reference.py

reference-check: $(STAMP)
	@$(BIN)/python tools/reference.py --check

bench: $(STAMP) bentoml ## benchmarks, each beside its goal
	@$(BIN)/python -m compileall -q gpusched # as an installer does; a checkout may never have been
	@$(BIN)/python -m bench

mutation: $(STAMP) ## mutants of the lease machine, the ledger and the placement (minutes)
	@$(BIN)/mutmut run
	@if $(BIN)/mutmut results | grep .; then \
	  echo "make: the tests let the mutants above live; '$(BIN)/mutmut show NAME' shows one" >&2; exit 1; \
	fi

lock: ## constraints.txt again, from the newest versions that pyproject.toml allows
	@tools/lock.sh $(PYTHON)
	@$(MAKE) $(STAMP)
	@tools/fetch_bentoml.sh --lock

clean: ## remove everything that make made
	@rm -rf $(VENV) .cache .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
	  build htmlcov mutants ./*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
