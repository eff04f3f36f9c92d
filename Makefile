# make report   install, run the six notebooks, build their website
# make test     install, check style and types, run the tests
# make help     everything else
PYTHON ?= python3.11
PROFILE ?= demo
DATA ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile
FOLDER = runs/$(PROFILE)$(if $(DATA),-$(notdir $(realpath $(DATA))))

.PHONY: help setup report serve publish pdf test test-all lock
.DEFAULT_GOAL := help

help:
	@echo "make setup                   install into .venv"
	@echo "make report                  run the notebooks, build the website, print its path"
	@echo "make report DATA=folder      the same on real records"
	@echo "make report PROFILE=full     the same at the study's sizes (one GPU)"
	@echo "make serve                   look at the last report: http://localhost:8000"
	@echo "make publish                 make a report's results the ones that the book shows"
	@echo "make pdf                     the book as one file, book/_build/s-enformer.pdf (needs Chromium)"
	@echo "make test                    style, types and tests; make test-all runs the slow ones too"
	@echo "make lock                    choose versions anew after a change of pyproject.toml"

setup: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "$(PYTHON) is not Python 3.11; say where it is: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

report: $(INSTALLED)
	$(BIN)/snakemake --cores 1 --keep-going --nolock --rerun-incomplete --quiet host rules \
	  --config profile="$(PROFILE)" data="$(DATA)"
	@echo "The report: $(FOLDER)/site/index.html"

serve: $(INSTALLED)
	$(BIN)/python -m http.server --directory "$(FOLDER)/site"

publish: $(INSTALLED)
	$(BIN)/senformer publish "$(FOLDER)"

pdf: $(INSTALLED)
	$(BIN)/senformer pdf book/_build/s-enformer.pdf

test: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST) -m "not slow"

test-all: $(INSTALLED)
	$(PYTEST)

lock: $(INSTALLED)
	$(BIN)/python -m venv .venv/uv && .venv/uv/bin/pip install --quiet uv
	.venv/uv/bin/uv pip compile pyproject.toml --extra dev --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --output-file requirements.lock
