from __future__ import annotations

from dataclasses import replace

import numpy as np

from viz import members
from xmodal_core.geometry import points_in_box
from xmodal_core.types import Frame, Semantic, Units
from xmodal_core.units.members import unit_of_points


def test_bounds_are_those_of_a_loop(frame: Frame, units: Units) -> None:
    count = len(units.reasons)
    low, high = members.bounds(frame.points, units.clusters, count)
    for cluster in range(count):
        mine = frame.points[units.clusters == cluster]
        np.testing.assert_array_equal(low[cluster], mine.min(axis=0))
        np.testing.assert_array_equal(high[cluster], mine.max(axis=0))
    low, high = members.bounds(frame.points, units.clusters, count + 2)
    assert not low[count:].any()
    assert not high[count:].any()


def test_the_first_point_of_each_group() -> None:
    groups = np.array([-1, 2, 0, 2, 0, -1])
    assert members.first_points(groups, 4).tolist() == [2, 6, 1, 6]


def test_words_say_what_a_unit_is_and_what_the_labels_call_it(frame: Frame, units: Units) -> None:
    owner = unit_of_points(units)
    words = members.unit_words(frame, units, owner)
    assert len(words) == units.count
    for number, line in enumerate(words):
        assert line.startswith(f"unit {number} · {'instance' if units.merged[number] else 'seed'}")
        assert f"{np.count_nonzero(owner == number):,} point" in line
    cars = [line for line in words if "labelled car" in line]
    assert cars
    assert all(
        "labelled" not in line for line, label in zip(words, _labels(frame, owner, units), strict=True) if not label
    )


def _labels(frame: Frame, owner: np.ndarray, units: Units) -> list[str]:
    """The class of the box that holds more of a unit than any other and than none does, by a loop."""
    boxes = frame.boxes
    assert boxes is not None
    found = []
    for number in range(units.count):
        mine = frame.points[owner == number]
        votes: dict[str, int] = {}
        left = np.ones(len(mine), dtype=bool)
        for box in range(len(boxes)):
            inside = points_in_box(mine, boxes, box, margin=0.1)
            votes[boxes.classes[boxes.label[box]]] = votes.get(boxes.classes[boxes.label[box]], 0) + int(inside.sum())
            left &= ~inside
        best = max(votes, key=lambda name: votes[name])
        found.append(best if votes[best] >= left.sum() else "")
    return found


def test_labels_by_box_agree_with_a_loop(frame: Frame, units: Units) -> None:
    owner = unit_of_points(units)
    assert list(members.labels(frame, owner, units.count)) == _labels(frame, owner, units)


def test_without_boxes_labels_come_from_the_points_and_without_any_there_are_none(frame: Frame, units: Units) -> None:
    owner = unit_of_points(units)
    label = np.where(owner == 0, 2, 0)
    labelled = replace(frame, boxes=None, semantic=Semantic(label, ("ignore", "road", "truck")))
    found = members.labels(labelled, owner, units.count)
    assert found[0] == "truck"
    assert set(found[1:]) == {""}
    bare = replace(frame, boxes=None, semantic=None)
    assert set(members.labels(bare, owner, units.count)) == {""}


def test_every_rejected_cluster_says_why(frame: Frame, units: Units) -> None:
    for reason, line in zip(units.reasons, members.cluster_words(frame, units), strict=True):
        assert ("· kept ·" in line) == (reason == "kept")
        assert ("rejected: " + members.REASONS[reason] in line) == (reason != "kept")


def test_the_telling_unit_is_an_instance_of_a_vehicles_size(frame: Frame, units: Units) -> None:
    unit = members.telling_unit(frame, units)
    assert units.merged[unit]
    mine = frame.points[unit_of_points(units) == unit]
    extent = mine.max(axis=0) - mine.min(axis=0)
    assert 1.5 < extent[:2].max() < 7
