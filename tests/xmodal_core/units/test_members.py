"""Every point of a unit is found, whichever way the unit came to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.datasets import open_dataset
from xmodal_core.types import Units
from xmodal_core.units import UnitsConfig, discover
from xmodal_core.units.members import unit_of_points


@pytest.fixture(scope="module")
def units(example_root: Callable[[str], Path]) -> Units:
    frame = open_dataset("nuscenes", example_root("nuscenes")).frame(0)
    return discover(frame, UnitsConfig.model_validate({"seeds": {"count": 300}, "instances": {"radius": 1.2}}))


def test_all_points_of_an_instance_belong_to_the_unit_it_became(units: Units) -> None:
    owner = unit_of_points(units)
    assert owner.shape == units.ground.shape
    assert set(owner[units.seeds]) == set(range(units.count))  # no unit is lost, each at least at its seeds
    for instance in range(units.instance.max() + 1):
        seeds = np.flatnonzero(units.instance[units.seeds] == instance)
        expected = units.unit[seeds[0]] if len(seeds) else -1
        assert (owner[units.instance == instance] == expected).all()


def test_any_other_point_belongs_to_the_unit_that_weighs_it_most(units: Units) -> None:
    owner, pooling = unit_of_points(units), units.pooling
    np.testing.assert_array_equal(owner[units.seeds], units.unit)
    for point in np.setdiff1d(np.flatnonzero(units.instance < 0), units.seeds):
        rows = np.flatnonzero(pooling.column == point)
        if not len(rows):
            assert owner[point] == -1
        else:
            heaviest = pooling.weight[rows].max()
            assert owner[point] in pooling.row[rows][pooling.weight[rows] == heaviest]
