"""The examples of the data set that a module's ``NAME`` says, and real KITTI data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.datasets._kitti_example import DATE, DRIVE
from xmodal_core.geometry import points_in_box

Root = Callable[[str], Path]


@pytest.fixture
def root(request: pytest.FixtureRequest, example_root: Root) -> Path:
    """The example, to be read only."""
    return example_root(request.module.NAME)


@pytest.fixture
def copy(request: pytest.FixtureRequest, example_copy: Root) -> Path:
    """A copy of the example, to be damaged."""
    return example_copy(request.module.NAME)


@pytest.fixture
def drive(example_copy: Root) -> Path:
    return example_copy("kitti_raw") / DATE / DRIVE


@pytest.fixture(scope="session")
def real(real_data: Path) -> Dataset:
    return open_dataset("kitti_raw", real_data / "kitti_raw")


@pytest.fixture(scope="session")
def shares_inside() -> Callable[[Dataset], list[float]]:
    """For every box of a data set with 20 returns or more, the share that lies in the box of what lies in it or within
    30 cm of it; what is close to the ground is left out. No box may be empty."""

    def measure(dataset: Dataset) -> list[float]:
        shares = []
        for frame in dataset:
            assert frame.boxes is not None
            for number in range(len(frame.boxes)):
                inside = points_in_box(frame.points, frame.boxes, number)
                assert inside.any()
                floor = frame.boxes.centre[number, 2] - frame.boxes.size[number, 2] / 2
                above = frame.points[:, 2] > floor + 0.2
                if (inside & above).sum() >= 20:
                    around = points_in_box(frame.points, frame.boxes, number, margin=0.3) & above
                    shares.append(float((inside & above).sum() / around.sum()))
        return shares

    return measure
