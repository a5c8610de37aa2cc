# Everything that a person does here. `make` alone lists it.
# The first call of most targets makes .venv; later calls find it ready.

PYTHON ?= python3
ARGS   ?=

BIN     := .venv/bin
# Two workers with one thread each: quick on two cores, and no worker fights another for them.
WORKERS ?= 2
PYTEST  := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
NBVAL   := --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg

.DEFAULT_GOAL := help
.PHONY: help setup lab test lessons doctor book bench lint format lock clean

help:   ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup:  ## make .venv from requirements.lock; nothing to do when it is up to date
	@$(PYTHON) tools/bootstrap.py

lab: setup  ## open the lessons in JupyterLab; ARGS="--no-browser --port 8899"
	@$(BIN)/sdlearn lab $(ARGS)

test: setup  ## run everything: unit tests, notebooks, the book; ARGS="-k words" chooses
	@$(PYTEST) $(NBVAL) $(ARGS) tests $(wildcard notebooks)

lessons: setup  ## run the lessons and keep what they show; ARGS=notebooks/02* chooses
	@$(BIN)/python tools/run_lessons.py $(ARGS)

doctor: setup  ## say what is here, what is not, and what to do about it
	@$(BIN)/sdlearn doctor

book: setup  ## build the static book into book/_build/html
	@$(BIN)/sdlearn book $(ARGS)

bench: setup  ## measure, and print the table of ratios
	@$(BIN)/python -m tests.bench $(ARGS)

lint: setup  ## check style, of code and notebooks
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: setup  ## rewrite code and notebooks in that style
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

lock: setup  ## resolve requirements.lock again; ARGS="--upgrade" takes newer versions
	@$(BIN)/python tools/lock.py $(ARGS)

clean:  ## remove .venv, builds and caches; never a notebook, never weights
	@rm -rf .venv build dist book/_build book/cards book/lessons book/made book/vendor
	@rm -rf .pytest_cache .ruff_cache .hypothesis
	@find . -name .git -prune -o -type d -name __pycache__ -exec rm -rf {} +
