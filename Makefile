# Every target stands alone on a fresh clone, and repeated does only what is out of date. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
IN_VENV := VIRTUAL_ENV="$(CURDIR)/$(VENV)" PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
PIP := $(VENV_PYTHON) -m pip --require-virtualenv --disable-pip-version-check
BUILD_WHEEL := $(PIP) wheel --quiet --no-deps --no-index --no-build-isolation

# Folders are listed too, so that a file removed or renamed counts as a change.
SOURCES := pyproject.toml CMakeLists.txt README.md LICENSE \
  $(shell find csrc python/numapool -name __pycache__ -prune -o -not -name '.*' -print)

# The stamps of what lives in the environment go with it.
REQUIREMENTS := $(VENV)/.requirements
TEST_TOOLS := $(VENV)/.test
INSTALLED := $(VENV)/.numapool
BUILT := build/stamps/built
REPAIRED := build/stamps/repaired
UNSUPPORTED := build/stamps/unsupported
WINDOWS := build/stamps/windows
PEERS := $(VENV)/.peers
WHEEL_TOOLS := $(VENV)/.wheels
DOCS_TOOLS := $(VENV)/.docs
FUZZ_TOOLS := $(VENV)/.fuzz

.PHONY: help setup demo try-numa dev check wheel test lint docs bench clean apt-build apt-test apt-bench apt-fuzz apt-sanitize
.PHONY: wheel-windows test-windows apt-windows wheels test-wheels test-aarch64 apt-wheels apt-aarch64
.PHONY: test-asan test-ubsan test-tsan test-valgrind test-parallel test-ends test-free-threaded fuzz soak apt-free-threaded

help:
	@sed -n 's/^## //p' Makefile

## make setup   the packages of the system, and .venv with everything pinned
setup: $(TEST_TOOLS) $(DOCS_TOOLS)

## make dev     install numapool so that an edited .py is live at once; after an edit in csrc/, run it again
dev: $(TEST_TOOLS) | apt-test
	@$(IN_VENV) .ci/dev

## make check   after an edit: formatting, types, C++ tests on the scripted machine, Python tests that are not slow
check: dev
	@$(IN_VENV) .ci/check

## make demo    build and install numapool into .venv, and show what it does on this machine
demo: $(INSTALLED)
	@$(VENV_PYTHON) -m numapool demo

## make try-numa   a machine of several nodes under QEMU, with your files in it (docs/try-without-numa.md; ARGS="--nodes 4 -- python my.py")
try-numa: $(INSTALLED) | apt-test
	@$(IN_VENV) python -m tests.guest.try_numa $(ARGS)

## make wheel   a wheel in dist/ that runs on other machines
wheel: $(REPAIRED)

## make wheels  the wheels of a release in dist/wheels (ONLY=cp313-manylinux_aarch64: these alone); test-wheels runs each
wheels: $(WHEEL_TOOLS) | apt-wheels
	@$(IN_VENV) PYTHONPATH=.ci python -m wheels build $(ONLY)

test-wheels: $(WHEEL_TOOLS) | apt-wheels
	@$(IN_VENV) PYTHONPATH=.ci python -m wheels test $(ONLY)

## make test-aarch64   the wheel for aarch64 on emulated machines: 2 nodes with pages of 4 KiB, 4 nodes, 2 with pages of 16 KiB and of 64 KiB
test-aarch64: $(WHEEL_TOOLS) | apt-wheels apt-aarch64
	@$(IN_VENV) PYTHONPATH=.ci python -m wheels build cp313-manylinux_aarch64
	@$(IN_VENV) PYTHONPATH=.ci python -m aarch64 --pages 4k --nodes 2
	@$(IN_VENV) PYTHONPATH=.ci python -m aarch64 --pages 4k --nodes 4 --mib 512 --checks
	@$(IN_VENV) PYTHONPATH=.ci python -m aarch64 --pages 16k --nodes 2
	@$(IN_VENV) PYTHONPATH=.ci python -m aarch64 --pages 64k --nodes 2

