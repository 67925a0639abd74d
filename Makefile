# Needs Python 3.11 or later and make; everything else goes into .venv, from the hashed locks in requirements/.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
SYNC := $(UV) pip sync --quiet --require-hashes --python $(BIN)/python
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(UPGRADE)

# A Python that is really there (a version manager's shim may not be) and can make an environment.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$python; break; fi; done)

# The locks fix every package; no tool fetches a Python of its own or minds an environment that happens to be active.
export UV_PYTHON_DOWNLOADS := never
# Trust whom the machine trusts, where it says so.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt),)
export UV_SYSTEM_CERTS := true
endif
unexport VIRTUAL_ENV
unexport PYTHONPATH
unexport PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bench-full verify screenshots lock release clean

help:
	@echo 'make demo        five faces at work, with the dashboard; database and replies go to .demo/'
	@echo 'make test        run the tests, then build the wheel and try it in an empty environment'
	@echo 'make check       lint, formatting, types, and who imports whom'
	@echo 'make format      format the code and mend what the linter can mend'
	@echo 'make bench       measure against the machine and against a peer'
	@echo 'make bench-full  the same at full size'
	@echo 'make verify      the long search for faults'
	@echo 'make screenshots take the pictures of the dashboard in docs/images anew'
	@echo 'make lock        compile requirements/*.txt again; UPGRADE=--upgrade moves to newer versions'
	@echo 'make release     check and test, then build the sdist and the wheel in dist/; uploads nothing'
	@echo 'make clean       remove .venv and everything that make wrote'

demo: $(VENV)/.run
	@mkdir -p .demo
	$(BIN)/holdfast demo --url sqlite:///.demo/demo.db --out .demo/drafts

test: $(VENV)/.dev
	@mkdir -p .test
	$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --junitxml=.test/junit.xml
	$(BIN)/python -m tests.wheel_check

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

bench-full: $(VENV)/.bench
	$(BIN)/python -m benchmarks --full

verify: $(VENV)/.dev
	$(BIN)/python -m pytest -m verify --hypothesis-profile=explore --numprocesses=3

screenshots: $(VENV)/.dev
	$(BIN)/python -m tests.web.screenshots

lock: ALL := $(foreach extra,server work schedules codec redis yaml agents langgraph objects intake publish otel,--extra $(extra))
lock: $(VENV)/.uv
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) requirements/build.in -c requirements/run.txt -o requirements/build.txt
	$(COMPILE) $(ALL) pyproject.toml -c requirements/run.txt -c requirements/build.txt -o requirements/all.txt
	$(COMPILE) $(ALL) pyproject.toml requirements/build.in requirements/dev.in \
		-c requirements/all.txt -c requirements/build.txt -o requirements/dev.txt
	$(COMPILE) requirements/bench.in -c requirements/dev.txt -o requirements/bench.txt

release: check test
	$(BIN)/python -m deploy.release

clean:
	rm -rf $(VENV) .demo .test .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist

# Stamps: each stands for an environment that matches its locks.

$(VENV)/.uv: requirements/build.txt
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 or later with venv and ensurepip was found; name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/build.txt
	@touch $@

# Only what a user of the package has, with every extra. Leaves a development environment that is up to date as it is.
$(VENV)/.run: $(VENV)/.uv requirements/all.txt pyproject.toml
	@rm -f $(VENV)/.dev $(VENV)/.bench
	$(SYNC) requirements/build.txt requirements/all.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.uv requirements/dev.txt pyproject.toml
	@rm -f $(VENV)/.bench
	$(SYNC) requirements/dev.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.run $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	$(INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@
