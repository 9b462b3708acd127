# make demo    fresh machine to a trained transformer with its ROC (DATA=path for your images)
# make test    all that must pass: style, types, tests, docstrings, doctests
# make help    the other targets

PYTHON ?= python3
VENV ?= .venv
DATA ?=
JOBS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
DEMO_STAMP := $(VENV)/.installed-demo
TEST_STAMP := $(VENV)/.installed-test
SETTINGS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test style lint format gpu-check docs-tables clean

help:
	@echo "make demo         train and evaluate a compact transformer (DATA=path: on your images)"
	@echo "make test         style, types, tests, docstrings, doctests"
	@echo "make lint         style, types, docstrings, the rules of the house"
	@echo "make format       rewrite the code the way lint wants it"
	@echo "make gpu-check    the tests marked gpu, in the current Python environment"
	@echo "make docs-tables  rewrite tables of results and the reference of verbs"
	@echo "make clean        remove .venv and caches; runs, demos and results stay"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than its settings exactly when the environment is up to date.
$(DEMO_STAMP): $(SETTINGS) | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(TEST_STAMP): $(SETTINGS) | $(BIN)/python
	$(PIP) -e '.[test,huggingface]'
	@touch $@ $(DEMO_STAMP)

# Nothing is overwritten: the first demo goes to demo/run-1, the next to demo/run-2.
demo: $(DEMO_STAMP)
	@number=1; while [ -e "demo/run-$$number" ]; do number=$$((number + 1)); done; \
	mkdir -p demo; \
	$(BIN)/darkarcs demo --out "demo/run-$$number" $(if $(DATA),--data "$(DATA)")

style: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint: style
	$(BIN)/python -m pytest -q tests/test_docstrings.py tests/test_house.py

format: $(TEST_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Two processes of one thread each: on small tensors faster than one process of two threads.
test: style
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m 'not gpu'

# For a GPU machine with its own torch: nothing is installed, the sources are used in place.
gpu-check:
	PYTHONPATH=src $(PYTHON) -m pytest -m gpu tests

docs-tables: $(TEST_STAMP)
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
