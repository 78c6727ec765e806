# Everything that swath's developers and readers run. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint format local clean

SCENE ?=
PYTEST_ARGS ?=
BIN := .venv/bin
# What each environment is made from: when one of these changes, it is brought up to date.
LOCKS := pyproject.toml uv.lock package.json package-lock.json scripts/setup.sh

export CDK_DISABLE_CLI_TELEMETRY := true
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

demo: .venv/.demo ## Send a scene through the local cloud; SCENE=/path/to.tif takes yours
	@$(BIN)/python -m local_cloud.demo $(SCENE)

test: .venv/.test ## Run all tests
	@$(BIN)/pytest $(PYTEST_ARGS)

lint: .venv/.test ## Run every linter and type checker
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@for handler in lambdas/*/handler.py; do $(BIN)/mypy $$handler; done
	@$(BIN)/lint-imports
	@$(BIN)/python -m infra.check

format: .venv/.test ## Format the code and mend what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

local: .venv/.demo ## Keep the local cloud running, to try things on
	@$(BIN)/swath local up

clean: ## Remove everything that the other targets made
	@rm -rf .venv .cache node_modules build dist cdk.out .coverage htmlcov \
	    .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.%: $(LOCKS)
	@scripts/setup.sh $*
	@touch $@
