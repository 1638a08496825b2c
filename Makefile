# Everything a newcomer or CI needs: `make run`, `make test`. A fresh machine has Python 3.11 with pip and venv,
# make and a C compiler; the rest is installed here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
ORIGIN ?=
CROWD ?= 100
VISITORS ?= 5000
SURGE ?=

.PHONY: run test test-fast lint format bench surge faults fuzz attack sbom lock system clean

run: $(VENV)/.run-ready  ## the demo, or the gate before a site: make run ORIGIN=https://shop.example
ifeq ($(ORIGIN),)
	@exec $(BIN)/gate demo --crowd $(CROWD)
else
	@exec $(BIN)/gate serve --origin $(ORIGIN)
endif

test: $(VENV)/.test-ready system  ## every test, on real stores, origins and a real browser
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	CI=$${CI:-} $(BIN)/python -m pytest -q

test-fast: $(VENV)/.test-ready  ## all but the browser's and the slow ones
	$(BIN)/python -m pytest -q --ignore=tests/e2e -m "not slow"

lint: $(VENV)/.test-ready  ## what `test` checks of the text
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

format: $(VENV)/.test-ready
	$(BIN)/python -m ruff format .

bench: $(VENV)/.test-ready  ## release accuracy, tuning, store memory; then nginx, HAProxy and the gate side by side, into docs/benchmarks.md
	$(BIN)/python loadtests/release_accuracy.py
	$(BIN)/python loadtests/tuning.py
	$(BIN)/python loadtests/store_memory.py
	$(BIN)/python loadtests/store_memory.py --claim
	$(BIN)/python loadtests/compare.py --out docs/benchmarks.md

surge: $(VENV)/.test-ready  ## visitors of every kind before a gate, by Locust, judged and reported: make surge VISITORS=500000
	$(BIN)/python -m loadtests.surge --visitors $(VISITORS) --out surge-report $(SURGE)

faults: $(VENV)/.test-ready system  ## the long form of the fault tests, more than an hour on a quiet machine, into docs/reliability.md
	rm -f .faults.jsonl
	GATE_FAULTS=long GATE_FAULTS_OUT=.faults.jsonl CI=1 $(BIN)/python -m pytest -q tests/faults; \
	status=$$?; $(BIN)/python -m tests.faults.results .faults.jsonl docs/reliability.md && exit $$status

fuzz: $(VENV)/.test-ready  ## a million mutated requests both ways, then every parser for half an hour, coverage-guided
	$(BIN)/python -m tests.fuzz requests --count 1000000
	$(BIN)/python -m pip install -q --disable-pip-version-check atheris==3.0.0 || echo "no atheris here: by mutation alone"
	$(BIN)/python -m tests.fuzz parsers --seconds 1800

attack: $(VENV)/.test-ready  ## slow clients, a flood of joins, a rotation of keys under load: what honest visitors feel
	PYTHONPATH=. $(BIN)/python loadtests/attack.py

sbom: $(VENV)/.run-ready  ## all that is installed to run, as CycloneDX, into deploy/sbom.json
	$(BIN)/python deploy/sbom.py requirements.lock > deploy/sbom.json

lock:  ## pin dependencies anew; the lock names no registry
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements.lock
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements-dev.lock

system:  ## system packages the tests need
	@sh tests/install_system.sh

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) || { echo "make: Python's venv is missing; on Debian: apt install python3-venv"; exit 1; }

# One recipe for both locks: uv where there is one, else the venv's own pip.
define install
$(if $(UV),$(UV) pip install -q --python $(BIN)/python --require-hashes -r $(1),$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(1))
endef

# The command `gate` in the venv, run from this checkout: no build tool, nothing unpinned.
define command
$(BIN)/python -c "import pathlib, sysconfig; \
  pathlib.Path(sysconfig.get_path('purelib'), 'gate.pth').write_text('$(CURDIR)\n'); \
  path = pathlib.Path('$(BIN)/gate'); \
  path.write_text('#!$(CURDIR)/$(BIN)/python\nfrom gate.cli import main\nmain()\n'); path.chmod(0o755)"
endef

$(VENV)/.run-ready: requirements.lock | $(VENV)/bin/python
	@echo "installing pinned dependencies …"
	@$(call install,requirements.lock)
	@$(command)
	@touch $@

$(VENV)/.test-ready: requirements-dev.lock | $(VENV)/bin/python
	@echo "installing pinned dependencies for the tests …"
	@$(call install,requirements-dev.lock)
	@$(command)
	@touch $@ $(VENV)/.run-ready

clean:
	rm -rf $(VENV) .gate .faults.jsonl surge-report .pytest_cache .mypy_cache .ruff_cache dist build
