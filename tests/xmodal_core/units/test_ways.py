"""The ways to units side by side: each row against what its own parts say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.datasets import open_dataset
from xmodal_core.types import Bools, Frame, Pooling, Units
from xmodal_core.units import UnitsConfig, discover
from xmodal_core.units.false_negatives import false_negatives
from xmodal_core.units.labels import labels_of_units
from xmodal_core.units.statistics import measure
from xmodal_core.units.ways import Way, average_ways, examine

CONFIG = UnitsConfig.model_validate({"seeds": {"count": 300}, "instances": {"radius": 1.2}})
ALONE = UnitsConfig.model_validate({"seeds": {"count": 300}, "instances": {"radius": 1.2, "enabled": False}})


@pytest.fixture(scope="module")
def frame(example_root: Callable[[str], Path]) -> Frame:
    return open_dataset("nuscenes", example_root("nuscenes")).frame(0)


def oracle(frame: Frame, units: Units) -> Bools:
    """The negatives that labels would choose: units on other things."""
    thing = labels_of_units(frame, units.pooling).object
    return ~np.eye(units.count, dtype=bool) & ((thing[:, None] != thing[None]) | (thing[:, None] < 0))


def boxes_as_units(frame: Frame, seed: int) -> Pooling:
    """A perfect peer: the unit of a box is all that is in it."""
    from xmodal_core.units.labels import FrameLabels
    from xmodal_core.units.peers.base import averages

    labels = FrameLabels.of(frame)
    return averages(labels.box, labels.point, len(frame))


def test_each_row_is_what_its_own_units_give(frame: Frame) -> None:
    found = examine(frame, CONFIG, negatives_of=oracle, peers=[("perfect", "perfect units", boxes_as_units)])
    seeds, instances, balance, perfect = found.ways
    assert [way.name for way in found.ways] == ["seeds", "instances", "balance", "perfect"]

    alone, units = discover(frame, ALONE), discover(frame, CONFIG)
    np.testing.assert_array_equal(found.units.unit, units.unit)
    assert (seeds.units, instances.units, balance.units) == (alone.count, units.count, units.count)
    pairs = false_negatives(labels_of_units(frame, alone.pooling))
    assert (seeds.false_negative_object, seeds.false_negative_class) == pairs[:2]
    assert np.isnan(seeds.instance_recall)
    on = labels_of_units(frame, alone.pooling).object
    assert seeds.negatives_object == pytest.approx(np.mean([((on == k) & (k >= 0)).sum() - (k >= 0) for k in on]))

    plain = measure(frame, units, CONFIG)
    assert plain.quality is not None
    assert instances.false_negative_object == plain.quality.false_negative_object
    assert (instances.instance_recall, instances.coverage) == (plain.quality.instance_recall, plain.coverage)

    assert balance.false_negative_object == 0.0
    assert found.statistics.quality is not None
    assert found.statistics.quality.false_negative_class == balance.false_negative_class
    assert balance.milliseconds > instances.milliseconds > 0

    assert (perfect.instance_recall, perfect.false_negative_object, perfect.purity) == (1.0, 0.0, 1.0)
    assert seeds.false_negative_object > instances.false_negative_object


def test_without_instances_in_the_settings_no_way_has_any(frame: Frame) -> None:
    found = examine(frame, ALONE, negatives_of=oracle)
    assert [way.name for way in found.ways] == ["seeds", "balance"]
    assert found.statistics.instances == 0
    assert np.isnan(found.ways[1].instance_recall)


def test_single_points_are_no_objects(frame: Frame) -> None:
    def points(frame: Frame, seed: int) -> Pooling:
        column = np.arange(40) * 3
        return Pooling(np.arange(40), column, np.ones(40, np.float32), (40, len(frame)))

    way = examine(frame, CONFIG, peers=[("points", "single points", points)]).ways[-1]
    assert np.isnan(way.instance_recall)
    assert way.purity == 1.0 or np.isnan(way.purity)
    assert "instance_recall" not in way.as_json()


def test_the_mean_over_frames_passes_over_what_is_missing() -> None:
    def way(name: str, recall: float, milliseconds: float) -> Way:
        return Way(name, name, 10.0, 0.1, np.nan, 0.9, np.nan, recall, 0.5, 0.9, milliseconds)

    rows = [[way("a", 0.5, 1.0), way("b", 1.0, 5.0)], [way("a", np.nan, 2.0)], [way("a", 1.0, 9.0)]]
    a, b = average_ways(rows)
    assert (a.instance_recall, a.milliseconds, b.instance_recall) == (0.75, 2.0, 1.0)
    assert np.isnan(a.false_negative_class)
