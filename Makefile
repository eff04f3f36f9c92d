# make report   install, run the six notebooks, build their website
# make test     install, check style and types, run the tests
# make help     everything else
IS_SUPPORTED := -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
# The newest that is there and runs.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
  $$python $(IS_SUPPORTED) 2>/dev/null && echo $$python && break; done)
PROFILE ?= demo
DATA ?=
MIXED ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile
# Where nothing is timed, two notebooks run side by side; but a process takes a GPU whole,
# or at these sizes most of a machine.
CORES = $(if $(filter full rehearsal,$(PROFILE)),1,2)
FOLDER = runs/$(PROFILE)$(if $(DATA),-$(notdir $(realpath $(DATA))))

.PHONY: help setup report serve publish pdf archive archive-validator gpu-compiler lint test test-all lock
.DEFAULT_GOAL := help

help:
	@echo "make setup                   install into .venv"
	@echo "make report                  run the notebooks, build the website, print its path"
	@echo "make report DATA=folder      the same on real records"
	@echo "make report PROFILE=full     the same at the study's sizes (one GPU)"
	@echo "make serve                   look at the last report: http://localhost:8000"
	@echo "make publish                 make a report's results the ones that the book shows, if all are"
	@echo "                             of one clean commit; MIXED=yes: also if not, and pages say so"
	@echo "make pdf                     the book as one file, book/_build/s-enformer.pdf (needs Chromium)"
	@echo "make archive                 the book and all that it was made of, to be kept: book/_build/s-enformer.zip"
	@echo "make archive-validator       install what checks such an archive (100 MB)"
	@echo "make gpu-compiler            install the compiler that tells what a step takes on a GPU (5.5 GB)"
	@echo "make test                    style, types and tests; make test-all runs the slow ones too"
	@echo "make lock                    choose versions anew after a change of pyproject.toml"

setup: $(INSTALLED)

# pip installs uv, and uv, which is several times as fast, the rest, by the hashes of one lock.
$(INSTALLED): requirements.lock pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  $(or $(PYTHON),false) $(IS_SUPPORTED) || { \
	    echo "no Python 3.11, 3.12 or 3.13; say where one is: make PYTHON=/path/to/python"; exit 1; }; \
	  $(PYTHON) -m venv .venv; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >.venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r .venv/uv.lock
	$(UV) --require-hashes -r requirements.lock
	$(UV) --no-deps --no-build-isolation --editable .
	@touch $@

report: $(INSTALLED)
	$(BIN)/snakemake --cores $(CORES) --keep-going --nolock --rerun-incomplete --quiet host rules \
	  --config profile="$(PROFILE)" data="$(DATA)"
	@echo "The report: $(FOLDER)/site/index.html"

serve: $(INSTALLED)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory "$(FOLDER)/site"

publish: $(INSTALLED)
	$(BIN)/senformer publish "$(FOLDER)" $(if $(MIXED),--mixed)

pdf: $(INSTALLED)
	$(BIN)/senformer pdf book/_build/s-enformer.pdf

archive: $(INSTALLED)
	$(BIN)/senformer archive book/_build/s-enformer.zip

# An environment of its own: the lock has no room for what the validator needs.
archive-validator: $(INSTALLED)
	@test -x .archive-validator/bin/python || $(BIN)/python -m venv --without-pip .archive-validator
	$(BIN)/uv pip install --quiet --python .archive-validator/bin/python --require-hashes \
	  -r archive-validator.lock

# An environment of its own: it holds CUDA's libraries, and no TensorFlow.
gpu-compiler: $(INSTALLED)
	@echo "This downloads 3 GB and takes 5.5 GB in .gpu-compiler."
	@test -x .gpu-compiler/bin/python || $(BIN)/python -m venv --without-pip .gpu-compiler
	$(BIN)/uv pip install --quiet --python .gpu-compiler/bin/python --require-hashes -r gpu-compiler.lock

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --output-file requirements.lock
	$(BIN)/uv pip compile --group gpu-compiler --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --output-file gpu-compiler.lock
	$(BIN)/uv pip compile --group archive-validator --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --output-file archive-validator.lock
