# Every verb of the project. `make` lists them; each makes its own environment on a fresh machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip --quiet --disable-pip-version-check install --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)
BENCH := .venv-bench
BENCH_PIP := $(BENCH)/bin/python $(INSTALL)
JOBS ?= 2
# Networks in tests are so small that a second thread only gets in the way.
TEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help demo test soak faults planted laws lint types contracts check docs train bench clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch first and alone: the pinned version may be a small CPU wheel, while a resolver that is free to
# choose takes gigabytes.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.torch
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.torch
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## explain three real kinds of model and write out/demo/report.html
	$(BIN)/pellucid demo --out out/demo

test: $(VENV)/.dev node_modules/.checked ## run the whole suite, JOBS=2 tests at a time
	$(TEST)

soak: $(VENV)/.dev ## explain 500 times and see that memory does not grow
	$(BIN)/python tests/soak.py 500

faults: $(VENV)/.dev ## plant N=10000 faults in explanations and see that nothing is left; ONLY=7 for one trial
	$(BIN)/python tests/campaign.py $(or $(N),10000) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) \
	  $(if $(TEETH),--teeth)

planted: $(VENV)/.dev ## plant faults in healthy networks over SEEDS=20 and count what is found and what else is said
	$(BIN)/python -m tests.look.planted $(or $(SEEDS),20)
	$(BIN)/python -m tests.look.campaign $(or $(SEEDS),20)

laws: $(VENV)/.dev ## every law for every method on every toy; the suite runs a sample of them
	PELLUCID_FULL=1 $(TEST) tests/laws tests/oracles/test_grid.py tests/state/test_twin_state.py tests/look/test_concepts.py

docs: $(VENV)/.dev ## write the pages that are made from the code, with their pictures
	$(BIN)/python -m docs.generate

lint: $(VENV)/.dev ## look for what is wrong or untidy
	$(BIN)/ruff check src tests training bench docs

# What checks the drawings' script; without npm those checks are left out.
node_modules/.checked: package.json
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --no-package-lock && touch $@; \
	  else echo "npm is not here: the drawings' script is not checked"; fi

types: $(VENV)/.dev node_modules/.checked ## check types, strictly on the lower floors, and those of the script
	$(BIN)/pyright
	$(BIN)/pyright --project strict.pyright.json
	@if [ -d node_modules ]; then npm run --silent types; fi

contracts: $(VENV)/.dev ## check that imports only go down
	$(BIN)/lint-imports

check: lint types contracts test ## everything that CI runs

train: $(VENV)/.dev ## train the demo subjects anew (fixed seeds)
	$(BIN)/python training/train.py

# The peers bring pins of their own: they get an environment of their own.
$(BENCH)/bin/python:
	$(PYTHON) -m venv $(BENCH)

$(BENCH)/.torch: constraints.txt | $(BENCH)/bin/python
	$(BENCH_PIP) "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(BENCH)/.bench: pyproject.toml $(BENCH)/.torch
	$(BENCH_PIP) --editable '.[bench]'
	@touch $@

bench: $(BENCH)/.bench ## measure beside the peers; ROW=grad_cam for one, DEVICE=cuda, QUICK=1, THREADS=1
	$(BENCH)/bin/python -m bench $(if $(ROW),--row '$(ROW)') $(if $(DEVICE),--device $(DEVICE)) \
	  $(if $(THREADS),--threads $(THREADS)) $(if $(QUICK),--quick)

clean: ## remove the environment and everything made
	rm -rf $(VENV) $(BENCH) out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
