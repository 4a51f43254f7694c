# `make` alone is what CI runs. `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := ci

export GO ?= go
# How much each fuzz target gets: a number of inputs, or a time such as 1m. By default a number, because a time below ten
# seconds is over before Go notices that a target hangs, and calls that a pass.
FUZZTIME ?= 10000x
# Cases of http-tests/cache-tests: tests.json as its `npm run export` writes it. Without the file those tests are skipped.
EDGECACHE_CACHE_TESTS ?= $(realpath ../shared/cache-tests/tests.json)
export EDGECACHE_CACHE_TESTS

# The race detector and a random order are not options: a test that needs neither is a test that hides something.
# A busy machine may need longer than Go's ten minutes for the models.
STRICT := -race -shuffle=on -timeout=30m
TEST := $(GO) test $(STRICT)
# Built from source by the Go command: under two minutes on two cores with nothing cached, a second after that.
GOLANGCI_LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: ci
ci: test lint cover fuzz ## everything below that CI runs

.PHONY: test
test: ## tests of every module, with -race and -shuffle=on
	@echo "all tests, with the race detector: about 9 minutes on two cores (make quick: one minute)"
	@scripts/test $(STRICT)

.PHONY: quick
quick: ## short tests of the root module, in less than a minute
	@echo "short tests, without the race detector: less than a minute on two cores"
	$(GO) test -short -shuffle=on ./...

.PHONY: lint
lint: fmt mod ## gofmt, modules, golangci-lint (go vet and staticcheck are in it)
	scripts/each $(GOLANGCI_LINT) run

.PHONY: fmt
fmt:
	@unformatted=$$(gofmt -l .); [[ -z $$unformatted ]] || { echo "gofmt -w these files:" >&2; echo "$$unformatted" >&2; exit 1; }

.PHONY: mod
mod:
	scripts/each $(GO) mod verify
	scripts/each $(GO) mod tidy -diff

.PHONY: cover
cover: ## coverage gate of the packages that decide
	scripts/cover 95 ./internal/field ./internal/key ./internal/rules

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10000x, or a time such as 1m)
	scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## writes docs/performance.md again: edgecache beside nginx, Varnish and others; BENCH=-full takes over an hour, Linux only
	cd bench && $(GO) run . $(BENCH)

.PHONY: micro
micro: ## benchmarks of every module
	scripts/each $(GO) test -run='^$$' -bench=. -benchmem ./...

.PHONY: long
long: ## the tests again with their long runs, up to two hours
	EDGECACHE_LONG=1 scripts/test $(STRICT) -timeout=2h

.PHONY: conformance
conformance: ## cases of http-tests/cache-tests; EDGECACHE_CACHE_TESTS names the file
	$(TEST) ./internal/testing/conformance/...
	$(TEST) -v -run='^TestConformance' .

.PHONY: conformance-live
conformance-live: ## the suite in real time against examples/proxy; ORIGIN= is the suite's own server
	scripts/conformance-live $(ORIGIN)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' Makefile
