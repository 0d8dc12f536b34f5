# What one does with this repository. `make help` lists it; CONTRIBUTING.md tells
# how the pieces fit. Works with GNU make 3.81 and later and bash.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
# The steps use every core by themselves, and their output reads in order.
.NOTPARALLEL:
.DEFAULT_GOAL := help

GO    ?= go
TOOLS := $(CURDIR)/.tools
BIN   := $(TOOLS)/bin
OUT   := $(CURDIR)/out

# buf finds the code generators, and nothing but them, by name.
export PATH := $(BIN):$(PATH)

# The race detector needs cgo, and cgo a C compiler.
CC_FOUND  = $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) 2>/dev/null)
RACE      = $(if $(CC_FOUND),-race)
NO_CGO    = $(if $(CC_FOUND),,CGO_ENABLED=0)
SAY_RACE  = $(if $(CC_FOUND),,echo 'no C compiler found: running WITHOUT the race detector (install gcc or clang, or set CC)')

# The virtual environment of Python workers, where executor.Python finds it.
PYTHON ?= python3
VENV   := $(CURDIR)/.venv
export PYTHON

# Extra flags for go test, e.g. make test TESTFLAGS='-v -run TestMap'.
TESTFLAGS ?=
DEMOFLAGS ?=
BENCHFLAGS ?=

step = printf '\n== %s\n' '$(1)'

##@ Everyday

.PHONY: help
help: ## list what make can do
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

.PHONY: demo
demo: ## thumbnails of a folder of images in worker processes; prints where the sheet is
	@$(GO) run ./examples/thumbnails $(DEMOFLAGS)

.PHONY: demo-python
demo-python: ## scikit-learn in Python workers: a classifier asked 1,797 times, and a segmentation fault
	@tools/venv.sh examples/digits/.venv ./sdk/python -r examples/digits/requirements.txt
	@$(GO) run ./examples/digits

# Python is what not everybody has: without it the rest runs all the same.
.PHONY: test
test: ## every test of every module, with the race detector, and of the Python SDK; a minute of it is TestChaos
	@$(SAY_RACE)
	@if $(MAKE) --no-print-directory python; then \
	  $(MAKE) --no-print-directory test-python; \
	else \
	  echo 'Python workers are NOT TESTED: see above. The rest is.'; \
	fi
	$(NO_CGO) $(GO) test $(RACE) -timeout 20m $(TESTFLAGS) work

.PHONY: python
python: ## set up .venv with the Python SDK, for its tests, the examples and make bench
	@tools/venv.sh $(VENV) -e './sdk/python[dev]'

.PHONY: test-python
test-python: python ## the tests of the Python SDK, which need no Go
	cd sdk/python && $(VENV)/bin/python -m pytest -q $(PYTESTFLAGS)

.PHONY: check
check: fmt-check vet lint proto-check generate-check python-check imports test-short ## all that must hold before a commit (under two minutes once the tools are built)
	@$(call step,make check: all good)

.PHONY: fmt
fmt: $(BIN)/gofumpt $(BIN)/golangci-lint $(BIN)/buf ## format Go and proto files, sort imports
	gofumpt -w .
	golangci-lint fmt
	buf format -w

.PHONY: generate
generate: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## rebuild internal/gen, and the Python SDK's messages, from proto/
	buf generate
	cd sdk/python && $(PYTHON) generate.py

