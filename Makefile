# Sotto: two commands do everything. `make demo` runs the main job, `make test` passes the tests.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup web build demo engines engines-stop test drills lint screenshots bench bench-peers clean

CARGO_FLAGS ?=

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## install what is missing: Debian packages (as root), Rust, models
	@tools/setup

web: setup ## the pages: TypeScript checked, tested and built into dashboards/web/dist
	@tools/web

build: web ## the release binary
	@source tools/env && cargo build --release --workspace --locked $(CARGO_FLAGS)

demo: web ## play a two-sided call through a real Sotto and watch the transcript roll
	@source tools/env && cargo build --release --locked $(CARGO_FLAGS)
	@source tools/env && exec target/release/sotto demo tests/audio/sample_call.flac --scorecards docs/examples/scorecards

engines: ## a real Kafka and a real CQL server on this machine, in target/engines
	@tools/engines start

engines-stop: ## stop them and forget their data
	@tools/engines stop

test: web ## unit and whole-system tests, in a real browser and on a real Kafka and CQL server too
	@dashboards/alerts/check
	@tools/test $(CARGO_FLAGS)

drills: web ## kills, pauses and outages of a minute with up to 50 calls on air; takes a quarter of an hour
	@tools/test $(CARGO_FLAGS) --test system drills -- --ignored --test-threads 1

lint: web ## rustfmt, clippy with warnings as errors, cargo-deny, typos, and what deployment needs
	@tools/lint

screenshots: build ## the pictures in docs/screens, of a real board with real calls
	@source tools/env && source tools/node && CHROMIUM="$$(tools/browser | tail -n 1)" && export CHROMIUM && \
		SOTTO_BIN=target/release/sotto node tests/browser/screenshots.mjs

bench: build ## cost, latency, storage, accuracy and redaction as JSON: make bench [CORPUS=folder]
	@source tools/env && target/release/sotto-bench $(if $(CORPUS),--corpus $(CORPUS)) --commit "$$(git describe --always --dirty)"
	@source tools/env && where="$$(CQL_SYNC=periodic SOTTO_ENGINES=$(CURDIR)/target/bench-engines tools/engines start || true)" && eval "$$where" && \
		target/release/sotto-storage-bench --commit "$$(git describe --always --dirty)"; \
		done=$$?; SOTTO_ENGINES=$(CURDIR)/target/bench-engines tools/engines stop; exit $$done
	@source tools/env && target/release/sotto-board-bench --commit "$$(git describe --always --dirty)"
	@source tools/env && target/release/sotto-redaction-bench $(if $(CORPUS),--corpus $(CORPUS)) --commit "$$(git describe --always --dirty)"

bench-peers: build ## Sotto beside its peers, in turns: make bench-peers [CORPUS=folder]
	@source tools/env && loadtest/peers/bench cost $(if $(CORPUS),--corpus $(CORPUS)) --commit "$$(git describe --always --dirty)"

clean: ## remove what was built here; the model cache stays
	cargo clean