## make wheel-windows, test-windows   a wheel for 64-bit Windows in build/wheel-windows; the tests with it, under Wine
wheel-windows: $(WINDOWS)
	@ls build/wheel-windows/*.whl

test-windows: $(WINDOWS) $(TEST_TOOLS)
	@$(IN_VENV) .ci/windows/test

## make test    C++ tests, Python tests, and tests on real many-node kernels in virtual machines
test: $(INSTALLED) $(TEST_TOOLS) $(REPAIRED) $(UNSUPPORTED) $(if $(filter true,$(CI)),$(WINDOWS)) | apt-test $(if $(filter true,$(CI)),apt-fuzz)
	@$(IN_VENV) .ci/test

## make lint    formatting, types, and builds free of warnings
lint: $(INSTALLED) $(UNSUPPORTED) $(TEST_TOOLS) $(DOCS_TOOLS) | apt-test
	@$(IN_VENV) .ci/lint

## make docs    the documentation in build/docs/html, its examples tried out; no warning is let pass
docs: $(INSTALLED) $(TEST_TOOLS) $(DOCS_TOOLS)
	@$(IN_VENV) .ci/docs

## make bench   measure, each figure beside its peer
bench: $(INSTALLED) $(TEST_TOOLS) $(PEERS) | apt-bench
	@$(IN_VENV) python -m pytest benchmarks

## make test-asan, test-ubsan, test-tsan   the C++ and Python tests under a sanitizer (test-valgrind: a short run under memcheck)
test-asan test-ubsan test-tsan: test-%: $(TEST_TOOLS) | apt-test apt-build
	@$(IN_VENV) .ci/sanitize $*

test-valgrind: $(INSTALLED) $(TEST_TOOLS) | apt-test apt-sanitize
	@$(IN_VENV) .ci/valgrind

## make test-parallel   tests of the package, each on four threads at once
test-parallel: $(INSTALLED) $(TEST_TOOLS) | apt-test
	@$(IN_VENV) .ci/parallel

## make test-ends   Python ends 200 times while threads are in calls, with modules of GCC and of clang for each CPython here
test-ends: $(TEST_TOOLS) | apt-fuzz
	@$(IN_VENV) .ci/ends

## make test-free-threaded   build CPython 3.13 without a GIL from Debian's source, and test with it, on four threads at once
test-free-threaded: $(WHEEL_TOOLS) | apt-wheels apt-free-threaded
	@$(IN_VENV) sh -c '.ci/free-threaded "$$(PYTHONPATH=.ci python -m wheels python cp313t-manylinux_x86_64)"'

## make fuzz    a million runs of every parser of texts, and of every group of calls of the Python surface
fuzz: $(INSTALLED) $(TEST_TOOLS) $(FUZZ_TOOLS) | apt-fuzz
	@$(IN_VENV) .ci/fuzz

## make soak    8 threads for 10 minutes on pools under pressure, and every fault at every position
soak: $(INSTALLED) $(TEST_TOOLS) | apt-test
	@$(IN_VENV) .ci/soak

## make clean   remove everything that the targets above made
clean:
	rm -rf build dist $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	find csrc python tests benchmarks .ci -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

apt-build apt-test apt-bench apt-fuzz apt-free-threaded apt-sanitize apt-windows apt-wheels apt-aarch64: apt-%:
	@.ci/apt-install $*

# A peer is built here and now, with the pinned setuptools and the headers of libnuma, which it wraps.
$(PEERS): .ci/requirements/bench.txt $(TEST_TOOLS) | apt-build apt-bench
	$(PIP) install --quiet --no-build-isolation -r $<
	@touch $@

$(FUZZ_TOOLS): .ci/requirements/fuzz.txt $(REQUIREMENTS)
	$(PIP) install --quiet -r $<
	@touch $@

$(WHEEL_TOOLS): .ci/requirements/wheels.txt $(REQUIREMENTS)
	$(PIP) install --quiet -r $<
	@touch $@

$(DOCS_TOOLS): .ci/requirements/docs.txt $(REQUIREMENTS)
	$(PIP) install --quiet -r $<
	@touch $@

$(TEST_TOOLS): .ci/requirements/test.txt .ci/requirements/torch.txt $(REQUIREMENTS)
	$(PIP) install --quiet -r .ci/requirements/test.txt
	$(PIP) install --quiet -r .ci/requirements/torch.txt
	@touch $@

$(VENV_PYTHON): | apt-build
	.ci/make-venv $(VENV) "$(PYTHON)"

$(REQUIREMENTS): .ci/requirements/build.txt | $(VENV_PYTHON)
	$(PIP) install --quiet -r $<
	@touch $@

$(BUILT): $(SOURCES) $(REQUIREMENTS) | apt-build
	@rm -rf build/wheel && mkdir -p build/stamps
	$(BUILD_WHEEL) --wheel-dir build/wheel --config-settings=build-dir=build/module \
	  --config-settings=cmake.define.NUMAPOOL_WERROR=ON .
	@touch $@

$(INSTALLED): $(BUILT)
	$(PIP) install --quiet --no-deps --no-index --force-reinstall build/wheel/*.whl
	@rm -f $(VENV)/.dev
	@touch $@

# The module as other operating systems get it, for the tests that run it here.
$(UNSUPPORTED): $(BUILT)
	$(IN_VENV) cmake --build build/module --target _core_unsupported
	@touch $@

$(WINDOWS): $(SOURCES) $(REQUIREMENTS) .ci/windows/wheel .ci/windows/pyconfig.h .ci/windows/python.txt | apt-build apt-windows
	$(IN_VENV) .ci/windows/wheel $@

# Names it for the oldest glibc that it runs with. There is nothing to graft: the module links the compiler's and the C library alone.
$(REPAIRED): $(BUILT)
	@rm -f dist/numapool-*.whl
	$(IN_VENV) python -m auditwheel repair --wheel-dir dist build/wheel/*.whl
	@touch $@