.PHONY: python-package
python-package: python ## build the wheel of the Python SDK into out/python, and serve a task with it in an empty environment
	rm -rf $(OUT)/python
	$(VENV)/bin/python -m build --outdir $(OUT)/python sdk/python
	tools/venv.sh $(OUT)/python/venv $(OUT)/python/*.whl
	VIRTUAL_ENV=$(OUT)/python/venv $(GO) run ./cmd/procpool call summary '[1, 2, 3]' -- $(OUT)/python/venv/bin/python examples/polyglot/worker.py

##@ Measuring and hunting

.PHONY: bench
bench: ## the comparison with other pools, as a table and as out/bench.json (BENCHFLAGS=-quick for a look)
	@mkdir -p $(OUT)
	$(GO) run -C bench . -json $(OUT)/bench.json $(BENCHFLAGS)

MATRIXFLAGS ?=
.PHONY: matrix
matrix: ## what each kind of crash costs procpool and the pools of CPython, as a table and as out/matrix.json (a minute)
	@mkdir -p $(OUT)
	$(GO) run -C bench ./matrix -json $(OUT)/matrix.json $(MATRIXFLAGS)

.PHONY: microbench
microbench: $(BIN)/benchstat ## the Benchmark functions through benchstat; OLD=file compares with an earlier run
	@mkdir -p $(OUT)
	$(GO) test -run '^$$' -bench . -benchmem -count 6 $(TESTFLAGS) work | tee $(OUT)/microbench.txt
	benchstat $(OLD) $(OUT)/microbench.txt

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: ## each Fuzz function for FUZZTIME (30s); FUZZ=regexp chooses
	@GO=$(GO) FUZZTIME=$(FUZZTIME) tools/fuzz.sh '$(or $(FUZZ),.)'

COUNT ?= 50
.PHONY: stress
stress: ## one test COUNT (50) times under load: make stress PKG=./executor RUN=TestCrash
	@$(SAY_RACE)
	@$(NO_CGO) GO=$(GO) RACE=$(RACE) COUNT=$(COUNT) tools/stress.sh '$(PKG)' '$(RUN)'

SOAK ?= 10m
.PHONY: soak
soak: ## TestChaos for SOAK (10m): random kills, stops and cancels; SEED=n makes the choices of a run again
	@$(SAY_RACE)
	$(NO_CGO) $(GO) test $(RACE) -count=1 -timeout 0 -v -run '^TestChaos$$' ./executor -chaos.for=$(SOAK) $(if $(SEED),-chaos.seed=$(SEED))

##@ Parts of make check

.PHONY: fmt-check
fmt-check: $(BIN)/gofumpt $(BIN)/buf ## gofumpt and buf format would change nothing
	@$(call step,format)
	@unformatted=$$(gofumpt -l .); [ -z "$$unformatted" ] || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }
	buf format -d --exit-code

# vet wants the types of what it compiles for another system, not its speed:
# without optimising that is a quarter cheaper, which shows in a fresh clone.
.PHONY: vet
vet: ## go vet for Linux, macOS and Windows
	@$(call step,vet)
	$(NO_CGO) $(GO) vet work
	@for system in linux darwin windows; do \
	  [ "$$system" != "$$($(GO) env GOOS)" ] || continue; \
	  echo "GOOS=$$system $(GO) vet work"; \
	  GOOS=$$system CGO_ENABLED=0 $(GO) vet -gcflags='all=-N -l' work; \
	done

.PHONY: lint
lint: $(BIN)/golangci-lint ## golangci-lint over every module
	@$(call step,lint)
	@failed=; while read -r dir; do \
	  echo "golangci-lint run ./... (in .$${dir#$(CURDIR)})"; \
	  (cd "$$dir" && golangci-lint run --allow-parallel-runners ./...) || failed=yes; \
	done < <($(GO) list -m -f '{{.Dir}}'); [ -z "$$failed" ]

LANDED := proto/landed.txtpb
.PHONY: proto-check
proto-check: $(BIN)/buf ## buf lint, and no change that breaks workers built against the landed contract
	@$(call step,worker contract)
	buf lint
	@if [ -e $(LANDED) ]; then \
	  echo 'buf breaking --against $(LANDED)'; buf breaking --against $(LANDED); \
	else \
	  echo 'buf breaking: skipped, no contract has landed yet ($(LANDED) is missing; make landed writes it)'; \
	fi

.PHONY: landed
landed: $(BIN)/buf ## record proto/ as the contract that later changes are held against
	buf build --exclude-source-info -o $(LANDED)

.PHONY: generate-check
generate-check: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## internal/gen is what proto/ says
	@$(call step,generated code)
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	buf generate -o "$$dir"; \
	diff -r internal/gen "$$dir/internal/gen" || { echo 'internal/gen is out of date: run make generate'; exit 1; }

.PHONY: python-check
python-check: ## ruff and mypy find nothing in the Python SDK, and its generated code is what proto/ says
	@$(call step,Python SDK)
	@if $(MAKE) --no-print-directory python; then \
	  set -x; cd sdk/python; \
	  $(VENV)/bin/ruff check .; \
	  $(VENV)/bin/ruff check --ignore D ../../examples ../../bench ../../.ci; \
	  $(VENV)/bin/ruff format --check . ../../examples ../../bench ../../.ci; \
	  $(VENV)/bin/mypy; \
	else \
	  echo 'The Python SDK is NOT CHECKED: see above.'; \
	fi

# -count=1: the test cache does not see that git lists another file.
.PHONY: imports
imports: ## who may import whom, and the repository's other written rules
	@$(call step,repository rules)
	$(GO) test -count=1 ./internal/repocheck

.PHONY: test-short
test-short: ## the tests that start no processes
	@$(call step,short tests)
	@$(SAY_RACE)
	$(NO_CGO) $(GO) test -short $(RACE) $(TESTFLAGS) work

##@ Tools and housekeeping

# One module per tool, because their dependencies do not agree with each other.
# A tool is built again when its pin or the Go version has changed.
TOOL_NAMES := buf golangci-lint gofumpt protoc-gen-go protoc-gen-go-grpc benchstat

.PHONY: tools
tools: $(addprefix $(BIN)/,$(TOOL_NAMES)) ## build the pinned tools into .tools/bin (the first time takes some minutes)

$(addprefix $(BIN)/,$(TOOL_NAMES)): $(BIN)/%: tools/%/go.mod tools/%/go.sum $(TOOLS)/go-version
	@mkdir -p $(BIN)
	@echo "building $* (tools/$*/go.mod)"
	@GOWORK=off GOFLAGS= GOOS= GOARCH= $(GO) build -C tools/$* -buildvcs=false -o $(BIN)/ tool
	@touch $@

.PHONY: FORCE
FORCE:
$(TOOLS)/go-version: FORCE
	@mkdir -p $(TOOLS)
	@$(GO) env GOVERSION | cmp -s - $@ || $(GO) env GOVERSION > $@

.PHONY: clean
clean: ## remove what benchmarks, demos and test runs left (the tools stay)
	rm -rf $(OUT)

.PHONY: clean-tools
clean-tools: ## remove the built tools as well
	rm -rf $(TOOLS)
