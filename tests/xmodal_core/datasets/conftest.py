"""KITTI drives: the example's, to be damaged, and a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.datasets._kitti_example import DATE, DRIVE


@pytest.fixture
def drive(example_copy: Callable[[str], Path]) -> Path:
    return example_copy("kitti_raw") / DATE / DRIVE


@pytest.fixture(scope="session")
def real(real_data: Path) -> Dataset:
    return open_dataset("kitti_raw", real_data / "kitti_raw")
