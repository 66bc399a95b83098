# make alone prints this help; every target sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:
.SILENT:

PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
BUNDLES := bundles
DESTDIR ?=

# System packages: what each is for.
#   portaudio19-dev gcc python3-dev   PyAudio has no Linux wheel; pip compiles it
#   libsndfile1 libportaudio2         what soundfile and PyAudio load
#   asterisk-core-sounds-*, espeak-ng the project's own speech sample
APT_RUN  := gcc libsndfile1 portaudio19-dev asterisk-core-sounds-en-wav asterisk-core-sounds-es-wav \
            asterisk-core-sounds-fr-wav espeak-ng
# For the tests: a virtual microphone, a broker, a network namespace, system calls, the units' checker, a browser.
APT_TEST := alsa-utils chromium libasound2-plugins mosquitto pulseaudio pulseaudio-utils procps strace systemd util-linux

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
apt_install = dpkg -s $(1) >/dev/null 2>&1 || { echo "installing system packages"; \
  $(SUDO) apt-get update -qq; \
  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; }

.PHONY: help run test faults fuzz soak check lint bundle bundle-text demo evaluate bench peers bench-granite smoke man docs install uninstall clean setup setup-test setup-export

help: ## print this help
	grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

run: setup $(BUNDLES)/.made ## set up, export the default model, listen and write down what is said
	$(BIN)/edge-asr run --without-microphone build/sample/demo.flac

demo: setup $(BUNDLES)/.made ## the same, with the sample clip as a simulated microphone
	$(BIN)/edge-asr run --wav build/sample/demo.flac

test: setup-test $(BUNDLES)/.made ## set up and run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Everything but the soak, which takes hours of its own.
faults: setup-test $(BUNDLES)/.made ## (root) break everything on purpose, as often as a night allows
	EDGE_ASR_FAULTS=whole $(BIN)/python -m pytest tests/faults --deselect tests/faults/test_soak.py \
	  $(PYTEST_ARGS) || status=$$?
	$(BIN)/python -m tests.faults.tally whole docs/promises.md
	exit $${status:-0}

fuzz: setup-test $(BUNDLES)/.made ## a thousand hostile files, databases and requests of each kind
	EDGE_ASR_FUZZ=1000 $(BIN)/python -m pytest tests/hostile tests/serve/test_description.py \
	  --timeout 3600 $(PYTEST_ARGS)

soak: setup-test $(BUNDLES)/.made ## eight hours of sound as fast as they can be heard and transcribed
	EDGE_ASR_FAULTS=whole $(BIN)/python -m pytest tests/faults/test_soak.py $(PYTEST_ARGS)
	$(BIN)/python -m tests.faults.tally whole docs/promises.md

check: lint test smoke ## all that is checked before a change is accepted: lint, types, tests, smoke

lint: setup-test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bundle: $(BUNDLES)/.made ## export the model bundles (whisper-base, whisper-tiny.en, silero-vad, voice-encoder)

