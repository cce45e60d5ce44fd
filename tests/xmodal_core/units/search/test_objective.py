"""Objectives: what they measure, and that no empty victory counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xmodal_core.types import Frame
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.labels import FrameLabels
from xmodal_core.units.quality import instance_recall
from xmodal_core.units.search.objective import FEET, OBJECTIVES, Case, Guard, make_cases, reach, without_feet
from xmodal_core.units.search.space import with_values

RIGHT = {"instances.radius": 0.6}
"""The halves of a thing join, and no two things."""


def score(name: str, cases: list[Case], values: dict[str, Any]) -> float:
    """Of the start with other ``values``."""
    objective = OBJECTIVES[name]
    settings = with_values(cases[0].start, values)
    before = [objective.look(case, case.units(case.start)) for case in cases]
    return objective.score([objective.look(case, case.units(settings)) for case in cases], before)


def settled(cases: list[Case], values: dict[str, Any]) -> list[Case]:
    """The same frames, begun with ``values``."""
    return [Case.of(case.frame, with_values(case.start, values)) for case in cases]


def test_recall_is_whole_where_every_thing_is_one_instance(cases: list[Case]) -> None:
    assert score("recall", cases, RIGHT) == pytest.approx(1.0)
    assert score("recall", cases, {}) < 0.6
    assert score("recall", cases, {"instances.radius": 0.2}) < 0.8, "halves"
    assert score("recall", cases, {"instances.enabled": False}) == 0


def test_the_ground_under_a_thing_counts_for_nothing(make_street: Callable[..., Frame]) -> None:
    """Settings that leave ground in would find more of the points of a box."""
    frame = make_street()
    labels = FrameLabels.of(frame)
    bodies, feet = without_feet(frame, labels)
    assert frame.boxes is not None
    naive = np.zeros(len(frame), bool)
    for point in labels.point:
        naive[point] |= frame.points[point, 2] < -1.8 + FEET
    assert np.array_equal(feet, naive)
    assert feet.any()
    assert len(bodies.point) == len(labels.point) - len(feet.nonzero()[0])
    whole = np.full(len(frame), -1)
    whole[labels.point] = labels.box
    body = np.where(feet, -1, whole)
    assert instance_recall(frame, body).mean_iou < instance_recall(frame, whole).mean_iou == 1.0
    case = Case.of(frame, UnitsConfig())
    units = case.units(UnitsConfig())
    scores = [
        OBJECTIVES["recall"].look(case, replace(units, instance=instance))["mean_iou"] for instance in (whole, body)
    ]
    assert scores == [1.0, 1.0]


def test_false_negatives_are_the_pairs_that_merging_takes_away(cases: list[Case]) -> None:
    good = settled(cases, RIGHT)
    assert score("false-negatives", good, {}) == 1.0
    objective = OBJECTIVES["false-negatives"]
    case = good[0]
    units = case.units(with_values(case.start, {"instances.enabled": False}))
    found = objective.look(case, units)
    on = case.labels.object[units.seeds]
    naive = sum(int(a == b >= 0) for i, a in enumerate(on) for j, b in enumerate(on) if i != j)
    assert found["pairs_of_seeds"] == naive
    assert objective.value(found) < 0.1, "nothing is merged"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("false-negatives", {"instances.radius": 1.5, "instances.max_length": 100.0}),  # things stick together
        ("false-negatives", {"ground.max_dist_to_line": 1.0}),  # things are ground
        ("false-negatives", {"seeds.count": 16}),  # fewer pairs
        ("false-negatives", {"seeds.count": 1024}),  # more to take away
        ("coverage", {"context.radius": 5.0, "context.neighbours": 128}),  # a unit is everything around
        ("coverage", {"context.kind": "pillar", "context.pillar_size": 4.0}),
        ("coverage", {"seeds.count": 1024}),
        ("coverage", {"instances.enabled": True}),
    ],
)
def test_an_empty_victory_is_worse_than_no_change(cases: list[Case], name: str, values: dict[str, Any]) -> None:
    begin = {"instances.radius": 0.4, "context.neighbours": 4, "instances.enabled": name != "coverage"}
    cases = settled(cases, begin)
    assert score(name, cases, values) < 0 <= score(name, cases, {})


def test_one_huge_instance_is_no_recall(make_street: Callable[..., Frame], start: UnitsConfig) -> None:
    """A hedge beside the things: to keep it as one instance harms no box, but leaves one unit of many."""
    street = make_street()
    x, z = np.meshgrid(np.arange(5.0, 19.0, 0.1), np.arange(-1.4, 0.0, 0.2))
    hedge = np.column_stack([x.ravel(), np.full(x.size, 6.0), z.ravel()]).astype(np.float32)
    frame = replace(street, points=np.concatenate([street.points, hedge]), semantic=None)
    settings = with_values(start, {"instances.radius": 0.4, "instances.max_length": 10.0})
    case = Case.of(frame, settings)
    kept = {"instances.max_length": 100.0, "instances.max_aspect": 50.0}
    objective = OBJECTIVES["recall"]
    before = objective.look(case, case.units(settings))
    after = objective.look(case, case.units(with_values(settings, kept)))
    assert after["mean_iou"] == before["mean_iou"]
    assert objective.score([after], [before]) < 0 < objective.score([before], [before])


def test_a_guard_broken_more_is_worse() -> None:
    guard = Guard("units", least=0.8, most=1.2)
    beyond = [guard.beyond({"units": units}, {"units": 100.0}) for units in (50, 70, 80, 100, 120, 150)]
    np.testing.assert_allclose(beyond, [0.3, 0.1, 0, 0, 0, 0.3], atol=1e-12)
    assert guard.beyond({"units": 5.0}, {"units": 0.0}) == 0
    words = guard.in_words({"units": 70.0}, {"units": 100.0})
    assert words == "units is 0.7 times what it was, not at least 0.8 times"
    assert "1.5 times what it was, not at most 1.2" in guard.in_words({"units": 150.0}, {"units": 100.0})


def test_coverage_is_of_what_the_start_takes_for_objects(cases: list[Case]) -> None:
    case = cases[0]
    units = case.units(case.start)
    assert np.array_equal(case.wanted, units.visible & ~units.ground)
    everything_ground = with_values(case.start, {"ground.max_dist_to_line": 1.0})
    assert OBJECTIVES["coverage"].look(case, case.units(everything_ground))["coverage"] < 0.5


def test_reach_is_that_of_each_unit(cases: list[Case]) -> None:
    case = cases[0]
    units = case.units(with_values(case.start, {"instances.enabled": False}))
    distances = []
    for unit in range(units.count):
        at = units.pooling.row == unit
        points = case.frame.points[units.pooling.column[at]].astype(float)
        weight = units.pooling.weight[at].astype(float)
        middle = weight @ points
        distances.append(np.sqrt(weight @ ((points - middle) ** 2).sum(axis=1)))
    assert reach(case.frame, units) == pytest.approx(np.mean(distances), rel=1e-4)
    assert np.isnan(reach(case.frame, case.units(with_values(case.start, {"instances.max_length": 100.0}))))


def test_ground_counts_both_errors(cases: list[Case]) -> None:
    assert score("ground", cases, {}) > 0.95
    assert score("ground", cases, {"ground.max_dist_to_line": 1.0}) < score("ground", cases, {}) - 0.02
    far = score("ground", cases, {"range.farthest": 10.0})
    assert far < score("ground", cases, {}) - 0.02, "what is far is judged all the same"


def test_what_can_be_judged(make_street: Callable[..., Frame]) -> None:
    def able(frame: Frame) -> set[str]:
        case = Case.of(frame, UnitsConfig())
        return {name for name, objective in OBJECTIVES.items() if objective.can_judge(case)}

    frame = make_street()
    assert able(frame) == set(OBJECTIVES)
    assert able(replace(frame, boxes=None)) == {"coverage", "ground"}
    assert able(replace(frame, semantic=None)) == {"recall", "false-negatives", "coverage"}
    assert able(replace(frame, cameras=())) == {"recall", "false-negatives", "ground"}
    assert frame.semantic is not None
    roadless = replace(frame.semantic, classes=("ignore", "wall", "thing"))
    assert "ground" not in able(replace(frame, semantic=roadless))


def test_frames_that_do_not_fit_into_memory_are_done_anew(make_street: Callable[..., Frame]) -> None:
    frames = [make_street("a"), make_street("b"), make_street("c")]
    one = Case.of(frames[0], UnitsConfig()).nbytes
    assert one > frames[0].points.nbytes * 2
    kept = list(make_cases(frames, UnitsConfig(), memory=2 * one + 1))
    assert [case.steps is not None for case in kept] == [True, True, False]
    units = [case.units(UnitsConfig()) for case in kept]
    assert np.array_equal(units[0].unit, units[2].unit)
