# Everything runs in .venv, which the first target that needs it creates from the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: help setup demo dev test check lint lock quality bench docs compose deploy manifests clean

help:
	@echo "make setup   create .venv from the lock"
	@echo "make demo    parse the bundled samples and show what came out"
	@echo "make dev     open the Dagster UI on the same instance"
	@echo "make test    the whole test suite, with coverage"
	@echo "make check   linters, types, import rules, then the tests: what CI calls"
	@echo "make quality measure the corpus on the development server, against its accepted baseline"
	@echo "make bench   measure against the peer, which is installed for it; see docs/benchmarks.md"
	@echo "make compose the whole system with Docker, on this machine"
	@echo "make deploy  bring it into a cluster: ENV=staging [DRY_RUN=1]; see deploy/README.md"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make manifests  the rules on what is deployed, alone"
	@echo "make lock    resolve the dependencies anew"

setup: $(STAMP)

$(STAMP): locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, for example: make PYTHON=python3.12")'
	@echo "Creating $(VENV) from locks/dev.txt; this takes a few minutes."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	$(BIN)/mineru-pipeline run samples

dev: $(STAMP)
	$(BIN)/mineru-pipeline dev

# So many processes share the tests, which mostly wait; 0 runs them one after the other, in this process.
PROCESSES ?= 4
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder --cov --cov-report=term

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

# The corpus on the development server, whatever model is set, against its accepted baseline. A document that is not
# parsed fails at once, a reject after that; inconclusive (4) passes: too little was measured to tell, and it says so.
# For example: make quality QUALITY="--sample 2".
QUALITY ?=
quality: export MINERU_PIPELINE__VLLM_SERVER__BASE_URL =
quality: $(STAMP)
	$(BIN)/mineru-pipeline baseline measure --config bench/quality.yaml $(QUALITY)
	$(BIN)/mineru-pipeline baseline report --config bench/quality.yaml
	$(BIN)/mineru-pipeline baseline compare --config bench/quality.yaml || [ $$? -eq 4 ]
	$(BIN)/mineru-pipeline thresholds validate

# What is deployed, and what CI does: rendered, validated, and held to the rules in tests/.
manifests: $(STAMP)
	$(BIN)/actionlint
	$(BIN)/python -m pytest tests/deploy

# For example: make deploy ENV=staging DRY_RUN=1. CONTEXT is kubectl's, by default mineru-ENV; YES=1 asks nothing.
deploy: $(STAMP)
	@test -n "$(ENV)" || { echo "make deploy ENV=development|staging|production [DRY_RUN=1] [YES=1] [CONTEXT=…]"; exit 2; }
	$(BIN)/python deploy/deploy.py $(ENV) $(if $(CONTEXT),--context $(CONTEXT)) $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes)

# The whole system with Docker: makes deploy/compose/.env with new secrets where there is none.
compose:
	$(PYTHON) deploy/compose/make_env.py
	docker compose --file deploy/compose/compose.yaml up --build --detach --wait

# For example: make bench BENCH="--only cpu --pdfs ~/papers".
BENCH ?=
bench: $(STAMP)
	$(BIN)/python -m bench $(BENCH)

# The pages of settings and commands are made of the code; a warning fails the build.
# Not quiet: mkdocs counts the warnings that it shows.
docs: $(STAMP)
	$(BIN)/python docs/make_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The override of opencv-python is in pyproject.toml; no index host is ever written.
UV_COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-header --quiet --upgrade
lock: $(STAMP)
	$(UV_COMPILE) --extra devserver --extra quality --extra cluster --group dev -o locks/dev.txt
	$(UV_COMPILE) --constraint locks/dev.txt -o locks/worker.txt
	$(UV_COMPILE) --extra cluster --extra quality --constraint locks/dev.txt -o locks/cluster.txt
	$(UV_COMPILE) --extra devserver --constraint locks/dev.txt -o locks/devserver.txt
	# vLLM publishes wheels for Linux alone.
	$(BIN)/uv pip compile pyproject.toml --extra gpu-server --python-platform linux --python-version 3.12 \
		--generate-hashes --no-header --quiet --upgrade -o locks/gpu-server.txt
	# What images are built with, and what vLLM's own image lacks.
	echo hatchling | $(BIN)/uv pip compile - --universal --generate-hashes --no-header --quiet --constraint locks/dev.txt \
		-o deploy/docker/build.txt
	printf '%s\n' mineru-vl-utils httpx-retries aiofiles | $(BIN)/uv pip compile - --no-deps --python-platform linux \
		--python-version 3.12 --generate-hashes --no-header --quiet --constraint locks/gpu-server.txt -o deploy/docker/vllm.txt

clean:
	rm -rf $(VENV) data site .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
