# Every target makes its own virtual environment when there is none: only Python 3.11 or newer and make are needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2
# On a busy machine the threads of one small step wait for each other far longer than they work.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS
BENCHMARKS ?= svi_step batches likelihood warps vitae_step sprite_batches static_dynamic_step factor_vae_step drnet_step roll_out gpu

DEMO_STEPS ?= 2000
DEMO_TRAINING := --data mnist-small --binarise dynamic --rotate 20 --translate 0.1 --steps $(DEMO_STEPS) --seed 0 --force
DEMO_JUDGEMENT := --samples 500 --limit 500

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format types docs bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s  %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv with the tested versions of everything

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "python is $(PYTHON), $$($(PYTHON) --version 2>&1); expected Python 3.11 or newer." \
			"Name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "installing into $(VENV), once; this takes some minutes"
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## train a VAE and C-VITAE on digits turned and shifted at random, judge them, write their reports
	$(BIN)/unbraid train vae $(DEMO_TRAINING) --set latent_dim=12 code_spread=2 --out runs/demo-vae
	$(BIN)/unbraid train c-vitae $(DEMO_TRAINING) --out runs/demo-c-vitae
	$(BIN)/unbraid evaluate runs/demo-vae $(DEMO_JUDGEMENT)
	$(BIN)/unbraid evaluate runs/demo-c-vitae $(DEMO_JUDGEMENT)
	$(BIN)/unbraid report runs/demo-vae
	$(BIN)/unbraid report runs/demo-c-vitae

test: $(READY) ## run the tests, without those that take minutes
	$(BIN)/pytest -n $(WORKERS) -m "not slow"

test-slow: $(READY) ## run the tests that take minutes
	$(BIN)/pytest -m slow

lint: $(READY) ## check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(READY) ## mend style and format where that can be done by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(READY) ## check types
	$(BIN)/pyright

docs: $(READY) ## build the documentation in docs/_build/html; warnings are errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html in a browser"

bench: $(READY) ## measure side by side, some minutes each; names at the end those that missed a target
	@missed=; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || missed="$$missed $$name"; done; \
	test -z "$$missed" || { echo "missed a target:$$missed" >&2; exit 1; }

clean: ## remove .venv, caches and built files; runs/ stays
	rm -rf $(VENV) build dist docs/_build docs/generated *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
