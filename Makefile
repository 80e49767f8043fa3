# Two commands: `make reproduce` makes the study that params.yaml names and its report, `make test` checks everything.
# `make docs` builds the site of the documentation.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Holds the hash of the lock file that the environment was made from.
STAMP := $(VENV)/made-from
HASH := $(shell cksum < requirements.lock)

IMAGE := snn2ann:0.1.0

.PHONY: reproduce test docs benchmark soak environment image lock clean

# Private: the environment itself is made with the system's Python.
reproduce test docs benchmark soak: private export PATH := $(CURDIR)/$(BIN):$(PATH)

# Snakemake needs a folder for its cache, also where the home can't be written.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
reproduce test docs benchmark soak: private export XDG_CACHE_HOME := $(shell { mkdir -p "$(CACHE)" && test -w "$(CACHE)"; } 2>/dev/null \
	&& echo "$(CACHE)" || echo "$(CURDIR)/.snakemake/cache")

# In the end it says whether what came out agrees with the reference run of the documentation, where there is one.
reproduce: environment
	snakemake --cores all $$(test -t 2 && echo --logger rich)
	@set -e; study=$$(python -c "from snn2ann.study import load_parameters as load; print(load('params.yaml')['study'])"); \
		snakemake --report "results/$$study/report.html"; \
		[ ! -e "docs/reference/$$study/claims.json" ] || snn2ann agree "results/$$study" "docs/reference/$$study"

test: environment
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadgroup

docs: environment
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "Open site/index.html"

# ARGUMENTS=--quick takes three minutes; see benchmarks/engine.py for others. BEFORE=COMMIT compares with its engine as well.
benchmark: environment
	python -m benchmarks.engine $(ARGUMENTS)
	python -m benchmarks.draw $(ARGUMENTS)
	[ -n "$(ARGUMENTS)" ] || { python -m benchmarks.coupling $(if $(BEFORE),--before $(BEFORE)) && python -m benchmarks.firing_rate && python -m benchmarks.where && python -m benchmarks.draw && python -m benchmarks.tables; }

# Faults at random moments for most of an hour, as root, for it fills small disks; ARGUMENTS="--kills 5 --disks 1 --stores 1".
soak: environment
	python -m tests.workflow.soak $(ARGUMENTS)

# Made anew where it is missing, half made, or from another lock.
environment:
	@if [ "$$(cat $(STAMP) 2>/dev/null)" != "$(HASH)" ]; then set -e; \
		$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"; \
		rm -rf $(VENV); \
		$(PYTHON) -m venv $(VENV); \
		echo "Installing the versions of requirements.lock into $(VENV) (a few minutes)"; \
		$(PIP) install -r requirements.lock; \
		$(PIP) install --no-deps --no-build-isolation -e .; \
		echo "$(HASH)" > $(STAMP); \
	fi

# The archive that `snakemake --software-deployment-method apptainer` takes.
image:
	@tool=$$(command -v docker || command -v podman) || { echo "Docker or Podman is needed to build the image"; exit 1; }; \
		"$$tool" build --tag $(IMAGE) . && rm -f $(subst :,-,$(IMAGE)).tar && "$$tool" save --output $(subst :,-,$(IMAGE)).tar $(IMAGE)

# Resolves the ranges of pyproject.toml anew, in an environment of its own.
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet ".[workflow,dev,docs]" "setuptools>=77"
	{ sed '/^[^#]/,$$d' requirements.lock; \
		$(VENV)-lock/bin/python -m pip freeze --all | grep -viE '^(nvidia-|cuda-|triton=|pip=|snn2ann)'; } > requirements.new
	mv requirements.new requirements.lock
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-lock .snakemake logs .mypy_cache .ruff_cache .pytest_cache .hypothesis build site
