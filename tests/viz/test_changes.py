"""What other settings change, against loops over units and points."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from viz.changes import SAME, best_likeness
from viz.compose import compose
from viz.scene import PointLayer
from xmodal_core.types import Frame, Units
from xmodal_core.units import UnitsConfig, discover
from xmodal_core.units.members import unit_of_points


@given(seed=st.integers(0, 10**6), points=st.integers(0, 60), units=st.integers(1, 6))
def test_likeness_is_the_best_intersection_over_union(seed: int, points: int, units: int) -> None:
    random = np.random.default_rng(seed)
    now, then = random.integers(-1, units, points), random.integers(-1, units + 2, points)
    found = best_likeness(now, then, units)
    for unit in range(units):
        mine = now == unit
        shares = [(mine & (then == other)).sum() / max(1, (mine | (then == other)).sum()) for other in range(units + 2)]
        assert found[unit] == max(shares)


def test_every_point_is_in_the_layer_that_says_what_became_of_it(frame: Frame, units: Units) -> None:
    before = discover(frame, UnitsConfig.model_validate({"seeds": {"count": 96}, "ground": {"max_dist_to_line": 0.4}}))
    scene = compose(frame, units, before=before)
    stage = scene.stage("changes")
    now, then = unit_of_points(units), unit_of_points(before)
    likeness = best_likeness(now, then, units.count)
    seen = 0
    for layer in scene.point_layers(stage):
        assert isinstance(layer, PointLayer)
        for row in layer.rows.tolist():
            if before.ground[row] != units.ground[row]:
                expected = "ground_before" if before.ground[row] else "ground_now"
            elif (now[row] >= 0) != (then[row] >= 0):
                expected = "only_now" if now[row] >= 0 else "only_before"
            elif now[row] >= 0 and likeness[now[row]] < SAME:
                expected = "regrouped"
            else:
                expected = "ground" if units.ground[row] else "rest"
            assert layer.name == f"changes.{expected}"
            seen += 1
    assert seen == len(frame) == len(scene.cloud)
    assert len(scene.stages) == 6
    assert len(stage.tint) == units.count


def test_the_same_settings_change_nothing(frame: Frame, units: Units) -> None:
    scene = compose(frame, units, before=units)
    shown = {layer.name: len(layer.rows) for layer in scene.point_layers(scene.stage("changes"))}
    assert shown["changes.ground"] + shown["changes.rest"] == len(frame)
    assert f"{units.count:,} are the same" in scene.stage("changes").caption[0]
