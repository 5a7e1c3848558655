# The two commands to know: make demo, make test. Both do all the set-up there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
SECONDS ?= 60
PRODUCT ?= stream-disk
.PHONY: help deps build test test-long fuzz tsan demo bench ceilings library lint format clean
.PHONY: pack-test boot-test install uninstall deb tarball test-packages

# Where make install puts things (the names of the GNU coding standards); DESTDIR stands before all of them.
PREFIX ?= /usr/local
prefix ?= $(PREFIX)
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
bashcompdir ?= $(datadir)/bash-completion/completions
zshcompdir ?= $(datadir)/zsh/$(if $(filter /usr,$(prefix)),vendor-completions,site-functions)
fishcompdir ?= $(datadir)/fish/vendor_completions.d

# The version has one place in the tree. Packages and man pages carry the date of what they are made from.
VERSION := $(shell sed -n 's/.*current = "\(.*\)"/\1/p' Sources/StreamDisk/Source/ProductVersion.swift)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
SOURCES := $(shell find Package.swift Sources -type f)
PROGRAM := .build/release/stream-disk
LIBRARY := .build/library
SHARE := .build/share
PACKAGES := .build/packages
# Packages of their own: make -C frontends/trident lists what that one has.
FRONTENDS := frontends/trident/Sources frontends/trident/Tests frontends/trident/Package.swift

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Check for the packages needed, install what is missing (apt; root or sudo)
	@.ci/deps

# The Swift runtime linked in and no symbols: half the pages to read at a cold start, and nothing of Swift to install beside it.
build: deps ## Build the release executable, .build/release/stream-disk (PRODUCT=bench: the other one)
	swift build -c release --static-swift-stdlib --disable-local-rpath -Xlinker -s --product $(PRODUCT)
	@touch .build/release/$(PRODUCT)
	@[[ $(PRODUCT) != stream-disk ]] || packaging/share $(PROGRAM) $(SHARE)

# A scratch path of its own is not needed: the objects are those of the program.
library: deps ## Build the library for C, .build/library/libstreamdisk.so.VERSION with its header and pkg-config file
	swift build -c release --static-swift-stdlib --disable-local-rpath -Xlinker -s --product streamdisk
	mkdir -p $(LIBRARY)
	cp .build/release/libstreamdisk.so $(LIBRARY)/libstreamdisk.so.$(VERSION)
	ln -sf libstreamdisk.so.$(VERSION) $(LIBRARY)/libstreamdisk.so.0
	ln -sf libstreamdisk.so.0 $(LIBRARY)/libstreamdisk.so
	cp Sources/CStreamDisk/include/streamdisk.h Sources/StreamDiskC/streamdisk.pc.in $(LIBRARY)/

test: deps ## Build everything and run all the tests
	swift build -c debug --build-tests
	Tests/Images/self-check
	swift test
	$(MAKE) -C frontends/trident test

test-long: deps ## Power cuts by the million, 100 kills of a run onto a loop device, disks that stall for 30 s (root)
	STREAM_DISK_CUTS=$${STREAM_DISK_CUTS:-3000000} STREAM_DISK_KILLS=$${STREAM_DISK_KILLS:-100} \
		STREAM_DISK_STALL=$${STREAM_DISK_STALL:-30} swift test --filter 'PowerCutTests|KillTests|DeviceFaultTests'

pack-test: build ## Pack a Debian made by mmdebstrap, stream it back and compare (root, some minutes)
	@.ci/deps pack
	Tests/Images/pack-debian $(PROGRAM)

fuzz: deps ## Fuzz what reads foreign bytes, SECONDS=60 for each of five targets
	Fuzz/run $(SECONDS)

# Without the power cuts: tens of thousands of runs take too long under the sanitizer.
tsan: deps ## Run the tests with threads under the thread sanitizer
	SANITIZER=thread swift build -c debug --build-tests --sanitize=thread --scratch-path .build-tsan
	SANITIZER=thread TSAN_OPTIONS=exitcode=66 swift test --skip-build --sanitize=thread --scratch-path .build-tsan \
		--filter 'Source|BytePipe|HostQueue|Codec|EndToEnd|Decoding|CorruptImage|ExtentAccount|DiskWriter|Silence|ReadBack|WriteAreas|Region|Registry' \
		--skip PowerCutTests

# Made anew only where a source is newer: after 'make build library', installing needs no Swift toolchain and writes nothing
# below .build, which would be root's.
$(PROGRAM): $(SOURCES)
	$(MAKE) build PRODUCT=stream-disk

$(LIBRARY)/libstreamdisk.so.$(VERSION): $(SOURCES)
	$(MAKE) library

$(SHARE)/made: $(PROGRAM) packaging/share packaging/manual
	packaging/share $(PROGRAM) $(SHARE)

INSTALLED := $(PROGRAM) $(LIBRARY)/libstreamdisk.so.$(VERSION) $(SHARE)/made
FOLDERS := $(foreach name,VERSION PROGRAM LIBRARY SHARE DESTDIR prefix bindir libdir includedir mandir bashcompdir zshcompdir fishcompdir,$(name)='$($(name))')

install: $(INSTALLED) ## Install program, library, man pages and completions under PREFIX=/usr/local (DESTDIR before it)
	@$(FOLDERS) packaging/install

uninstall: ## Remove what make install put there
	@$(FOLDERS) packaging/install --remove

deb: $(INSTALLED) ## Build the Debian packages, into .build/packages
	@.ci/deps packages
	packaging/deb $(VERSION) $(PACKAGES)

tarball: $(PROGRAM) ## Pack the program with its libraries, to run from anywhere (LIBCURL=FILE: with this libcurl.so.4)
	@.ci/deps packages
	packaging/tarball $(VERSION) $(PROGRAM) $(PACKAGES) $(LIBCURL)

test-packages: $(INSTALLED) ## Install, pack and run all of it, in roots with nothing else in them (root, some minutes)
	@.ci/deps packages
	packaging/test $(VERSION)

# CASES="512 4096": these only; 'Tests/Boot/boot-test --list' names them all.
boot-test: deb tarball ## Let virtual machines write their disks and boot from them (root, under 20 minutes)
	@.ci/deps boot
	Tests/Boot/boot-test $(CASES)

demo: build ## Stream a sample image over HTTP onto a disk and prove what arrived
	examples/demo.sh

bench: ## Measure against other pipelines and fio, short form (root)
	@.ci/deps bench
	perf/run.sh --short

lint: deps ## Check the format of the Swift sources and the shell scripts
	swift format lint --strict --parallel --recursive Sources Tests Fuzz Package.swift $(FRONTENDS)
	@.ci/scripts | xargs shellcheck --severity=warning

format: ## Bring the Swift sources into their format
	swift format --in-place --parallel --recursive Sources Tests Fuzz Package.swift $(FRONTENDS)

ceilings: ## Fail where allocations or instructions are above perf/ceilings.json (root)
	@.ci/deps bench
	perf/run.sh --ceilings

clean: ## Remove what was built
	rm -rf .build .build-tsan Fuzz/.build perf/build
