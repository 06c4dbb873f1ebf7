# `make run` starts everything on this machine; `make test` passes the whole suite. Both install what they need.

PORT ?= 8000
KILLS ?= 1000
SEED ?= 1
WORKERS ?= 3
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv/bin
PIP := $(VENV)/python -m pip --disable-pip-version-check --quiet
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/pip-compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(if $(UPGRADE),--upgrade)

export PIP_ROOT_USER_ACTION := ignore

.PHONY: run test proofs check mutations bench bench-paper bench-pages soak fuzz fuzz-api tour lock clean

run: .venv/.installed  ## the local set, on PORT
	@exec $(VENV)/python manage.py up --port $(PORT)

test: .venv/.installed-dev  ## the suite by WORKERS, each on throw-away servers of its own; ARGS are pytest's
	@exec $(VENV)/python -m pytest --numprocesses $(WORKERS) --maxschedchunk 4 -m "not proof" $(ARGS)

proofs: .venv/.installed-dev  ## what the suite proves in short, at length: every point at which a process can die
	@$(VENV)/python -m pytest --numprocesses $(WORKERS) --maxschedchunk 1 -m proof $(ARGS)
	@HISTORIES=200 exec $(VENV)/python -m pytest tests/orders/test_positions_exactly.py $(ARGS)

check: .venv/.installed-dev  ## lint, format, types, directions
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy .
	$(VENV)/lint-imports

mutations: .venv/.installed-dev  ## break the code on purpose, and see a test go red each time; ARGS are words of a name
	@exec $(VENV)/python -m tests.mutations $(ARGS)

bench: .venv/.installed-dev  ## how fast the executor is, beside the same done by hand; ARGS are --rounds, --messages, --only
	@exec $(VENV)/python manage.py bench $(ARGS)

bench-paper: .venv/.installed-dev  ## how fast the paper Kite is; ARGS are --orders and --connections
	@exec $(VENV)/python -m tests.bench.paper_kite $(ARGS)

bench-pages: .venv/.installed-dev  ## how long each page takes at 100,000 orders, ORDERS= for others; ARGS are pytest's
	@exec $(VENV)/python -m pytest -q tests/bench/every_page.py $(ARGS)

soak: .venv/.installed-dev  ## KILLS kills of the executor, drawn from SEED, on servers of its own
	@exec $(VENV)/python manage.py soak --kills $(KILLS) --seed $(SEED) $(ARGS)

fuzz: .venv/.installed-dev  ## a hundred thousand damaged messages; the suite records some thousands
	@FUZZED_MESSAGES=100000 exec $(VENV)/python -m pytest tests/orders/test_fuzzed_messages.py $(ARGS)

fuzz-api: .venv/.installed-dev  ## the JSON API from its own schema, a hundred times as long as the suite does
	@FUZZED_REQUESTS=500 exec $(VENV)/python -m pytest tests/orders/api/test_fuzz.py $(ARGS)

tour: .venv/.installed-dev  ## pictures of every page into docs/tour; PAGES are the names of some, with commas between
	@PAGES=$(PAGES) exec $(VENV)/python -m pytest --quiet tests/browser/tour.py $(ARGS)

lock: .venv/.installed-dev  ## pin what pyproject.toml asks for; UPGRADE=1 takes the newest
	$(COMPILE) --extra local --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra local --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml

clean:  ## what tools left behind; neither the data in .local nor the environment in .venv
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache build *.egg-info
	rm -rf staticfiles test-results
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.local/*' -prune -exec rm -rf {} +

.venv/.installed: requirements.txt | .venv
	@echo "Installing requirements.txt into .venv; this takes a minute."
	@$(PIP) install --require-hashes -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt | .venv
	@echo "Installing requirements-dev.txt into .venv; this takes a minute."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# A `.venv` without pip is one whose creation was interrupted.
.PHONY: .venv
.venv:
	@test -x $(VENV)/pip && exit; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=." >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python cannot create environments: install python3-venv (apt-get install python3-venv)." >&2; exit 1; }; \
	$(PYTHON) -m venv --clear .venv
