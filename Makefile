# `make demo` and `make test`: each makes .venv on first use and needs nothing but Python and, where permitted, apt-get.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test results lint install clean

demo: install
	$(BIN)/xmodal demo

test: install $(VENV)/.browser lint
	$(BIN)/python -m pytest

# docs/results.md anew: runs what is missing of its studies (about four hours on two cores), then writes their tables.
# Folders of real data by XMODAL_ROOT_KITTI_RAW and XMODAL_ROOT_KITTI_OBJECT; what is known of a study stays without them.
results: export XMODAL_ROOT_SAMPLE := build/drive
results: install
	$(BIN)/xmodal data sample --scenes 12 --frames 20 --out build/drive
	for study in segmentation_cpu segmentation_long_cpu probe_segmentation_cpu ablation_segmentation_cpu \
	ablation_probe_cpu detection_cpu probe_detection_cpu ablation_detection_cpu $${XMODAL_ROOT_KITTI_RAW:+kitti_cpu}; do \
	$(BIN)/xmodal study run $$study --jobs 2 --out build/studies && \
	$(BIN)/xmodal study report $$study --out build/studies --into docs/results.md || exit 1; done

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
