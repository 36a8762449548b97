# automation-infra: `make` lists what there is to do.
GO      ?= go
BIN     := bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LINT    := $(BIN)/golangci-lint
LINT_VERSION := v2.15.0

# As the services are built, so is all else: nothing is compiled twice, and what is tested is what runs.
export GOFLAGS := $(GOFLAGS) -trimpath -tags=nomsgpack

# The race detector needs cgo and a C compiler.
RACE := $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) >/dev/null 2>&1 && echo -race)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## run both services over an embedded Redis, on localhost:8080 and :7080
	$(GO) run -ldflags '-X main.version=$(VERSION)' ./cmd/standalone

.PHONY: build
build: ## build the programs into bin/
	$(GO) build -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/... ./load ./load/ratio

.PHONY: test
test: ## run the tests on an embedded Redis
	@[ -n "$(RACE)" ] || echo "SKIPPED without a C compiler: the race detector"
	@for tool in bash curl redis-cli; do command -v $$tool >/dev/null || echo "SKIPPED without $$tool: the README's commands"; done
	@echo "SKIPPED here, run by make test-redis: tests on a real redis-server; by make test-stack: the Compose stack"
	$(if $(RACE),$(GO) test $(TESTFLAGS) -run '^TestMutants$$' ./store # slow under the race detector)
	$(GO) test $(RACE) $(TESTFLAGS) ./...

.PHONY: test-redis
test-redis: ## run the store and HTTP tests on a real redis-server as well
	@command -v redis-server >/dev/null || { echo "redis-server is missing: apt-get install redis-server"; exit 1; }
	TEST_REDIS=redis-server $(GO) test $(RACE) $(TESTFLAGS) ./store ./api ./cmd

PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
.PHONY: test-python
test-python: ## run the tests of the Python client, with Debian's python3-pytest
	@if $(PYTHON) -c 'import pytest' 2>/dev/null; then \
		timeout -s INT -k 15 300 $(PYTHON) -B -m pytest -q -p no:cacheprovider clients/python; \
	else echo "SKIPPED without python3-pytest: the tests of the Python client"; fi

# docker compose or docker-compose, whichever is there.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
random = $$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
.env: ## make the settings of the stack, with random passwords
	@umask 077; sed -e "s/^REDIS_PASSWORD=$$/&$(random)/" -e "s/^GRAFANA_ADMIN_PASSWORD=$$/&$(random)/" .env.example >.env.new
	@umask 077; [ -e devices.env ] || cp docker/devices.env devices.env
	@mv .env.new .env

.PHONY: up down logs ps redis-cli
up: .env ## run the whole service with Docker Compose, or take up changes
	VERSION=$(VERSION) $(COMPOSE) build
	$(COMPOSE) up -d --remove-orphans # as anybody will call it, to scale: nothing is made anew then
down: ## stop it; what is in its volumes stays
	$(COMPOSE) down --remove-orphans
logs: ## follow its logs
	$(COMPOSE) logs -f --tail 100
ps: ## show its containers
	$(COMPOSE) ps
redis-cli: ## look into its Redis
	$(COMPOSE) exec redis redis-cli

.PHONY: test-stack
test-stack: ## run the Compose stack, and break it, where there is a Docker engine
	@COMPOSE='$(COMPOSE)' GO='$(GO)' test/stack/run

.PHONY: test-faults soak
test-faults: ## break Redis, the network and the services under load, and check what clients were told; RUN=TestStorm for that alone
	@GO='$(GO)' RUN='$(RUN)' test/faults/run

DURATION ?= 30m
soak: ## the same with faults at random, for DURATION (30m)
	@GO='$(GO)' DURATION='$(DURATION)' test/faults/run

FUZZTIME ?= 10s
.PHONY: fuzz fuzz-blind
targets = grep -r --include='*_test.go' '^func Fuzz' . | sed -E 's,/[^/]*go:func (\w+).*, \1,' | sort
fuzz: ## fuzz every decoder and name parser, FUZZTIME (10s, or 1000x) each
	@set -e; $(targets) | while read -r pkg target; do \
		echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg </dev/null; \
	done
fuzz-blind: ## the same without an eye on what is covered, for which all would be compiled once more
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; $(targets) | while read -r pkg target; do \
		echo "$$pkg $$target"; $(GO) test -c -o "$$dir/" $$pkg; \
		(cd $$pkg; "$$dir"/*.test -test.run '^$$' -test.fuzz "^$$target$$" -test.fuzztime $(FUZZTIME) -test.fuzzcachedir "$$dir/corpus") </dev/null; \
		rm "$$dir"/*.test; \
	done

.PHONY: bench
bench: ## run the Go benchmarks, on a real redis-server; BENCHFLAGS='-count 6' for benchstat
	@command -v redis-server >/dev/null || { echo "redis-server is missing: apt-get install redis-server"; exit 1; }
	TEST_REDIS=redis-server $(GO) test -run '^$$' -bench . -benchmem $(BENCHFLAGS) ./store ./api

SCENARIO ?= floor
.PHONY: load
load: build ## put a lab under load and report: SCENARIO=floor (or morning, nightly, crash, ramp, …), LOADFLAGS='-allocator URL'
	$(BIN)/load -scenario $(SCENARIO) -out $(BIN)/load-$(notdir $(basename $(SCENARIO))).html $(LOADFLAGS)

.PHONY: bench-ratio
bench-ratio: build ## compare the services with Gin and Redis; RATIOFLAGS='-rounds 9 -sets http'
	$(BIN)/ratio -bin $(BIN) $(RATIOFLAGS)

.PHONY: lint
lint: $(LINT) ## check formatting, and golangci-lint, which vets
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted"; exit 1; }
	$(LINT) run ./...

$(LINT):
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