$(BUNDLES)/.made: $(VENV)/.export $(wildcard models/*.yaml models/adapters/* export/*.py)
	$(BIN)/python -m export sample
	echo "the model bundles; the first time this takes some minutes"
	for recipe in silero-vad voice-encoder whisper-base whisper-tiny.en; do
	  $(BIN)/python -m export $$recipe --out $(BUNDLES)
	done
	touch $@

# Over the folder that EDGE_ASR_SPEECH names, else the project's sample; EVALUATE_ARGS adds options.
evaluate: setup-export $(BUNDLES)/.made ## error rates, speed and a report, beside faster-whisper if it is there
	$(BIN)/python -m benchmarks.evaluate \
	  $(addprefix --ctranslate2 ,$(wildcard build/export/whisper-base/source)) $(EVALUATE_ARGS)

# Over the folder that EDGE_ASR_SPEECH names, else the project's sample; about 25 minutes on two cores
# that do nothing else. Its microphone is the tests'. BENCH_ARGS adds options, e.g. BENCH_ARGS=--hour.
bench: setup-test peers $(BUNDLES)/.made ## Whisper beside faster-whisper, whisper.cpp, onnx-asr: docs/performance.md
	$(BIN)/python -m benchmarks.whisper --page docs/performance.md --plot docs/performance.svg $(BENCH_ARGS)

peers: build/peers/.made ## install what Whisper is measured beside, in an environment of its own

# whisper.cpp is compiled for this processor: its wheel is for old ones. Not for AMX, where it crashes
# (llama.cpp's issue 20824).
build/peers/.made:
	echo "the peers; whisper.cpp is compiled, which takes some minutes"
	$(PYTHON) -m venv build/peers
	build/peers/bin/pip install --quiet --upgrade 'pip>=25.1'
	amx=$$(grep -q amx_tile /proc/cpuinfo && echo '-mno-amx-tile -mno-amx-int8 -mno-amx-bf16' || true)
	CFLAGS="$$amx" CXXFLAGS="$$amx" BUILD_SHARED_LIBS=OFF CMAKE_POSITION_INDEPENDENT_CODE=ON GGML_NATIVE=ON \
	  build/peers/bin/pip install --quiet --no-cache-dir --no-binary pywhispercpp \
	  --group bench
	touch $@

# BENCH_ARGS adds options, e.g. BENCH_ARGS="--llama PROGRAM --gguf FILE --mmproj FILE".
bench-granite: setup-export ## measure a Granite bundle: BUNDLE=DIR CHECKPOINT=DIR, beside Transformers
	$(BIN)/python -m benchmarks.granite $(addprefix --bundle ,$(BUNDLE)) \
	  $(addprefix --checkpoint ,$(CHECKPOINT)) $(BENCH_ARGS)

bundle-text: setup-export ## export the small text model for a second pass (smollm2-135m-instruct)
	$(BIN)/python -m export smollm2-135m-instruct --out $(BUNDLES)

smoke: setup $(BUNDLES)/.made dist ## install the wheel alone in a clean environment and transcribe the sample
	rm -rf build/smoke
	$(PYTHON) -m venv build/smoke
	build/smoke/bin/pip install --quiet dist/*.whl
	cd build/smoke
	for module in torch transformers optimum onnx export; do
	  if bin/python -c "import $$module" 2>/dev/null; then
	    echo "smoke: $$module can be imported on the device" >&2; exit 1
	  fi
	done
	bin/edge-asr --version
	EDGE_ASR_BUNDLES=$(CURDIR)/$(BUNDLES) bin/edge-asr transcribe $(CURDIR)/build/sample/demo.flac \
	  | tee demo.txt
	grep --quiet --ignore-case "conference" demo.txt
	echo "smoke: the wheel alone transcribes; nothing of the workstation is on board"

.PHONY: dist
dist: setup
	rm -rf dist
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

docs: setup ## the documentation as a site, in build/site; no page of it needs a network
	$(BIN)/python -m pip install --quiet --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	echo "build/site/index.html; with search: python3 -m http.server --directory build/site"

man: setup ## write the manual page and the shells' completions to build/man
	$(BIN)/python -m edge_asr.cli.manual build/man

install: dist man ## (root) install as a service: own environment, units, udev rule, example config
	bash systemd/install.sh dist/*.whl

uninstall: ## (root) remove the service; recordings and configuration stay
	bash systemd/uninstall.sh

clean: ## remove what was built here; recordings are elsewhere and stay
	rm -rf $(VENV) build dist $(BUNDLES) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up ---------------------------------------------------------------------------------------

setup: $(VENV)/.run
setup-test: $(VENV)/.test
setup-export: $(VENV)/.export

$(VENV)/.apt-run:
	$(call apt_install,$(APT_RUN))
	$(PYTHON) -c 'import ensurepip, sysconfig, pathlib, sys; \
	  sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' \
	  || $(call apt_install,python3-venv python3-dev)
	mkdir -p $(VENV)
	touch $@

$(VENV)/.apt-test: $(VENV)/.apt-run
	$(call apt_install,$(APT_TEST))
	touch $@

$(VENV)/.run: $(VENV)/.apt-run pyproject.toml
	echo "set-up: the program and what it needs on a device"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[serve]'
	touch $@

$(VENV)/.export: $(VENV)/.run
	echo "set-up: what the export needs (torch, Transformers, Optimum)"
	$(BIN)/python -m pip install --quiet --group export
	touch $@

$(VENV)/.test: $(VENV)/.export $(VENV)/.apt-test
	echo "set-up: what the tests need"
	$(BIN)/python -m pip install --quiet --editable '.[serve,mqtt,wyoming,hands,numerals]'
	$(BIN)/python -m pip install --quiet --group test --group plot --group lint --group docs
	touch $@
