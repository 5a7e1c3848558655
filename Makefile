# The two commands to know: make demo, make test. Both do all the set-up there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
SECONDS ?= 60
PRODUCT ?= stream-disk
.PHONY: help deps build test test-long fuzz tsan demo bench ceilings lint format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Check for the packages needed, install what is missing (apt; root or sudo)
	@.ci/deps

# The Swift runtime linked in and no symbols: half the pages to read at a cold start, and nothing of Swift to install beside it.
build: deps ## Build the release executable, .build/release/stream-disk (PRODUCT=bench: the other one)
	swift build -c release --static-swift-stdlib -Xlinker -s --product $(PRODUCT)

test: deps ## Build everything and run all the tests
	swift build -c debug --build-tests
	Tests/Images/self-check
	swift test

test-long: deps ## Power cuts by the million, 100 kills of a run onto a loop device, disks that stall for 30 s (root)
	STREAM_DISK_CUTS=$${STREAM_DISK_CUTS:-3000000} STREAM_DISK_KILLS=$${STREAM_DISK_KILLS:-100} \
		STREAM_DISK_STALL=$${STREAM_DISK_STALL:-30} swift test --filter 'EnginePowerCutTests|KillTests|DeviceFaultTests'

fuzz: deps ## Fuzz what reads foreign bytes, SECONDS=60 for each of five targets
	Fuzz/run $(SECONDS)

# Without the power cuts: tens of thousands of runs take too long under the sanitizer.
tsan: deps ## Run the tests with threads under the thread sanitizer
	swift build -c debug --build-tests --sanitize=thread --scratch-path .build-tsan
	TSAN_OPTIONS=exitcode=66 swift test --skip-build --sanitize=thread --scratch-path .build-tsan \
		--filter 'Engine|Source|BytePipe|RingQueue|Codec|EndToEnd' --skip EnginePowerCutTests

demo: build ## Stream a sample image over HTTP onto a disk and prove what arrived
	examples/demo.sh

bench: ## Measure against other pipelines and fio, short form (root)
	@.ci/deps bench
	perf/run.sh --short

lint: deps ## Check the format of the Swift sources and the shell scripts
	swift format lint --strict --parallel --recursive Sources Tests Fuzz Package.swift
	@.ci/scripts | xargs shellcheck --severity=warning

format: ## Bring the Swift sources into their format
	swift format --in-place --parallel --recursive Sources Tests Fuzz Package.swift

ceilings: ## Fail where allocations or instructions are above perf/ceilings.json (root)
	@.ci/deps bench
	perf/run.sh --ceilings

clean: ## Remove what was built
	rm -rf .build .build-tsan Fuzz/.build perf/build
