# make demo and make test set everything up first; a second run finds it there and goes on at once.

SHELL := /bin/bash
PYTHON_HERE := .venv/bin/python
WORKERS ?= 2
ROUNDS ?= 100
LIMIT ?= 900

# Hundreds of programs are started: what was compiled once is kept, whatever an image says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup usb-test usb-hwtests demo test lint bench faults clean

help:
	@echo 'make demo   set everything up, then do the main job on virtual tokens'
	@echo 'make test   set everything up, then lint, check types and run all tests'
	@echo '            make test ARGS="tests/unit -k pin" runs pytest on those alone'
	@echo 'make bench  measure, print a table, write build/bench.json and bench.png'
	@echo 'make faults  batches that meet faults at random: SEED=… ROUNDS=…; the seed is printed'
	@echo 'make usb-test  the tests that need a USB bus, in a virtual machine: keys, udev, doctor;'
	@echo '            it fails after LIMIT=900 seconds'
	@echo 'make usb-hwtests  the same for hwtests/, all of them on virtual keys'
	@echo 'make lint   ruff and mypy alone'
	@echo 'make setup  Debian packages, .venv and the project, where they are missing'
	@echo 'make clean  remove build/'

setup:
	@bash .ci/setup

# In virtual machines, which have the files among them; ARGS run in one.
in_guests = $(PYTHON_HERE) -m tests.guest --seconds $(LIMIT) $(if $(ARGS),,$(addprefix --each ,$(wildcard $(1)))) -- \
	python -m $(2) -p no:cacheprovider $(ARGS)

usb-test: setup
	@bash .ci/setup-usb
	$(call in_guests,tests/guest/tests/test_*.py,pytest)

# hwtests/ on virtual tokens; a target of its own because it takes minutes.
usb-hwtests: setup
	@bash .ci/setup-usb
	$(call in_guests,hwtests/test_*.py,tests.guest.hwtests)

demo: setup
	@.venv/bin/tokenprov demo $(ARGS)

lint: setup
	$(PYTHON_HERE) -m ruff check .
	$(PYTHON_HERE) -m ruff format --check .
	$(PYTHON_HERE) -m mypy --strict -p tokenprov -p hwtests -p tests.bench

test: setup $(if $(ARGS),,lint)
	$(PYTHON_HERE) -m pytest $(if $(ARGS),$(ARGS),-n $(WORKERS) --dist loadfile --no-loadscope-reorder tests --ignore tests/guest)

bench: setup
	@mkdir -p build
	$(PYTHON_HERE) -m tests.bench.run $(ARGS)

faults: setup
	$(PYTHON_HERE) -m tests.faults.run $(if $(SEED),--seed $(SEED)) --rounds $(ROUNDS)

clean:
	rm -rf build
