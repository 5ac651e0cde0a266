# Everything a newcomer needs: `make demo` and `make test`. Each makes its own environment in .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SEED ?= 1

.PHONY: demo test lint bench check-weights clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

# The three stages, one after the other, on made-up scenes and the shipped miniature models. Offline.
demo: $(VENV)/.installed
	$(BIN)/aadc-manifest demo --seed $(SEED) --out demo
	$(BIN)/aadc-extract demo/demo.csv --models miniature --run runs/demo
	$(BIN)/aadc-train-head --run runs/demo
	$(BIN)/aadc-eval --metric all --run runs/demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/head.py
	$(BIN)/python benchmarks/detection_map.py

check-weights: $(VENV)/.installed
	$(BIN)/python -m aadc.extract.check_weights

clean:
	rm -rf demo runs/demo
