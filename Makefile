# Every target installs what it needs first, into this folder: uv if there is none, then the Python environment.
# On a fresh machine `make demo` or `make test` is all it takes.

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-coverage test-slow test-docker test-image chaos soak check fmt schema models \
  bench accuracy accuracy-accept clean

UV := stack/uv
RUN := $(UV) run --locked
COVERAGE := 92
ENVIRONMENT := .venv/in-sync
SCHEMA := schemas/enova.schema.json
INVENTORY_SCHEMA := schemas/inventory.schema.json

help:  ## Show this help
	@echo "Enova: a spec file in, vLLM replicas behind one endpoint out."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(ENVIRONMENT)  ## Install uv if there is none, and the Python environment

$(ENVIRONMENT): pyproject.toml uv.lock
	@echo "==> Installing the Python environment into .venv"
	@$(UV) sync --locked --compile-bytecode
	@touch $@

demo: setup  ## Apply a spec, get a completion, look, clean up: no GPU, no Docker
	@stack/demo.sh

test: setup  ## Run all tests this machine can run, and say which it cannot
	@stack/test.sh

test-fast: setup  ## Run the tests that need no Docker and take no patience, on all cores
	$(RUN) pytest -n auto -m "not docker and not vllm and not slow"

test-coverage: setup  ## The same, and fail where branches are not covered; tracing simulations takes a while
	$(RUN) pytest -n auto -m "not docker and not vllm and not slow" --cov --cov-report=term --cov-fail-under=$(COVERAGE)

test-slow: setup  ## Run the command itself, many times, on local processes; and 10,000 broken specs
	$(RUN) pytest -n 2 -m slow --durations=10
	ENOVA_FUZZ_EXAMPLES=10000 $(RUN) pytest tests/fuzz

chaos: setup  ## Change, break and kill things under load on local processes, and print what became of the load
	$(RUN) pytest tests/chaos

soak: setup  ## Keep 50 services, 200 replicas (processes) for an hour while specs change; needs 16 GiB
	$(RUN) python -m tests.chaos.soak

test-docker: setup test-image models  ## Build the test images, and run the tests that need Docker
	$(RUN) pytest -m "docker or vllm" --durations=10

test-image: setup  ## Build the images the Docker tests use: the engine on a CPU, the gateway, the emulator
	@stack/images/build.sh

check: setup  ## Lint, types, architecture, and whether generated files are current
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	@$(RUN) enova schema | diff -u $(SCHEMA) - || { echo "error: $(SCHEMA) is not current" >&2; \
	  echo "hint: make schema" >&2; exit 1; }
	@$(RUN) enova schema inventory | diff -u $(INVENTORY_SCHEMA) - || { \
	  echo "error: $(INVENTORY_SCHEMA) is not current" >&2; echo "hint: make schema" >&2; exit 1; }
	$(RUN) pytest -q tests/test_shape.py
	@echo "==> All checks passed"

fmt: setup  ## Format the code and fix what the linter can fix
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

schema: setup  ## Regenerate schemas/ from the models of specs and inventories
	$(RUN) enova schema > $(SCHEMA).new
	mv $(SCHEMA).new $(SCHEMA)
	$(RUN) enova schema inventory > $(INVENTORY_SCHEMA).new
	mv $(INVENTORY_SCHEMA).new $(INVENTORY_SCHEMA)

models: setup  ## Make tiny models for the real engine, in .cache/models
	$(UV) run --script stack/make_models.py .cache/models

bench: setup  ## Measure planning and validation on large inputs
	@set -e; for file in benchmarks/bench_*.py; do echo "==> $$file"; $(RUN) python $$file; done

accuracy: setup  ## Predict the measurements in ../shared/data, write docs/accuracy.md, fail if errors grew
	$(RUN) python benchmarks/accuracy.py

accuracy-accept: setup  ## The same, and let these errors be what later ones are held to
	$(RUN) python benchmarks/accuracy.py --accept

clean:  ## Remove everything made here: environment, caches, built files (not Docker images)
	rm -rf .venv .cache .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
