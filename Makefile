# Targets for developers. Each target installs its requirements; later runs skip that.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

UV_VERSION := 0.13.8
UV := .cache/uv-$(UV_VERSION)/bin/uv
# The environment, to which every target adds packages. The gate has one for each target, so that no
# target can rely on the packages of another.
VENV ?= .venv
BIN := $(VENV)/bin
export UV_PROJECT_ENVIRONMENT := $(VENV)
SYNC := $(UV) sync --quiet --frozen --inexact --no-default-groups
# uv installs no bytecode: with this variable, each process would compile torch again.
unexport PYTHONDONTWRITEBYTECODE
# The oldest major version of Node that the CDK runs on, and the oldest that is still maintained.
MIN_NODE := 20
MIN_MAINTAINED_NODE := 22
# tools/check_node prints one line instead of jsii's ten. The CDK's telemetry is off.
export JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION := 1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := $(MIN_NODE)
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
export CDK_DISABLE_CLI_TELEMETRY := true
say = @printf '• %s\n'

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.demo postgis ## A scene through the local cloud into PostGIS; SCENE=/path/to.tif for your own
	@$(BIN)/python -m local_cloud.demo $(if $(SCENE),"$(SCENE)")

.PHONY: local
local: $(VENV)/.demo postgis ## The local cloud, kept running until Ctrl-C
	@$(BIN)/swath local up

.PHONY: test
test: $(VENV)/.test node_modules/.installed postgis ## All tests; ARGS="-k merge" for some of them
	$(say) "running the tests"
	@$(BIN)/pytest --numprocesses 2 --dist loadgroup $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.test ## Fuzz every kind of input for ten minutes; ARGS="--fuzz-seed 2 --only packages" for others
	$(say) "fuzzing scenes, packages, labels, images and messages"
	@SWATH_FUZZ=1 $(BIN)/pytest tests/fuzz --numprocesses 0 --timeout 0 --capture no --quiet $(ARGS)

.PHONY: properties
properties: $(VENV)/.test node_modules/.installed postgis ## The tests that draw their inputs, with many more draws: hours; ARGS="-k histories" for some
	$(say) "running the tests that draw their inputs"
	@SWATH_FUZZ=1 $(BIN)/pytest -m fuzz --ignore tests/fuzz --numprocesses 2 --dist loadgroup --timeout 3600 $(ARGS)

.PHONY: errors
errors: $(VENV)/.test node_modules/.installed postgis ## Provoke each error that a user can meet; write docs/errors.md
	$(say) "provoking errors"
	@SWATH_FUZZ=1 SWATH_WRITE_ERRORS=1 $(BIN)/pytest tests/errors --numprocesses 0 --timeout 3600 $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.test node_modules/.installed postgis ## 200 seeded scenarios of faults in the local cloud; ARGS="--seed 17" for one of them
	$(say) "running scenarios of faults"
	@SWATH_FUZZ=1 $(BIN)/pytest tests/integration/chaos --numprocesses 0 -p no:randomly $(ARGS)

.PHONY: mutate
mutate: $(VENV)/.test node_modules/.installed postgis ## Mutate the critical modules, to check that the tests notice each change; ARGS="--seed 2 merging"
	@$(BIN)/python -m mutation $(ARGS)

# An environment of its own: torch with CUDA, which torchvision's package on PyPI requires.
EXPORTS := .cache/exports
.PHONY: test-exports
test-exports: $(EXPORTS)/.installed ## Real exports of four libraries against the libraries themselves; 5 GB
	$(say) "exporting networks and comparing the detections in a tile"
	@PYTHONPATH=src $(EXPORTS)/bin/python tools/real_exports/compare.py $(ARGS)

.PHONY: lint
lint: $(VENV)/.lint node_modules/.installed ## Every check of the source, the template and the images
	$(say) "ruff: rules and format"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	$(say) "mypy --strict"
	@$(BIN)/mypy --no-error-summary src/swath infra local_cloud batch_jobs lambdas sagemaker_jobs benchmarks mutation examples
	$(say) "import-linter"
	@$(BIN)/lint-imports --no-logo
	$(say) "cdk-nag, cfn-lint, asl-validator, hadolint"
	@$(BIN)/python -m infra.check
	$(say) "subjects of commits"
	@$(BIN)/python tools/check_subjects

.PHONY: bench
bench: $(VENV)/.bench ## Measure against limits and peer libraries; ARGS="reading merge" for some
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: format
format: $(VENV)/.format ## Fix what ruff can fix, and format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: setup
setup: $(VENV)/.demo $(VENV)/.test $(VENV)/.lint $(VENV)/.bench node_modules/.installed postgis ## Everything that the other targets and cdk deploy need

.PHONY: clean
clean: ## Delete what was built, but not what was installed
	@rm -rf build dist cdk.out htmlcov .coverage* .hypothesis .*_cache

# Stamp files are in the folder that they describe, so deleting the folder resets them.

$(UV):
	$(say) "getting uv $(UV_VERSION), which installs the rest"
	@tools/get_uv $(UV_VERSION) .cache/uv-$(UV_VERSION)

$(VENV)/.demo: uv.lock pyproject.toml | $(UV) node
	$(say) "installing what the demo needs: the CDK, moto, rasterio, ONNX Runtime … (no torch)"
	@$(SYNC) --group infra --group local-cloud
	@touch $@

$(VENV)/.test: uv.lock pyproject.toml tools/get_torch | $(UV) node
	$(say) "installing what the tests need"
	@$(SYNC) --group infra --group local-cloud --group test
	@tools/get_torch $(UV) $(VENV)
	@touch $@

$(EXPORTS)/.installed: tools/real_exports/requirements.lock | $(UV)
	$(say) "installing ultralytics, torchvision, transformers and smp into $(EXPORTS) (5 GB)"
	@$(UV) venv --quiet --allow-existing --python 3.11 $(EXPORTS)
	@$(UV) pip sync --quiet --python $(EXPORTS)/bin/python $<
	@touch $@

$(VENV)/.bench: uv.lock pyproject.toml tools/get_torch | $(UV) node
	$(say) "installing what the benchmarks need: the peers, ONNX and torch"
	@$(SYNC) --group infra --group bench
	@tools/get_torch $(UV) $(VENV)
	@touch $@

$(VENV)/.lint: uv.lock pyproject.toml | $(UV) node
	$(say) "installing what the checks need"
	@$(SYNC) --all-groups
	@touch $@

$(VENV)/.format: uv.lock pyproject.toml | $(UV)
	$(say) "installing ruff"
	@$(SYNC) --only-group format
	@touch $@

node_modules/.installed: package-lock.json | node
	$(say) "installing the CDK's command line and asl-validator from npm"
	@npm ci --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

.PHONY: node
node:
	@tools/check_node $(MIN_NODE) $(MIN_MAINTAINED_NODE)

# This target runs after the first environment is installed, since it needs Python.
.PHONY: postgis
postgis: | $(VENV)/.demo
	@$(BIN)/python -m local_cloud.postgis
