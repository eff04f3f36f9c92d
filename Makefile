# make report   install, run the six notebooks, build their website
# make test     install, check style and types, run the tests
# make help     everything else

# Make would expand a dollar sign in these, and the shell more. So make takes them as they are, and
# recipes read them from the environment.
override PROFILE := $(or $(value PROFILE),demo)
override DATA := $(value DATA)
override MIXED := $(value MIXED)
override PYTHON := $(value PYTHON)
export PROFILE DATA MIXED PYTHON

define NEWLINE


endef
ifneq ($(findstring $(NEWLINE),$(CURDIR)),)
$(error the project's path contains a newline, expected none)
endif

IS_SUPPORTED := -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
# Scripts in .venv/bin begin with the path of .venv, which not every shell can read.
RUN := .venv/bin/python -m
SENFORMER := $(RUN) senformer
FOLDER := $$($(SENFORMER) run-folder --profile="$$PROFILE" --data="$$DATA")
INSTALLED := .venv/.installed
UV := .venv/bin/uv pip
INSTALL := $(UV) install --quiet --require-hashes
PYTEST := $(RUN) pytest --numprocesses 2 --dist loadfile
# Where nothing is timed, two notebooks run side by side; but a process takes a GPU whole,
# or at these sizes most of a machine.
CORES := $(if $(filter full rehearsal,$(PROFILE)),1,2)

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
# Without PYTHON, the newest Python that is there and runs.
$(INSTALLED): requirements.lock pyproject.toml
	@$(RUN) pip --version >/dev/null 2>&1 || { \
	  if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; \
	  else set -- python3.13 python3.12 python3.11 python3; fi; \
	  for python; do "$$python" $(IS_SUPPORTED) 2>/dev/null && break; python=; done; \
	  [ -n "$$python" ] || { \
	    echo "no Python 3.11, 3.12 or 3.13; say where one is: make PYTHON=/path/to/python"; exit 1; }; \
	  "$$python" -m venv .venv; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >.venv/uv.lock
	$(RUN) pip install --quiet --require-hashes -r .venv/uv.lock
	$(INSTALL) --python .venv/bin/python -r requirements.lock
	$(UV) install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# Snakemake would read a value of --config as YAML.
report: $(INSTALLED)
	@SENFORMER_PROFILE="$$PROFILE" SENFORMER_DATA="$$DATA" \
	  $(RUN) snakemake --cores $(CORES) --keep-going --nolock --rerun-incomplete --quiet host rules
	@echo "The report: $(FOLDER)/site/index.html"

serve: $(INSTALLED)
	@folder="$(FOLDER)" && $(RUN) http.server --bind 127.0.0.1 --directory "$$folder/site"

publish: $(INSTALLED)
	@case "$$MIXED" in \
	  yes | '' | no) ;; \
	  *) echo "MIXED is none of yes and no"; exit 2 ;; \
	esac; \
	folder="$(FOLDER)" && $(SENFORMER) publish $(if $(filter yes,$(MIXED)),--mixed) -- "$$folder"

pdf: $(INSTALLED)
	$(SENFORMER) pdf book/_build/s-enformer.pdf

archive: $(INSTALLED)
	$(SENFORMER) archive book/_build/s-enformer.zip

# An environment of its own: the lock has no room for what the validator needs.
archive-validator: $(INSTALLED)
	@test -x .archive-validator/bin/python || $(RUN) venv --without-pip .archive-validator
	$(INSTALL) --python .archive-validator/bin/python -r archive-validator.lock

# An environment of its own: it holds CUDA's libraries, and no TensorFlow.
gpu-compiler: $(INSTALLED)
	@echo "This downloads 3 GB and takes 5.5 GB in .gpu-compiler."
	@test -x .gpu-compiler/bin/python || $(RUN) venv --without-pip .gpu-compiler
	$(INSTALL) --python .gpu-compiler/bin/python -r gpu-compiler.lock

lint: $(INSTALLED)
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	.venv/bin/python -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

COMPILE := $(UV) compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: $(INSTALLED)
	$(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	$(COMPILE) --group gpu-compiler --output-file gpu-compiler.lock
	$(COMPILE) --group archive-validator --output-file archive-validator.lock
