# Two commands matter: `make atlas` and `make test`. Needed beforehand: Python 3.11 or newer and Node.js 18 or newer.

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= -c constraints.txt
PYTEST_FLAGS ?= --numprocesses=auto --dist=loadfile
RUN ?= runs/herbarium

# One thread a process: the same bits whatever else runs (CONTRIBUTING.md, "Same bits").
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
BROWSER := $(VENV)/.browser
NODE_TOOLS := node_modules/.installed
BUILD_FILES := pyproject.toml constraints.txt hatch_build.py package-lock.json

.DEFAULT_GOAL := help
.PHONY: help atlas test lint format serve browser clean

help:
	@echo "make atlas    draw the herbarium, build its atlas, say where the site is"
	@echo "make serve    look at that site in a browser"
	@echo "make test     install what the tests need and run all of them"
	@echo "make lint     ruff, mypy, import-linter, and tsc for the scripts"
	@echo "make format   let ruff lay the code out"
	@echo "make clean    remove caches and build products (runs/ and .venv stay)"

atlas: $(INSTALLED)
	@$(BIN)/leaflineage build

serve: $(INSTALLED)
	@$(BIN)/leaflineage serve $(RUN)/site

test: $(INSTALLED_DEV) $(BROWSER) $(NODE_TOOLS)
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(INSTALLED_DEV) $(NODE_TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	node_modules/.bin/tsc

format: $(INSTALLED_DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# ---------------------------------------------------------------- installing

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "LeafLineage needs Python 3.11 or newer, and '$(PYTHON)' is older or missing: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) could not make $(VENV). On Debian: apt-get install python3-venv, then run make again."; rm -rf $(VENV); exit 1; }

$(INSTALLED): $(BUILD_FILES) | $(BIN)/python
	@echo "Installing LeafLineage into $(VENV) (torch is large: some minutes the first time)"
	$(BIN)/python -m pip install $(CONSTRAINTS) -e .
	@touch $@

$(INSTALLED_DEV): $(BUILD_FILES) | $(BIN)/python
	@echo "Installing LeafLineage with what its tests need into $(VENV) (torch is large: some minutes the first time)"
	$(BIN)/python -m pip install $(CONSTRAINTS) -e '.[dev,train,ray]'
	@touch $(INSTALLED) $@

# After the package: its build hook may install afresh what the site needs from npm, and nothing else.
$(NODE_TOOLS): package-lock.json | $(INSTALLED_DEV)
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Debian's Chromium where we may install packages, else Playwright's own, else the browser tests skip and say so.
$(BROWSER): | $(INSTALLED_DEV)
	@bash .ci/browser $(BIN) && touch $@ || true

browser: $(BROWSER)

clean:
	rm -rf build dist node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +
