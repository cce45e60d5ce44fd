# `make demo` and `make test`: each makes .venv on first use and needs nothing but Python and, where permitted, apt-get.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test lint install clean

demo: install
	$(BIN)/xmodal demo

test: install $(VENV)/.browser lint
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

install: $(READY) $(VENV)/.open3d

$(READY): pyproject.toml
	@PYTHON=$(PYTHON) sh tools/system_libraries.sh venv
	@echo "making $(VENV) with PyTorch, spconv and Open3D: about 7 GB, some minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.open3d $(VENV)/.browser: $(VENV)/.%: tools/system_libraries.sh | $(READY)
	@sh tools/system_libraries.sh $*
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
