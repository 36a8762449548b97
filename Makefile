# automation-infra: `make` lists what there is to do.
GO      ?= go
BIN     := bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LINT    := $(BIN)/golangci-lint
LINT_VERSION := v2.15.0

# The race detector needs cgo and a C compiler.
RACE := $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) >/dev/null 2>&1 && echo -race)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## run both services over an embedded Redis, on localhost:8080 and :7080
	$(GO) run -ldflags '-X main.version=$(VERSION)' ./cmd/standalone

.PHONY: build
build: ## build the programs into bin/
	$(GO) build -trimpath -tags nomsgpack -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/...

.PHONY: test
test: ## run the tests on an embedded Redis
	@[ -n "$(RACE)" ] || echo "SKIPPED without a C compiler: the race detector"
	@for tool in bash curl redis-cli; do command -v $$tool >/dev/null || echo "SKIPPED without $$tool: the README's commands"; done
	@echo "SKIPPED here, run by make test-redis: tests on a real redis-server"
	$(GO) test $(RACE) $(TESTFLAGS) ./...

.PHONY: test-redis
test-redis: ## run the store and HTTP tests on a real redis-server as well
	@command -v redis-server >/dev/null || { echo "redis-server is missing: apt-get install redis-server"; exit 1; }
	TEST_REDIS=redis-server $(GO) test $(RACE) $(TESTFLAGS) ./store/... ./api/... ./cmd/...

PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
.PHONY: test-python
test-python: ## run the tests of the Python client, with Debian's python3-pytest
	@if $(PYTHON) -c 'import pytest' 2>/dev/null; then \
		timeout -s INT -k 15 300 $(PYTHON) -B -m pytest -q -p no:cacheprovider clients/python; \
	else echo "SKIPPED without python3-pytest: the tests of the Python client"; fi

FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## fuzz every decoder and name parser, FUZZTIME (10s, or 1000x) each
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: bench
bench: ## run the Go benchmarks on a real redis-server
	TEST_REDIS=redis-server $(GO) test -run '^$$' -bench . -benchmem ./store/...

.PHONY: lint
lint: $(LINT) ## check formatting, vet and golangci-lint
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(LINT) run ./...

$(LINT):
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
