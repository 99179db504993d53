# One front door. Each target does all of its own set-up, and may be run twice.

SHELL := /bin/bash
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv engine bases demo lint test bench dashboards fmt clean

# Show this list.
help:
	@awk '/^# /{text=substr($$0,3)} /^[a-z]+:/{sub(":.*","",$$1); if (text) printf "  make %-10s %s\n", $$1, text} !/^#/{text=""}' $(MAKEFILE_LIST)

# Make .venv with labq (editable) and its tools; again only when pyproject.toml changed.
venv:
	@scripts/venv

# Make sure that a Docker engine answers; installs and starts one when root.
engine:
	@scripts/engine

# Get the base images of the examples and tests; builds stand-ins where no registry answers.
bases: engine
	@scripts/bases

# Try labq: start it on this machine, train the digits example, fetch its model and plot.
demo:
	@scripts/demo

# Run every static check: ruff, mypy, import-linter, generated docs.
lint: venv
	@scripts/lint

# Run every check and test (not the benchmarks). PYTEST_ARGS='-k name' narrows it.
test:
	@scripts/test $(PYTEST_ARGS)

# Measure, and print a table; needs a quiet machine.
bench: venv engine bases
	@.venv/bin/python tests/bench/run.py

# Write the Grafana dashboards and their page in docs/reference from dashboards/labq_dashboards.
dashboards: venv
	@.venv/bin/python scripts/gen_dashboards

# Format the code and fix what can be fixed by itself.
fmt: venv
	@.venv/bin/ruff check --fix-only --quiet . ; .venv/bin/ruff format .

# Remove what was made here (not the Docker images, not the data of `labq up`).
clean:
	@rm -rf .venv .venv.lock dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
