# Every target builds the environment in .venv first; nothing needs root.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types storm clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[service,worker,demo,test]'
	touch $@

demo: .venv/ready
	$(BIN)/headgraft demo

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy knows nothing of setuptools' map of packages to folders, but follows links.
LINKS := .venv/types/headgraft
types: .venv/ready
	rm -rf $(LINKS)
	mkdir -p $(LINKS)/service
	ln -s $(abspath models workers $(wildcard service/client/*)) $(LINKS)
	ln -s $(abspath $(filter-out service/client,$(wildcard service/*))) $(LINKS)/service
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest

storm: .venv/ready
	$(BIN)/python -m tests.faults.storm

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build *.egg-info
