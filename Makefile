# The front door. `make help` says what each target does; `.ci/run` and the workflows call these same targets.

PYTHON ?= python3
FUZZ_SECONDS ?= 60
DEMO_SECONDS ?= 60
# Where `make install` puts what it builds, as other libraries do it.
PREFIX ?= /usr/local
LIBDIR ?= lib
PROFILE ?= release
# What the Rust API is compared with: the last release, until there is one a revision that is named.
BASELINE ?= $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null)

# Everything that is built lies under here; nothing is written elsewhere in the checkout.
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
VENV := $(TARGET)/venv
# What wheels for an older glibc are linked with.
ZIG := $(TARGET)/zig
# Tools that take long to build are shared by all checkouts.
TOOLS := $(or $(TIDEGATE_TOOLS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidegate/tools)
# So are engines, each in a folder that is named for how it is made.
ENGINES := $(or $(TIDEGATE_ENGINES),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidegate/engines)
engine = $(ENGINES)/$(1)-$(shell cat tests/engines/$(1)/install tests/engines/$(1)/*.txt | cksum | cut -d ' ' -f 1)
# Where nobody looks, a Cargo.lock that is out of date is an error instead of being mended.
LOCKED := $(if $(CI),--locked)

FUZZ_TARGETS := inputs journal reference snapshot c_abi
# A folder as one word of a command, from the root of all folders: its name may have spaces, which abspath would split.
from_here = '$(subst ','\'',$(if $(filter /%,$(firstword $(1))),,$(CURDIR)/)$(1))'
# $(call install_tool,NAME@VERSION): does nothing if that version is there. A tool need not be fast: build it quickly.
install_tool = CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR=$(TARGET)/tools/build \
    .ci/timed 'Tool $(1)' sh -c 'cargo install --locked --quiet --root $(TOOLS) $(1) && rm -rf $(TARGET)/tools/build'
CARGO_DENY := $(TOOLS)/bin/cargo-deny --log-level error
CARGO_FUZZ := $(TOOLS)/bin/cargo-fuzz
CARGO_CINSTALL := $(TOOLS)/bin/cargo-cinstall cinstall
CARGO_SEMVER := $(TOOLS)/bin/cargo-semver-checks semver-checks

export PYTHON
.DEFAULT_GOAL := help
.PHONY: help run picture test test-rust test-sanitizers test-python test-engines test-browser lint lint-rust lint-dependencies lint-python advisories \
    bench gateway-demo fuzz-smoke scorecard mutations install package reproducible notices docs playground test-package api semver venv wheel clean
.NOTPARALLEL:

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## replay the built-in workload: dedicated workers, naive sharing and tidegate side by side (ARGS="--json")
	@.ci/need cargo cc
	cargo run --release $(LOCKED) -- replay $(ARGS)

picture: ## draw who holds which part of the memory in that workload, anew: docs/capacity.svg
	@.ci/need cargo cc
	cargo run --release $(LOCKED) --package tidegate-sim -- replay --setup tidegate --plot docs/capacity.svg

test: ## run all Rust, C, C++ and Python tests; installs what they need
	@.ci/need cargo cc c++ clang abigail python valgrind redis
	@$(MAKE) --no-print-directory test-rust test-python

test-rust: ## run the Rust, C and C++ tests alone
	@.ci/need cargo cc c++ clang abigail valgrind
	@.ci/timed 'Rust, C and C++ tests' cargo test --workspace $(LOCKED)

test-sanitizers: ## run the C programs with a library built under AddressSanitizer, and under ThreadSanitizer; minutes
	@.ci/need cargo cc
	@.ci/timed 'C programs under sanitizers' cargo test -p tidegate-ffi --test sanitizers $(LOCKED) -- --ignored

test-python: wheel ## run the Python tests alone, and those that go through all three languages
	@.ci/need redis
	@.ci/timed 'Python stubs' $(VENV)/bin/python -m mypy.stubtest tidegate \
	    --mypy-config-file python/pyproject.toml --allowlist python/stubtest.txt
	@.ci/timed 'Python types' $(VENV)/bin/basedpyright --warnings --project python --pythonpath $(VENV)/bin/python
	@.ci/timed 'Python tests' $(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile --config-file python/pyproject.toml \
	    python/tests tests --ignore=tests/engines

test-engines: LLAMA = $(call engine,llama)
test-engines: VLLM = $(call engine,vllm)
test-engines: TRITON = $(call engine,triton)
test-engines: ## run the tests that go through real engines; builds each once, outside the checkout (minutes)
	@.ci/need cargo cc c++ python
	@$(MAKE) --no-print-directory test-browser
	@[ -e $(LLAMA)/.made ] || .ci/timed 'Engine llama.cpp' tests/engines/llama/install $(LLAMA)
	@TIDEGATE_ENGINE=$(LLAMA) .ci/timed 'Tests of the llama.cpp host' \
	    $(LLAMA)/venv/bin/python -m pytest --config-file tests/engines/pytest.ini tests/engines/llama
	@[ -e $(VLLM)/.made ] || .ci/timed 'Engine vLLM' tests/engines/vllm/install $(VLLM)
	@$(MAKE) --no-print-directory wheel
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-index --no-deps --upgrade --target $(TARGET)/vllm $(TARGET)/wheels/*.whl
	@PYTHONPATH=$(TARGET)/vllm .ci/timed 'Tests inside vLLM' \
	    $(VLLM)/venv/bin/python -m pytest --config-file tests/engines/pytest.ini --rootdir tests -W default tests/engines/vllm
	@PYTHONPATH=$(TARGET)/vllm .ci/timed 'Tests inside transformers and of the CUDA workers' \
	    $(VLLM)/venv/bin/python -m pytest --config-file tests/engines/pytest.ini tests/engines/batching tests/engines/workers
	@.ci/need redis
	@TIDEGATE_ENGINE=$(VLLM) .ci/timed 'Tests of the gateway before vLLM' \
	    $(VENV)/bin/python -m pytest --config-file tests/engines/pytest.ini --rootdir tests tests/engines/gateway
	@.ci/need prometheus
	@.ci/timed 'Tests of metrics in Prometheus' \
	    $(VENV)/bin/python -m pytest --config-file tests/engines/pytest.ini tests/engines/prometheus
	@[ -e $(TRITON)/.made ] || { .ci/need libpython && .ci/timed 'Engine Triton' tests/engines/triton/install $(TRITON); }
	@TIDEGATE_ENGINE=$(TRITON) PYTHONPATH=$(TARGET)/vllm .ci/timed 'Tests of the Triton model' \
	    $(TRITON)/venv/bin/python -m pytest --config-file tests/engines/pytest.ini tests/engines/triton

test-browser: venv ## render the page of a replay in headless Chromium, light and dark; open its timeline in a viewer, and the playground
	@.ci/need cargo cc chromium npm
	@.ci/timed 'Simulator' cargo build --release --quiet $(LOCKED) -p tidegate-sim
	@$(MAKE) --no-print-directory playground
	@TIDEGATE_BINARY=$(TARGET)/release/tidegate TIDEGATE_PLAYGROUND=$(TARGET)/playground.html .ci/timed 'Tests of the report in a browser' \
	    $(VENV)/bin/python -m pytest --config-file tests/engines/pytest.ini tests/engines/browser

lint: ## check formats, lints, licences and where dependencies come from
	@.ci/need cargo cc rustfmt clippy python
	@$(MAKE) --no-print-directory lint-rust lint-dependencies lint-python

lint-rust:
	@.ci/timed 'Rust format' cargo fmt --all --check
	@.ci/timed 'Rust format of fuzz' cargo fmt --manifest-path fuzz/Cargo.toml --check
	@.ci/timed 'Rust lints' cargo clippy --workspace --all-targets $(LOCKED) -- -D warnings
	@.ci/timed 'Rust lints of fuzz' cargo clippy --manifest-path fuzz/Cargo.toml $(LOCKED) -- -D warnings

lint-dependencies:
	@$(call install_tool,cargo-deny@0.20.2)
	@.ci/timed 'Dependencies' $(CARGO_DENY) check licenses bans sources
	@.ci/timed 'Dependencies of fuzz' $(CARGO_DENY) --config deny.toml --manifest-path fuzz/Cargo.toml check licenses bans sources

lint-python: venv
	@.ci/timed 'Python lints' $(VENV)/bin/ruff check --config python/pyproject.toml python tests benches packages playground
	@.ci/timed 'Python format' $(VENV)/bin/ruff format --config python/pyproject.toml --check python tests benches packages playground

advisories: ## look the dependencies up in the database of known vulnerabilities, which is not a registry
	@.ci/need cargo cc
	@$(call install_tool,cargo-deny@0.20.2)
	$(CARGO_DENY) check advisories

bench: ## measure the scheduler's work beside its peers from the registries, for people (ARGS="--quick")
	@.ci/need cargo cc
	cargo bench $(LOCKED) -p tidegate-benches -- $(ARGS)

gateway-demo: VLLM = $(call engine,vllm)
gateway-demo: ## two replicas of the gateway before two vLLM servers, a minute of mixed load, a table and a picture (DEMO_SECONDS=60)
	@.ci/need cargo cc python redis
	@[ -e $(VLLM)/.made ] || .ci/timed 'Engine vLLM' tests/engines/vllm/install $(VLLM)
	@$(MAKE) --no-print-directory wheel
	@TIDEGATE_ENGINE=$(VLLM) PYTHONPATH=tests:python/examples \
	    $(VENV)/bin/python tests/engines/gateway/demo.py $(TARGET)/gateway-demo $(DEMO_SECONDS)

scorecard: ## print all figures as one JSON object, on standard output nothing else (ARGS="--only cycle_ns_1k")
	@.ci/need cargo cc python valgrind
	@.ci/timed 'Programs of the scorecard' cargo build --release --quiet $(LOCKED) \
	    -p tidegate-benches -p tidegate-ffi -p tidegate-python -p tidegate-sim >&2
	@$(TARGET)/release/scorecard $(ARGS)

fuzz-smoke: ## fuzz each target for a minute (FUZZ_SECONDS=n)
	@.ci/need cargo cc c++
	@$(call install_tool,cargo-fuzz@0.13.2)
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(TARGET)/fuzz-corpus/$$target && \
	    RUSTC_BOOTSTRAP=1 .ci/timed "Fuzz $$target" $(CARGO_FUZZ) fuzz run --target-dir $(TARGET)/fuzz $$target \
	        $(TARGET)/fuzz-corpus/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=600 -len_control=0 -verbosity=0 \
	        -print_final_stats=1 || exit 1; \
	done

mutations: ## break the core on purpose, fault by fault, and see which test notices; half an hour (ARGS="--only PRE-3")
	@.ci/need cargo cc python
	$(PYTHON) tests/mutations/run.py $(ARGS)

install: ## build libtidegate and install it with headers, pkg-config file and CMake package (PREFIX=/usr/local DESTDIR= LIBDIR=lib)
	@.ci/need cargo cc openssl
	@$(call install_tool,cargo-c@0.10.24)
	$(CARGO_CINSTALL) $(LOCKED) --manifest-path ffi/Cargo.toml --profile $(PROFILE) \
	    --prefix $(call from_here,$(PREFIX)) --libdir '$(LIBDIR)' $(if $(DESTDIR),--destdir $(call from_here,$(DESTDIR)))

package: ## build all that is given away into target/packages/dist: crate, wheel, sources, C library, program (ARGS="--only python")
	@.ci/need cargo cc python openssl
	@$(call install_tool,cargo-c@0.10.24)
	@$(MAKE) --no-print-directory $(ZIG)/.made
	@.ci/timed 'Packages' $(ZIG)/bin/python packages/make.py --work $(TARGET)/packages $(ARGS)

reproducible: ## build the packages of the last commit twice, in two folders, and compare them; an hour (ARGS="--only crate")
	@.ci/need cargo cc python openssl
	@$(call install_tool,cargo-c@0.10.24)
	@$(MAKE) --no-print-directory $(ZIG)/.made
	@.ci/timed 'Packages twice' $(ZIG)/bin/python packages/again.py --work $(TARGET)/reproducible $(ARGS)

notices: ## write down whose code is linked into the artefacts: LICENSE-THIRD-PARTY and the bills of materials
	@.ci/need cargo cc python
	$(PYTHON) packages/licences.py
	$(PYTHON) packages/sbom.py

docs: ## build the guide, all pages and the Rust API as one site: target/doc/tidegate_book/index.html
	@.ci/need cargo cc
	@RUSTDOCFLAGS='-D warnings' .ci/timed 'Documents' cargo doc --quiet $(LOCKED) --no-deps --all-features --package tidegate --package tidegate-book

playground: ## write the page in which one may play with the scheduler, target/playground.html
	@.ci/need cargo cc python wasm
	@.ci/timed 'Playground' cargo build --profile page $(LOCKED) --target wasm32-unknown-unknown --package tidegate-playground
	@$(PYTHON) playground/page/make.py $(TARGET)/wasm32-unknown-unknown/page/tidegate_playground.wasm $(TARGET)/playground.html

test-package: venv ## install each package into a folder of its own, and use it there: crate, wheel, sources, C library
	@.ci/need cargo cc c++ python cmake openssl
	@.ci/timed 'C package' env PYTHONPATH=tests $(PYTHON) tests/package/run.py
	@.ci/timed 'Python packages' env PYTHONPATH=tests $(VENV)/bin/python tests/package/wheels.py
	@.ci/timed 'Rust package' env PYTHONPATH=tests $(PYTHON) tests/package/crate.py

# rustdoc tells it as JSON of a form that is the compiler's own: one that is newer wants a newer tool.
api: ## print the public API of the Rust library, to be read whole before a release
	@.ci/need cargo cc
	@$(call install_tool,cargo-public-api@0.52.0)
	@.ci/timed 'Rust API as JSON' env RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet $(LOCKED) --target-dir $(TARGET)/tools/api \
	    --package tidegate --all-features -- -Z unstable-options --output-format json
	@$(TOOLS)/bin/cargo-public-api public-api --rustdoc-json $(TARGET)/tools/api/doc/tidegate.json -sss

semver: ## compare the Rust API with that of the last release; until there is one: BASELINE=REVISION
	@.ci/need cargo cc
	@$(if $(BASELINE),,echo 'there is no release yet: make semver BASELINE=REVISION' >&2; exit 2)
	@$(call install_tool,cargo-semver-checks@0.51.0)
	@.ci/timed 'Rust API' $(CARGO_SEMVER) --package tidegate --all-features --baseline-rev $(BASELINE)

venv: $(VENV)/.made ## make the virtual environment of the Python tests

wheel: venv ## build the Python wheel and install it into the virtual environment
	@.ci/need cargo cc
	@rm -rf $(TARGET)/wheels
	@.ci/timed 'Python wheel' $(VENV)/bin/maturin build --quiet --profile dev $(LOCKED) --interpreter $(VENV)/bin/python \
	    --manifest-path python/Cargo.toml --out $(TARGET)/wheels
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall $(TARGET)/wheels/*.whl

clean: ## remove all that was built
	cargo clean

$(ZIG)/.made: packages/requirements.txt
	@.ci/need python
	@.ci/timed 'Tools of packages' sh -c '$(PYTHON) -m venv --clear $(ZIG) && \
	    $(ZIG)/bin/pip install --quiet --disable-pip-version-check --requirement $<'
	@touch $@

$(VENV)/.made: python/requirements-dev.txt
	@.ci/need python
	@.ci/timed 'Python environment' sh -c '$(PYTHON) -m venv --clear $(VENV) && \
	    $(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<'
	@touch $@
