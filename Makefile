# Every target builds the environment in .venv first; nothing needs root.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types storm clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[worker,demo,test]'
	touch $@

demo: .venv/ready
	$(BIN)/headgraft demo

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest

storm: .venv/ready
	$(BIN)/python -m tests.faults.storm

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build *.egg-info
