# Every verb sets up what it needs: .venv is built once, from constraints.txt, and reused.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON  ?= python3
BACKEND ?= tensorflow
SUITE   ?= quick
DATA    ?=
ARCH    ?=
SEEDS   ?=
VARIANTS ?=
RESULTS ?= results/local
TIMES   ?= 10
WORKERS ?= auto
ARGS    ?=

# A value as one shell word, whatever spaces, wildcards or quotes it holds.
quote  = '$(subst ','\'',$(1))'
# A flag and its value, where the value is given: $(call option,--data,$(DATA))
option = $(if $(2),$(1) $(call quote,$(2)))

PY    := .venv/bin/python
ifeq ($(BACKEND),jax)
export KERAS_BACKEND := jax
endif
# A file's tests stay in one process, which shares what is dear to set up. More than four would want 8 GB of memory.
IN_PARALLEL = --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile
READY := .venv/.ready-$(BACKEND)

.PHONY: help setup bench test test-all faults soak test-speed speed-peers mutation coverage lint types gate gate-speed baseline publish report smoke-jax wheel clean

help: ## show this list
	@awk -F ':.*## ' '/^## / {print "\n" substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@printf '%s\n' '' 'Variables, for example  make bench SUITE=montgomery-128 DATA=../data/Montgomery' \
		'  SUITE=    quick, montgomery-128, ... (.venv/bin/python -m bench list)' \
		'  DATA=     root folder of the dataset; phantom suites need none' \
		"  ARCH=     architectures, wildcards allowed: ARCH='r2*'" \
		'  SEEDS=    number of seeds (default: as in the suite)' \
		'  VARIANTS= recipe variants to add: VARIANTS=plateau,elastic' \
		'  RESULTS=  results folder (default: results/local)' \
		"  ARGS=     more arguments, for example ARGS='-k unet' for pytest" \
		'  WORKERS=  parallel test processes (default: auto); 0 for --pdb and -s' \
		'  BACKEND=  tensorflow (default), cuda (with NVIDIA'"'"'s libraries) or jax' \
		'  PYTHON=   interpreter for .venv, 3.11 to 3.13 (default: python3)'

## Compare networks
bench: $(READY) ## train, score, compare: SUITE= DATA= ARCH= SEEDS= VARIANTS=
	@printf 'Training the missing cells of suite %s; pages go to %s. Ctrl-C is safe: run the same command to resume.\n' \
		$(call quote,$(SUITE)) $(call quote,$(RESULTS))
	@$(PY) -m bench run $(call quote,$(SUITE)) --results $(call quote,$(RESULTS)) \
		$(call option,--data,$(DATA)) $(call option,--arch,$(ARCH)) $(call option,--seeds,$(SEEDS)) \
		$(call option,--variants,$(VARIANTS))

report: $(READY) ## rewrite pages and figures from the records in RESULTS=
	@$(PY) -m bench report --results $(call quote,$(RESULTS))

publish: $(READY) ## validate local records, copy them to results/: SUITE=
	@$(PY) -m bench publish $(call quote,$(SUITE)) --results $(call quote,$(RESULTS))

setup: $(READY) ## build .venv from pinned versions; other verbs do so too

## Check the code
test: $(READY) ## run the fast tests: ARGS= WORKERS=
	$(PY) -m pytest $(IN_PARALLEL) $(ARGS)

test-all: $(READY)-long ## run all tests; LUNGSEG_DATA=<folder> adds those on real data
	$(PY) -m pytest -m '' $(IN_PARALLEL) $(ARGS)

gate: $(READY) ## train suite smoke and compare it with results/baseline.json
	@echo 'Training suite smoke (three small networks) from scratch: one to ten minutes; report in results/local/gate'
	@$(PY) -m bench gate

gate-speed: $(READY) ## time kernels, compare with a baseline (ARGS=--write)
	@echo 'Timing kernels, training and inference steps: a minute or two on an idle machine'
	@$(PY) -m bench gate-speed $(ARGS)

baseline: $(READY) ## write a new results/baseline.json
	@echo 'Training suite smoke from scratch for a new results/baseline.json: one to ten minutes'
	@$(PY) -m bench baseline

lint: $(READY) ## run ruff
	$(PY) -m ruff check .

types: $(READY) ## run mypy
	$(PY) -m mypy

## Check the code in depth, for maintainers
faults: $(READY) ## run the tests of all faults, write tests/FAULTS.md
	$(PY) -m pytest -m fault --fault-table tests/FAULTS.md $(ARGS)

soak: RESULTS := $(if $(filter results/local,$(RESULTS)),results/local/soak,$(RESULTS))
soak: $(READY) ## kill runs at random, check the results: TIMES=10 RESULTS=
	$(PY) tests/soak.py --times $(TIMES) --results $(call quote,$(RESULTS)) $(ARGS)

test-speed: $(READY) ## time the kernels
	$(PY) -m pytest tests/speed -m '' --benchmark-enable $(ARGS)

speed-peers: .venv-peers/.ready ## time our U-Net against native PyTorch: SUITE= RESULTS=
	@.venv-peers/bin/python -m bench speed $(call quote,$(SUITE)) --peers --results $(call quote,$(RESULTS)) $(ARGS)

mutation: .venv-mutation/.ready ## mutate the code, check that a test fails: ARGS=
	.venv-mutation/bin/python tests/mutation.py $(ARGS)

COVERED := tests/test_metrics.py tests/test_metrics_borders.py tests/test_images.py tests/test_broken_png.py \
	tests/test_resizing.py tests/test_affine.py tests/test_splits.py tests/test_store.py \
	tests/test_gate.py tests/test_gate_faults.py tests/gate/test_paired.py tests/gate/test_verdicts.py tests/differential

coverage: .venv-mutation/.ready ## list lines and branches that the fast tests miss
	.venv-mutation/bin/python -m coverage run -m pytest $(COVERED) $(ARGS)
	.venv-mutation/bin/python -m coverage report

smoke-jax: .venv-jax/.ready ## run suite smoke on JAX, without TensorFlow
	KERAS_BACKEND=jax .venv-jax/bin/python -m bench run smoke --results $(call quote,$(RESULTS))

wheel: $(READY) ## build a wheel of lungseg and bench in dist/
	rm -rf dist
	$(PY) -m build --no-isolation
	$(PY) -m zipfile --list dist/*.whl

clean: ## remove build outputs and caches, keep results
	rm -rf build dist .cache .tox .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find lungseg bench tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	$(call build-environment,.venv,$(BACKEND)$(comma)bench$(comma)dev$(comma)dicom$(comma)dicom-decoders$(comma)dicom-seg$(comma)fetch$(comma)predict$(comma)test$(comma)tune)

# What only the long tests need: exports run in their own runtimes, and the notebook.
$(READY)-long: $(READY)
	$(call build-environment,.venv,export$(comma)notebook)

.venv-mutation/.ready: pyproject.toml constraints.txt
	$(call build-environment,.venv-mutation,coverage$(comma)mutation$(comma)test)

.venv-peers/.ready: pyproject.toml constraints.txt
	$(call build-environment,.venv-peers,$(BACKEND)$(comma)bench$(comma)peers)

.venv-jax/.ready: pyproject.toml constraints.txt
	$(call build-environment,.venv-jax,jax$(comma)bench)

comma := ,

# Of pip's hundreds of lines, how far it is: a line each twentieth package, and one before it unpacks them.
counted = awk '/^(Collecting|Requirement)/ && ++n % 20 == 0 {print "  " n " packages found"; fflush()} \
	/^Installing collected/ {print "  " n " packages found; unpacking them"; fflush()} \
	/^Successfully installed/ {print "  installed"; fflush()}'

# $(1): folder, $(2): extras. The stamp $@ is written last, so that a failed set-up is tried again.
# The build backend is installed first and used as it is: with isolation pip would fetch one that nothing pins.
define build-environment
@test ! -L $(1) || { echo "$(1) links to another folder's environment, which installing here would turn to this one:" \
	"remove the link, or install there" >&2; exit 1; }
@rm -f $@
@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) is not installed; choose another: make PYTHON=<interpreter>" >&2; exit 1; }
@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1); lungseg's pinned versions need 3.11 to 3.13:" \
		"make PYTHON=<interpreter>" >&2; exit 1; }
@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
@echo "Installing the pinned versions into $(1), once: one to ten minutes, about 3 GB of disk"
@$(1)/bin/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(1)
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt hatchling
@$(1)/bin/python -m pip install --disable-pip-version-check --progress-bar off --constraint constraints.txt \
	--no-build-isolation --editable '.[$(2)]' | $(counted)
@touch $@
endef
