# The two commands of the README are `make demo` and `make test`; `make help` lists the others.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# Without compiled modules every process of the stack and of the tests would compile them again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo test unit chaos lint up down status clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Install everything into .venv (again only when the lock changes)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { echo "Python 3.11 is needed and '$(PYTHON)' is not it. Install it (Debian: apt install python3.11 python3.11-venv; macOS: brew install python@3.11) or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@bash stack/install.sh "$(PYTHON)" "$(VENV)"
	@touch $(STAMP)

demo: install ## The whole loop: start, backfill, train in Airflow, promote, stream, show
	@$(BIN)/fraud demo $(ARGS)

test: install ## Lint, types, unit, integration and end-to-end tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(BIN)/pytest tests/e2e tests/integration $(ARGS)

unit: install ## Unit tests alone, a process per core
	@$(BIN)/pytest tests/unit -n auto --dist worksteal $(ARGS)

chaos: install ## Kill parts of the stream and every service of a running demo
	@$(BIN)/pytest -m chaos $(ARGS)

lint: install ## Style, types and the arrows between rooms
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

up: install ## Start the local stack
	@$(BIN)/fraud up $(ARGS)

down: install ## Stop the local stack
	@$(BIN)/fraud down $(ARGS)

status: install ## Show the local stack
	@$(BIN)/fraud status $(ARGS)

clean: ## Stop the stack and remove everything that was made here
	@[ ! -x $(BIN)/fraud ] || $(BIN)/fraud down --wipe
	@rm -rf $(VENV) .fraud logs
