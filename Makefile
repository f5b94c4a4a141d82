# Every target builds the environment in .venv first; nothing needs root.
PYTHON ?= python3
BIN := .venv/bin

# Most tests wait more than they compute, so that twice the cores of a small machine are busy.
# Where pytest-randomly is installed the order is random; the tests must pass in any.
TEST_PROCESSES ?= 4
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder

.PHONY: demo test soak lint types storm clean

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
	$(PYTEST)

# What takes long by nature: more random inputs, larger files, the storm. No part of the gate.
soak: .venv/ready
	$(BIN)/python -m pytest -m soak -s tests
	$(MAKE) storm

storm: .venv/ready
	$(BIN)/python -m tests.faults.storm

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build *.egg-info
