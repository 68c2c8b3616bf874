# Everything a person or CI does with this project. `make` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python
PREPARE := $(PYTHON) deploy/prepare.py

# Tests that want no server of ours for long, and those that mostly wait for a browser, Kafka or
# Postgres: two processes share them, the latter file by file. All others have both cores alone.
SHORT := tests/unit tests/property tests/integration/api
WAITING := tests/e2e tests/integration/ingest tests/integration/worker
WHOLE := tests/e2e/whole
ALONE := $(addprefix --ignore=,$(SHORT)) --ignore-glob='tests/e2e/test_*' \
  $(addprefix --ignore=,$(filter-out tests/e2e,$(WAITING)))

.DEFAULT_GOAL := help
.PHONY: help demo servers down status test lint format bench clean clean-data test-faults mutants screenshots env jars web proto job-zip

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: ## start everything on this machine, with demo traffic; address and login at the end
	@$(PREPARE)
	@$(RUN) -m deploy.embedded up --demo

servers: ## start only Postgres, Kafka and Flink
	@$(PREPARE)
	@$(RUN) -m deploy.embedded up --servers

down: ## stop what `make demo` started; data are kept
	@test -x $(RUN) || { echo "Nothing is running."; exit 0; }; $(RUN) -m deploy.embedded down

status: ## show what runs
	@test -x $(RUN) || { echo "Nothing is running."; exit 0; }; $(RUN) -m deploy.embedded status || true

test: ## lint, types, import arrows, and all tests on real servers
	@$(PREPARE) --browser
	@$(MAKE) --no-print-directory check
	$(RUN) -m pytest -n 2 --dist worksteal $(SHORT) $(PYTEST)
	$(RUN) -m pytest -n 2 --dist loadfile $(WAITING) --ignore=$(WHOLE) $(PYTEST)
	$(RUN) -m pytest $(ALONE) $(PYTEST)

coverage: ## the same tests, with what of the code they ran (counting branches takes three times as long)
	@$(PREPARE) --browser
	$(RUN) -m pytest -n 2 --dist worksteal --cov --cov-report= $(SHORT) $(PYTEST)
	$(RUN) -m pytest -n 2 --dist loadfile --cov --cov-append --cov-report= $(WAITING) --ignore=$(WHOLE) $(PYTEST)
	$(RUN) -m pytest --cov --cov-append --cov-report=term:skip-covered $(ALONE) $(PYTEST)

test-faults: ## every fault by itself under load, half an hour, with a table at the end
	@$(PREPARE)
	$(RUN) -m pytest -m fault tests/fault $(PYTEST)

screenshots: ## pictures of every page in .screenshots: light, dark, narrow, empty, failing
	@$(PREPARE) --browser
	$(RUN) -m tests.e2e.gallery

mutants: ## how much of the language its golden cases pin down (MUTANTS="--sample 500 --seed 2")
	@$(PREPARE) env
	$(RUN) -m tests.support.mutants $(MUTANTS)

.PHONY: check
check:
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports --no-logo

lint: ## ruff, mypy --strict, import arrows
	@$(PREPARE) env native
	@$(MAKE) --no-print-directory check

format: ## format the sources
	@$(PREPARE) env
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: ## throughput, latency, precision and recall (BENCH="--rules 100 --seconds 60")
	@$(PREPARE)
	.venv/bin/betrace bench $(BENCH)

env: ## only the Python environment
	@$(PREPARE) env native

jars: ## only the jars
	@$(PREPARE) jars

web: ## only the web bundle
	@$(PREPARE) web

proto: ## generate the wire formats' Python modules from the .proto files
	@$(PREPARE) env
	$(RUN) -m udfs.wire.generate

job-zip: ## dist/betrace-job.zip, the sources for `flink run -pyfs`
	@$(PREPARE) env
	@$(RUN) -c 'from pathlib import Path; from jobs.package import write_package; print(write_package(Path("dist/betrace-job.zip"), root=Path.cwd()))'

clean: ## remove environment, caches and bundle; data stay
	@$(MAKE) --no-print-directory down
	rm -rf .venv .tools api/web/static/dist api/web/frontend/node_modules build dist mutants *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: ## stop, and remove all data of the embedded servers
	@$(MAKE) --no-print-directory down
	@home="$${BETRACE_HOME:-.betrace}"; \
	if [ -L "$$home/postgres" ]; then rm -rf "$$(readlink -f "$$home/postgres")"; fi; \
	rm -rf "$$home"
