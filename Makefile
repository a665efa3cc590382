# `make demo` and `make test` need nothing but python3 (with venv and headers), gcc and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
GENERATED = serverquant/_cyutility.c
NATIVE := $(shell find serverquant \( -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.inc' -o -name '[a-z]*.c' \))

.PHONY: demo test test-fast test-matrix fuzz test-emulated test-oracle test-report test-caffe2 test-versions check check-aarch64 bench docs proto debug clean

demo: $(VENV)/.built
	$(BIN)/python examples/demo.py

test: $(VENV)/.built
	$(BIN)/python -m pytest

test-fast: $(VENV)/.built
	$(BIN)/python -m pytest -m "not slow"

# Every golden case on every instruction set of this machine, at 1, 2, 3 and 7 threads.
test-matrix: $(VENV)/.built
	SERVERQUANT_MATRIX=1 $(BIN)/python -m pytest tests/golden/test_golden.py

# A hundred thousand random operators; FIRST=... takes others.
FIRST ?= 1000
fuzz: $(VENV)/.built
	SERVERQUANT_FUZZ=100000 SERVERQUANT_FUZZ_FIRST=$(FIRST) $(BIN)/python -m pytest tests/fuzz

# The x86 rows through simde's headers: for instruction sets that this machine lacks.
test-emulated: $(VENV)/.built
	$(BIN)/pip install --quiet 'simde-py>=0.8.2'
	rm -rf build/emulated && mkdir -p build/emulated
	git ls-files -z setup.py pyproject.toml README.md serverquant tests | xargs -0 cp --parents -t build/emulated
	cd build/emulated && SERVERQUANT_EMULATE=1 ../../$(BIN)/python setup.py -q build_ext --inplace
	cd build/emulated && PYTHONPATH=. ../../$(BIN)/python -m pytest tests/kernels tests/quantization/test_histogram.py
	cd build/emulated && for isa in avx2 avx512vnni; do \
	  PYTHONPATH=. SERVERQUANT_ISA=$$isa ../../$(BIN)/python tests/golden/run.py || exit 1; done
	SERVERQUANT_EMULATED=1 $(BIN)/python -m pytest tests/cli/test_emulated.py

# Against the real Caffe2 1.8.1: needs a Python 3.9 (PYTHON39=...), see benchmarks/peers/setup_oracle.py.
test-oracle: $(VENV)/.built
	$(PYTHON) benchmarks/peers/setup_oracle.py
	$(BIN)/python -m pytest tests -m oracle

# The report of `serverquant quantize` in a real browser, screenshots in build/screenshots: needs Chromium (Debian's package
# chromium), or CHROMIUM=... names one.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
test-report: $(VENV)/.built
	test -x "$(CHROMIUM)" || { echo "make test-report needs Chromium: apt install chromium, or CHROMIUM=/path/to/it"; exit 1; }
	$(BIN)/pip install --quiet 'playwright>=1.40'
	CHROMIUM="$(CHROMIUM)" $(BIN)/python -m pytest -m browser tests/quantization

# Caffe2's own operator tests, unmodified, through `import caffe2` (docs/caffe2_tests.md). Needs
#   CAFFE2=.../site-packages/caffe2   of the torch 1.8.1 wheel, with its tests
#   RUNNER=.../run_caffe2_tests.py    which runs them file by file and compares with what the wheel passes
# and takes GROUPS="--group api ..." for a part of them. They are of NumPy 1's days, so they get an environment of their own.
test-caffe2: $(VENV)/.built
	test -d "$(CAFFE2)" && test -f "$(RUNNER)" || { sed -n '/^# Caffe2.s own operator/,/^test-caffe2/p' Makefile; exit 1; }
	test -d .venv-caffe2 || $(BIN)/python -m venv .venv-caffe2
	.venv-caffe2/bin/pip install --quiet 'numpy==1.26.4' 'scipy<1.12' protobuf pytest 'hypothesis==6.141.1' future setuptools
	$(PYTHON) $(RUNNER) $(CAFFE2) --backend serverquant --python $(abspath .venv-caffe2/bin/python) --pythonpath $(CURDIR) \
	  --fb-stand-in $(GROUPS)

# Oldest and newest: needs python3.10 and python3.13.
test-versions:
	python3.10 -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet 'numpy==1.26.4' 'protobuf==4.25.8' 'cython==3.1.0' setuptools pytest hypothesis rich pillow jinja2 matplotlib
	.venv-oldest/bin/python setup.py -q build_ext --inplace && .venv-oldest/bin/python -m pytest -m "not slow"
	python3.13 -m venv .venv-newest
	.venv-newest/bin/pip install --quiet numpy protobuf cython setuptools pytest hypothesis rich pillow jinja2 matplotlib
	.venv-newest/bin/python setup.py -q build_ext --inplace && .venv-newest/bin/python -m pytest -m "not slow"

check: $(VENV)/.built
	$(BIN)/pip install --quiet ruff mypy cython-lint types-protobuf
	$(BIN)/ruff check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" cython-lint serverquant

# The kernels compile for 64-bit ARM: needs Debian's gcc-aarch64-linux-gnu.
check-aarch64:
	for source in $$(find serverquant -name '[a-z]*.c'); do \
	  aarch64-linux-gnu-gcc -std=gnu11 -O2 -Wall -Wno-unused-function -ffp-contract=off -fopenmp \
	    -Iserverquant/include -c $$source -o /dev/null || exit 1; \
	done

bench: $(VENV)/.built
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/traffic.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/nets.py
	$(BIN)/python benchmarks/cliffs.py

proto: $(VENV)/.built
	$(BIN)/pip install --quiet grpcio-tools
	$(BIN)/python proto/generate.py

debug: $(VENV)/.built
	SERVERQUANT_DEBUG=1 $(BIN)/python setup.py build_ext --inplace --force

clean:
	rm -rf build .venv* *.egg-info $(GENERATED)
	find serverquant -name '*.so' -delete
	find serverquant -name '_*.c' -delete

# Compiles what has changed, then makes the tree importable. pip finds the modules built and leaves them.
$(VENV)/.built: $(NATIVE) setup.py serverquant/native_build.py pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet 'cython>=3.1' 'setuptools>=68'
	$(BIN)/python setup.py -q build_ext --inplace
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[test,cli,report]'
	touch $@
