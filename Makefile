# Everything here is a plain go command with its flags written down; nothing
# needs make.
GO ?= go
BIN := bin
GOLANGCI_VERSION := v2.13.2
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s

.PHONY: build demo test race lint fuzz bench image clean

build: ## the static binary, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/switchyard ./cmd/switchyard

demo: ## real pushes, real per-commit runs
	$(GO) run ./cmd/switchyard demo

test:
	$(GO) test ./...

race: ## but not in SQLite, which is C translated to Go: there it is slow and finds nothing
	$(GO) test -race -gcflags=modernc.org/...=-race=false -gcflags=modernc.org/sqlite= ./...

lint: $(BIN)/golangci-lint
	$(GO) vet ./...
	$(BIN)/golangci-lint run

$(BIN)/golangci-lint:
	GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

bench: ## the measures of docs/benchmarks.md
	$(GO) run ./bench/ingest
	$(GO) run ./bench/fanout
	$(GO) run ./bench/crash
	$(GO) run ./bench/engine
	$(GO) run ./bench/restart
	$(GO) run ./bench/prune

image:
	docker build --build-arg VERSION=$(VERSION) -t switchyard:$(VERSION) .

clean:
	rm -rf $(BIN)
