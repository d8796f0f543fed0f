# Every command a user needs. `make help` lists them.
# Wants python3 >= 3.11 with venv and pip, and a package index; everything else goes into .venv.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo ui test test-all bench lock clean setup

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## set up, then run everything on invented prices and show the result
	@$(BIN)/factorlab demo

ui: $(STAMP) ## set up, then open the Dagster web interface
	@$(BIN)/factorlab ui

test: $(STAMP) ## set up, then lint, types, import rules, doctests and every fast test
	@$(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder -m "not slow"

test-all: $(STAMP) ## the same with the slow tests
	@$(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder

bench: $(STAMP) ## measure speed and memory
	@$(BIN)/python -m benchmarks

setup: $(STAMP) ## only set up .venv

lock: $(STAMP) ## bring requirements.lock in line with pyproject.toml (UPGRADE=1: newest versions)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  $(if $(UPGRADE),--upgrade) --extra dev pyproject.toml -o requirements.lock > /dev/null

clean: ## remove .venv, caches and the demo's data; your own data stay
	@rm -rf .venv *.egg-info .*_cache .hypothesis data/demo
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: a set-up that was cut short is taken up again. The warnings kept quiet
# are setuptools' general remarks on editable installs.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
	  echo 'FactorLab needs Python 3.11 or newer. Got: $(PYTHON) =' \
	    "$$($(PYTHON) --version 2>&1 || true). What to do: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  echo 'No virtual environment could be made in $(VENV).' \
	    'What to do: install venv for $(PYTHON) (Debian, Ubuntu: apt install python3-venv).' >&2; \
	  exit 1; }
	@echo "Setting up $(VENV): $$(grep -c == requirements.lock) locked packages, once"
	@set -o pipefail; \
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --no-deps \
	  -r requirements.lock | awk '/^Collecting/ && ++n % 20 == 0 { print "  fetched", n; fflush() } \
	  /^Installing collected/ { print "  unpacking"; fflush() }'
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-build-isolation --no-deps --editable .
	@touch $@
