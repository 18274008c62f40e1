# One command per need. Each makes .venv and installs the project first, where that is not done yet.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all check format bench clean

demo: .venv/.installed ## the main job on built-in data: formula, gradient, source, run
	$(BIN)/einstan demo

test: .venv/.installed ## the tests, README and docstring examples
	$(BIN)/python -m pytest -q

test-all: .venv/.installed ## the slow tests too
	$(BIN)/python -m pytest -q -m "slow or not slow"

check: .venv/.installed ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed ## what `make check` can repair by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed ## peers side by side, ten minutes on an otherwise idle machine; writes benchmarks/RESULTS.md
	$(BIN)/python -m pip install --quiet -e ".[bench]"
	$(BIN)/python -m benchmarks results

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@
