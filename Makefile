# Two commands: `make reproduce` makes the study that params.yaml names and its report, `make test` checks everything.
# `make docs` builds the site of the documentation.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(if $(shell command -v uv),uv pip install --python $(BIN)/python,$(BIN)/python -m pip install --disable-pip-version-check) --quiet
# TORCH=cpu takes PyTorch's own builds of the same versions without CUDA, which are 4 GB smaller; a lock's == admits 2.0+cpu for 2.0.
TORCH_INDEX := https://download.pytorch.org/whl
# Holds the hash of the lock file that the environment was made from.
STAMP := $(VENV)/made-from
HASH := $(shell cksum < requirements.lock)

.PHONY: reproduce test verify docs benchmark gpu soak environment image lock clean

# Private: the environment itself is made with the system's Python.
reproduce test docs benchmark gpu soak: private export PATH := $(CURDIR)/$(BIN):$(PATH)

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
	OMP_NUM_THREADS=1 pytest -n 3 --dist loadfile --no-loadscope-reorder

docs: environment
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "Open site/index.html"

# ARGUMENTS=--quick takes three minutes; see benchmarks/engine.py for others. BEFORE=COMMIT compares with its engine as well.
benchmark: environment
	python -m benchmarks.engine $(ARGUMENTS)
	python -m benchmarks.draw $(ARGUMENTS)
	[ -n "$(ARGUMENTS)" ] || { python -m benchmarks.coupling $(if $(BEFORE),--before $(BEFORE)) && python -m benchmarks.firing_rate && python -m benchmarks.where && python -m benchmarks.draw && python -m benchmarks.tables; }

# What only a GPU can tell, in eight minutes; ARGUMENTS="--tiny --device cpu" tries it without one.
gpu: environment
	python -m benchmarks.gpu $(ARGUMENTS)
	python -m benchmarks.tables

# Faults at random moments for twenty minutes, as root, for it fills small disks; ARGUMENTS="--kills 5 --disks 1 --stores 1".
soak: environment
	python -m tests.workflow.soak $(ARGUMENTS)

# What an artifact's reader can check with Python alone: lock, data, reference runs.
verify:
	@$(PYTHON) verify.py

# Made anew where it is missing, half made, or from another lock: by uv, where it is there, in a third of the time.
environment:
	@if [ "$$(cat $(STAMP) 2>/dev/null)" != "$(HASH)" ]; then set -e; \
		$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"; \
		rm -rf $(VENV); \
		$(PYTHON) -m venv $(VENV); \
		echo "Installing the versions of requirements.lock into $(VENV) (a few minutes)"; \
		$(if $(TORCH),$(INSTALL) --no-deps --index-url $(TORCH_INDEX)/$(TORCH) $$(grep -oE '^torch(vision|audio)?==[^ ;]*' requirements.lock);) \
		$(if $(TORCH),awk '/^[^ ]/ {here = !/^(torch|torchvision|torchaudio|nvidia|cuda|triton)[-=]/} here',cat) requirements.lock > $(VENV)/lock; \
		$(INSTALL) --no-deps --require-hashes -r $(VENV)/lock; \
		$(INSTALL) --no-deps --no-build-isolation -e .; \
		echo "$(HASH)" > $(STAMP); \
	fi

# The archive that `snakemake --software-deployment-method apptainer` takes. BASE=... names another base than the Dockerfile's,
# ARGUMENTS=... what else the tool's build is told.
image:
	workflow/image/build $(if $(BASE),--build-arg BASE=$(BASE)) $(ARGUMENTS)

# Resolves the ranges of pyproject.toml anew, for Linux on every processor; nothing of it is installed.
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet uv
	echo "setuptools>=77" | $(VENV)-lock/bin/uv pip compile pyproject.toml - --extra workflow --extra dev --extra docs --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header --quiet --output-file $(VENV)-lock/all
	{ sed '/^[^#]/,$$d' requirements.lock; awk '/^[^ ]/ {here = !/sys_platform == .win32/} here' $(VENV)-lock/all; } > requirements.new
	mv requirements.new requirements.lock
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-lock .snakemake logs .mypy_cache .ruff_cache .pytest_cache .hypothesis build site
