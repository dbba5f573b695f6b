# `make quickstart` and `make test` are all a newcomer needs; both create the environment when it is missing.

PYTHON ?= python3
VENV ?= .venv
OUT ?= quickstart
BIN = $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_CONSTRAINT = constraints.txt

.PHONY: quickstart test coverage-staging test-tools lint types format benchmarks clean

quickstart: $(VENV)/.installed
	@$(BIN)/fedpsma model fetch || echo "No language model: the draft will use the template wording."
	$(BIN)/fedpsma quickstart --out $(OUT)

# Three workers keep two cores busy, for the tests of real federations mostly wait. They start hundreds of processes, so
# bytecode is kept whatever the environment says.
test: $(VENV)/.installed-test test-tools
	@$(BIN)/fedpsma model fetch || echo "No language model: its tests will be skipped."
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)
	$(MAKE) coverage-staging

# Every branch of the clinical rules is tested; 20 seconds.
coverage-staging: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -q tests/fedpsma/staging
	$(BIN)/python -m coverage report

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-lint
	$(BIN)/mypy

format: $(VENV)/.installed-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(VENV)/.installed-test
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

# Chromium for the page tests; where it cannot be installed they are skipped with the reason.
test-tools:
	@tests/install_tools.sh

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fedpsma needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# PyTorch goes first and by its exact version, so that no later package picks another build of it.
$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --editable ".[all]"
	@touch $@

# The independent privacy accountant asks for an attrs that everything else has left behind, so it comes without what it
# asks for; the rest of that is there already.
$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[all,simulation]" --group test
	$(BIN)/python -m pip install --quiet --no-deps absl-py dm-tree dp-accounting
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group lint
	@touch $@

clean:
	rm -rf $(VENV) $(OUT) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
