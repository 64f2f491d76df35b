# Everything sets itself up: `make demo` and `make test` work in a fresh clone with Python 3.11 and a C compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH ?= 2.13.0

.PHONY: help env demo test test-slow check lint bench docs clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(READY)  ## Make .venv with everything in it

# The stamp is newer than pyproject.toml exactly when what that file asks for is installed.
$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); the first time takes a few minutes"
	@$(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -qq 'torch==$(TORCH)' || $(BIN)/python -m pip install -qq 'torch>=2.6'
	@$(BIN)/python -m pip install -qq --editable '.[all]' --group test --group check --group docs --group bench
	@touch $@

demo: $(READY)  ## Index the Python standard library and ask it three questions
	@NESTVEC=$(BIN)/nestvec ./demo.sh

test: $(READY)  ## Run the fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY)  ## Run the long tests
	$(BIN)/python -m pytest -m slow

# The formatter sees code only: examples in pages are laid out by hand.
check: lint test  ## All of what must pass before a change is taken

lint: $(READY)  ## Format, lint, types, import contracts
	$(BIN)/ruff format --check src tests benchmarks changes
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## Run one benchmark: make bench NAME=retrieval [QUICK=1]
	$(BIN)/python -m benchmarks $(if $(NAME),$(NAME),--list) $(if $(QUICK),--quick)

docs: $(READY)  ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

clean:  ## Remove everything that the targets above made
	rm -rf $(VENV) build dist site demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find src tests benchmarks changes -name __pycache__ -type d -prune -exec rm -rf {} +
