.DEFAULT_GOAL := help
.PHONY: help run test check ways oldest model soak crowd lint bench bench-dashboard bench-100k client lock
PYTHON_IN_VENV := .venv/bin/python
# Most tests wait more than they compute: five processes for two cores. WORKERS=0 runs them in one.
WORKERS ?= $(shell echo $$((5 * $$(getconf _NPROCESSORS_ONLN) / 2)))
# Hundreds of tests start a hub: they need not compile it each time.
unexport PYTHONDONTWRITEBYTECODE
# What shares a server stays together; the long tests begin first, as tests/conftest.py sorts them.
STREAMS := tests/http/test_stream.py tests/http/test_slow_clients.py tests/replay/test_resume.py tests/control/test_kick.py
OLDEST := tests/broker tests/source/test_streams.py tests/source/test_cluster.py tests/source/test_sentinel.py \
	tests/server/test_connections.py tests/server/test_serve.py
PYTEST := $(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

help:  ## this menu
	@sed -n 's/^\([a-z0-9-]*\):.*## /make \1	/p' Makefile

run:  ## serve the hub on http://127.0.0.1:8000/ (HOST, PORT, REDIS_URL)
	@scripts/setup requirements-run.txt
	@SECRET_KEY="$${SECRET_KEY:-$$($(PYTHON_IN_VENV) -c 'import secrets; print(secrets.token_urlsafe(50))')}" \
		RELAY_OPERATOR_LINK="$${RELAY_OPERATOR_LINK:-1}" exec $(PYTHON_IN_VENV) manage.py relay serve

test:  ## run all tests, those in a browser included
	@scripts/setup requirements-dev.txt
	@scripts/test-programs
	@$(PYTEST) $(ARGS)

check: lint  ## lint, types and the fast tests: no hub, no browser
	@$(PYTEST) -q -m "not slow" $(ARGS)

ways:  ## the tests of streams again, under Daphne's own command and under another ASGI server
	@scripts/setup requirements-dev.txt
	@for server in daphne uvicorn; do HUB_SERVER=$$server $(PYTEST) -q $(STREAMS) $(ARGS) || exit 1; done

oldest:  ## tests of the hub with the oldest packages that pyproject.toml allows
	@VENV=.venv-oldest scripts/setup requirements-oldest.txt
	@$(subst .venv/,.venv-oldest/,$(PYTEST)) -q $(STREAMS) $(OLDEST) $(ARGS)

model:  ## thousands of random schedules of the simulation, six times those of `make test` (SCHEDULES, SEED)
	@scripts/setup requirements-dev.txt
	@SCHEDULES="$${SCHEDULES:-3000}" $(PYTEST) -q tests/simulation -k "every_client_gets or no_id_names" $(ARGS)

soak:  ## ten minutes of faults on real hubs; nothing may be lost or doubled (ARGS="--seconds N --seed N")
	@scripts/setup requirements-dev.txt
	@SECRET_KEY=for-the-soak-only $(PYTHON_IN_VENV) -m tests.soak $(ARGS)

crowd:  ## ten minutes of ten thousand clients that come and go; every message is counted (ARGS as for soak)
	@scripts/setup requirements-dev.txt
	@SECRET_KEY=for-the-crowd-only $(PYTHON_IN_VENV) -m tests.crowd $(ARGS)

lint:  ## ruff and mypy
	@scripts/setup requirements-dev.txt
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@SECRET_KEY=lint .venv/bin/mypy

bench:  ## measure against nginx (nchan) and others; writes docs/benchmarks.md
	@scripts/setup requirements-bench.txt
	@$(PYTHON_IN_VENV) -m bench --write $(ARGS)

bench-dashboard:  ## what the dashboard costs a browser at 30, 500 and 2,000 messages a second
	@scripts/setup requirements-dev.txt
	@scripts/test-programs
	@$(PYTHON_IN_VENV) -m bench.dashboard $(ARGS)

bench-100k:  ## 100,000 streams on one machine in six minutes; writes docs/benchmarks-100k.md (ARGS="--streams N")
	@scripts/setup requirements-bench.txt
	@$(PYTHON_IN_VENV) -m bench.streams100k --write $(ARGS)

client:  ## build the JavaScript client from frontend/client/src, and the schemas of events in docs/
	@scripts/setup requirements-dev.txt
	@scripts/client
	@$(PYTHON_IN_VENV) scripts/schema.py

lock:  ## requirements*.txt anew from requirements*.in, with hashes (UV, ARGS)
	@scripts/lock $(ARGS)
