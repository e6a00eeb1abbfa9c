# Needs Python 3.11 or 3.12, make and git; everything else goes into .venv.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN ?= runs/demo
SEED ?= 0
MARKERS ?= not slow and not gpu

# The first interpreter that starts and is of a supported version.
PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)

# One small graph is evaluated faster by one torch thread than by two.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-ray test-rest lint format clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(STAMP) ## make .venv with the pinned versions

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or 3.12 found; set PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[chemistry,dev,mattergen,mattersim,mcp,pyscf,rllib,serve,sevennet,tune]'
	$(BIN)/python -m pip install --quiet --no-deps mattergen==1.0.3 mattersim==1.2.3 # want other versions
	@touch $@

demo: $(STAMP) ## run the density demonstration into RUN (runs/demo), going on where it stopped
	$(BIN)/ray-matdesign run density-demo seed=$(SEED) --out $(RUN) \
		$(if $(wildcard $(RUN)/config.yaml),--resume)
	@echo "open $(RUN)/report.html in a browser"

lint: $(STAMP) ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## lint, then every test that needs neither a GPU nor much time
	@echo "tests that start a Ray run beside the others"
	@$(MAKE) --no-print-directory --jobs=2 test-ray test-rest

# Two Rays at once would count each other's processes as left behind; hence halves, not shares.
test-ray test-rest: test-%: $(STAMP)
	@$(BIN)/python -m pytest -q --durations=20 --durations-min=5 -m "$(if $(filter ray,$*),ray,not ray) and ($(MARKERS))" \
		|| test $$? -eq 5 # no tests with these markers

format: $(STAMP) ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
