# What a maintainer runs. 'make test' is all that CI runs.

GO       ?= go
FUZZTIME ?= 20s
N        ?= 1000
SEED     ?= 0

.PHONY: build test quick format vet staticcheck engines race crashes vulncheck generated tidy fuzz torture bench clean

build: ## the programs, into bin/
	$(GO) build -trimpath -o bin/ ./cmd/...

# Where servers can be installed, a test that lacks one fails; elsewhere it says so.
ENGINES := $(shell [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo required)

test: format vet staticcheck generated tidy engines race crashes vulncheck ## everything that CI runs

quick: ## the tests alone, without the race detector
	$(GO) test ./...

format:
	@echo '== format'
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	 if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

vet:
	@echo '== vet'
	$(GO) vet ./...

staticcheck:
	@echo '== staticcheck'
	$(GO) tool staticcheck ./...

generated: ## generated files are current
	@echo '== generated files'
	@tests/generated.sh

tidy: ## go.mod names what is needed, and nothing else
	@echo '== go.mod'
	$(GO) mod tidy -diff

# SQLite in Go is C translated: checking its pointer arithmetic doubles the time and
# finds nothing that is ours. The race detector itself watches it all the same.
# Long calculations, which the detector makes ten times longer. What they do in
# parallel they do by internal/search/stream, which is tested with it.
NUMBERS := internal/search/(builtin|fold|draw)$$

race: ## all tests with the race detector; seeds of the fuzz targets are among them
	@echo '== tests'
	LONGHAUL_ENGINES=$(ENGINES) $(GO) test -race -gcflags=modernc.org/...=-d=checkptr=0 -timeout 20m \
		$$($(GO) list ./... | grep -Ev '$(NUMBERS)')
	$(GO) test $$($(GO) list ./... | grep -E '$(NUMBERS)')

engines: ## install the real servers that tests start, if we are root on Debian
	@echo '== servers'
	@tests/engines/install.sh

vulncheck:
	@echo '== known vulnerabilities'
	@tests/vulncheck.sh

fuzz: ## every fuzz target for FUZZTIME
	@tests/fuzz.sh $(FUZZTIME)

crashes: ## a sample of what 'make torture' does at length
	@echo '== crashes'
	$(GO) run ./tests/torture -sample 6 -n 6

torture: ## kill the daemons at every side effect, and N times at random
	$(GO) run ./tests/torture -n $(N) -seed $(SEED)

bench: ## the inner loops, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf bin
