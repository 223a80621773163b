# Raysight. `make demo` shows it, `make test` proves it; nothing else need be typed.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest

.PHONY: help install install-dev install-train peers demo mlflow test test-long lint format bench constraints clean

help:
	@echo "make install    Raysight in $(VENV) (ONNX Runtime on CPU)"
	@echo "make demo       an archive, Raysight, a chest CT, and what came back (ONCE=1 ends by itself)"
	@echo "make test       lint, types, the import contract, all tests but the long ones"
	@echo "make test-long  the full figures (docs/verification.md)"
	@echo "make lint       ruff, mypy, import-linter"
	@echo "make bench      the benchmarks (docs/benchmarks.md)"
	@echo "make mlflow     the training runs in MLflow's pages, at 127.0.0.1 (PORT=5000)"

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Raysight into $(VENV) …"
	@$(PIP) --editable '.[cpu]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Raysight and its test tools into $(VENV) …"
	@$(PIP) --editable '.[cpu,dev,postgres]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-train: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Raysight and what training needs into $(VENV) …"
	@$(PIP) --editable '.[cpu,train]'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

install-train: $(VENV)/.installed-train

peers:
	@deploy/install-peers.sh

demo: install peers
	@$(BIN)/raysight demo $(if $(ONCE),--once)

mlflow: install-train
	@$(BIN)/raysight mlflow $(if $(PORT),--port $(PORT))

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install-dev peers lint
	$(PYTEST) -m "not long"

test-long: install-dev peers
	$(PYTEST) -m long

bench: install-dev install-train peers
	$(BIN)/python -m benchmarks.ingest
	@$(PIP) --editable '.[openvino]'
	$(BIN)/python -m benchmarks.inference
	$(BIN)/python -m benchmarks.lung_nodule_baseline

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: install-dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra cpu --extra openvino \
		--extra dev --extra postgres --extra train --no-header --no-annotate --output-file constraints.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .demo
