# Everything a person types here. Needs Python 3.11 or newer, make and git; the rest goes into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
CLIENTS := .clients
LEARNING := OUT ARMS SEEDS
ROUTING := OUT ADAPTER QUESTIONS TEACHER PROMPT
FORTNIGHT := OUT DAYS FIRST EACH POISONED QUESTIONS
NATURAL := OUT TEACHER_URL TEACHER_MODEL LLAMA_SERVER TEACHER_GGUF COUNT MINUTES SAMPLES ASKS AGENTS PACKAGES SEED STORE

export HF_HUB_OFFLINE := 1
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help install demo serve test test-gateway test-school test-nights test-all clients check fix bench soak faults fuzz natural-day learning-curve router-table fortnight freeze

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(READY) ## Make .venv with everything in it; does nothing when it is up to date

demo: $(READY) ## A day, a night and another day on this machine; writes demo/report.html
	$(BIN)/nightschool demo --out demo

serve: $(READY) ## The gateway with the embedded student and the stand-in teacher on port 8787
	$(BIN)/nightschool serve --profile embedded

test: $(READY) ## The tests, without the slow ones and those of test-gateway and test-school
	$(BIN)/python -m pytest -m "not slow and not clients and not gateways and not school"

test-gateway: $(READY) ## The gateway's wires, clients, keys, faults: tests that start gateways and engines by the dozen
	$(BIN)/python -m pytest -m "gateways and not slow and not clients"

test-school: $(READY) ## Questions by the hundred, facts beside other tools, tools attacked, training, conversions
	$(BIN)/python -m pytest -m "school and not slow and not clients and not gateways"

test-nights: $(READY) ## Nights whose adapter is promoted, killed some thirty times; half an hour
	$(BIN)/python -m pytest -m slow tests/acceptance/test_night_promoted.py

test-all: $(READY) ## All tests but those of `make clients`
	$(BIN)/python -m pytest -m "not clients"

clients: $(READY) $(CLIENTS)/.ready ## Aider, Claude Code, Codex and OpenCode through a session each; fetches them (2 GB)
	$(BIN)/python -m pytest -m clients tests/clients

check: $(READY) ## Lint, format, types, import directions, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_budgets.py

fix: $(READY) ## Format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## The benchmarks as JSON lines; one of them with ONLY=name
	$(BIN)/python -m tests.bench $(if $(ONLY),ONLY=$(ONLY)) $(if $(SIZE),SIZE=$(SIZE)) $(if $(CALLS),CALLS=$(CALLS)) $(if $(TRACES),TRACES=$(TRACES)) $(if $(ADAPTER),ADAPTER=$(ADAPTER)) $(if $(EXAMPLES),EXAMPLES=$(EXAMPLES))

soak: $(READY) ## Ten minutes of everything at once; another length with SECONDS=n
	$(BIN)/python -m tests.bench ONLY=soak $(if $(SECONDS),SECONDS=$(SECONDS))

faults: $(READY) ## Meet every fault of a model's server on every wire; writes the tables of docs/faults.md
	$(BIN)/python -m tests.faults

fuzz: $(READY) ## Ten thousand requests that nobody would write; another number with COUNT=n
	FUZZ=$(or $(COUNT),10000) $(BIN)/python -m pytest tests/fuzz

freeze: $(READY) ## Make the items of the frozen examinations anew; one of them with ONLY=name
	$(BIN)/python -m distill.examination.freeze $(or $(ONLY:%=data/examinations/%),$(wildcard data/examinations/*/))

natural-day: $(READY) ## A day of two agents on a model of yours, and what of it may be learnt; docs/filters.md says how
	$(BIN)/python -m tests.natural $(foreach name,$(NATURAL),$(if $($(name)),$(name)=$($(name))))

learning-curve: $(READY) ## What the embedded student learns from how many conversations; hours. docs/training.md says how
	$(BIN)/python -m tests.learning $(foreach name,$(LEARNING),$(if $($(name)),$(name)=$($(name))))

router-table: $(READY) ## What the router's rules and gates come to on drafts of the embedded student; docs/router.md says how
	$(BIN)/python -m tests.routing $(foreach name,$(ROUTING),$(if $($(name)),$(name)=$($(name))))

fortnight: $(READY) ## Fourteen days and nights with the embedded student, two of them bad; an hour or more
	$(BIN)/python -m tests.fortnight $(foreach name,$(FORTNIGHT),$(if $($(name)),$(name)=$($(name))))

$(CLIENTS)/.ready: tests/clients/agents/aider.txt tests/clients/agents/package.json | $(READY)
	@command -v npm >/dev/null || { echo "make clients needs npm, which comes with Node 20 or newer"; exit 1; }
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(CLIENTS)/aider
	$(BIN)/uv pip install --quiet --python $(CLIENTS)/aider/bin/python --requirement tests/clients/agents/aider.txt
	mkdir -p $(CLIENTS)/npm
	cp tests/clients/agents/package.json $(CLIENTS)/npm/
	npm install --prefix $(CLIENTS)/npm --no-package-lock --no-audit --no-fund
	touch $@

$(READY): pyproject.toml uv.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.13"
	$(BIN)/uv sync --frozen
	touch $@
