# make drill   builds everything, starts the reference system, runs the headline drills, prints the results, stops the system
# make test    every test that CI runs (unit tests with -race, then Docker and the reference system); about 11 minutes on two cores, more while nothing is built yet
# make help    the rest
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build drill test test-unit test-all test-netem lint bench images up down clean tools

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo dev)
STACK   := compose/grupogad/stack
TOOLS   := $(CURDIR)/.state/tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint
GOLANGCI_LINT_VERSION := v2.15.0

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## the static binary, bin/simulacro
	@command -v go >/dev/null || { echo "go is missing: install Go 1.26 or newer (https://go.dev/dl)"; exit 1; }
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/simulacro ./cmd/simulacro

drill: build ## the headline drills on the reference system, from nothing to a report
	@compose/grupogad/drill

images: ## build the reference system's images (cached)
	@$(STACK) images

up: images ## start the reference system
	@$(STACK) up

down: ## stop it and remove everything of it
	@$(STACK) down

test-unit: ## tests that need no Docker, with -race
	@SIMULACRO_NO_DOCKER=1 go test -race -count=1 -p 6 ./... # most of their time is waiting

test: build ## unit tests, Docker tests, and drills on the reference system, sound and broken
	@.ci/test short

test-all: build ## the long form: every variant, and 20 kills at random moments
	@.ci/test long

test-netem: ## the helper's tests in an emulated machine with netem and cgroup version 2 (optional; needs qemu, busybox-static, cpio)
	@.ci/netem

lint: $(GOLANGCI_LINT) ## golangci-lint with gofumpt
	@$(GOLANGCI_LINT) run ./...
	@cd verifier/load/bench && go vet ./... # a module of its own

$(GOLANGCI_LINT):
	@echo "building golangci-lint $(GOLANGCI_LINT_VERSION) (once)"
	@GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

tools: $(GOLANGCI_LINT)

bench: build ## every performance goal, measured against other tools: docs/PERFORMANCE.md (SHORT=1 only checks; ONLY=http-rate,...)
	@mkdir -p .state && cd verifier/load/bench && go build -o $(CURDIR)/.state/bench . && cd $(CURDIR) && .state/bench --simulacro bin/simulacro $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short,$(if $(ONLY),,--out docs/PERFORMANCE.md))

clean: ## remove what the builds made (not runs)
	@rm -rf bin .state
