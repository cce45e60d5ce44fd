"""Overlap of boxes, compared with an area found in another way: from the corners of the shape that two boxes share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xmodal_core.geometry import points_in_box
from xmodal_core.geometry_boxes import (
    box_rows,
    iou_3d,
    iou_bev,
    keep_apart,
    keep_distant,
    overlaps_3d,
    points_in_boxes,
)
from xmodal_core.types import Boxes

Row = tuple[float, ...]


def outline(box: Row) -> np.ndarray:
    """(4,2) counter-clockwise."""
    x, y, _, length, width, _, yaw = box
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [length / 2, width / 2]
    return corners @ turn.T + [x, y]


def in_outline(points: np.ndarray, box: Row) -> np.ndarray:
    x, y, _, length, width, _, yaw = box
    dx, dy = points[:, 0] - x, points[:, 1] - y
    along, across = np.cos(yaw) * dx + np.sin(yaw) * dy, np.cos(yaw) * dy - np.sin(yaw) * dx
    return (np.abs(along) <= length / 2 + 1e-9) & (np.abs(across) <= width / 2 + 1e-9)


def shared_area(a: Row, b: Row) -> float:
    """All corners of one in the other and all crossings of their sides, sorted round their middle."""
    first, second = outline(a), outline(b)
    corners = [*first[in_outline(first, b)], *second[in_outline(second, a)]]
    for p, q in zip(first, np.roll(first, -1, axis=0), strict=True):
        for r, s in zip(second, np.roll(second, -1, axis=0), strict=True):
            u, v, w = q - p, s - r, r - p
            cross = u[0] * v[1] - u[1] * v[0]
            if abs(cross) < 1e-12:
                continue  # parallel sides share no point that is not a corner
            t, k = (w[0] * v[1] - w[1] * v[0]) / cross, (w[0] * u[1] - w[1] * u[0]) / cross
            if 0 <= t <= 1 and 0 <= k <= 1:
                corners.append(p + t * u)
    if len(corners) < 3:
        return 0.0
    around = np.array(corners) - np.mean(corners, axis=0)
    x, y = around[np.argsort(np.arctan2(around[:, 1], around[:, 0]))].T
    return float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)


def naive_bev(a: Row, b: Row) -> float:
    shared = shared_area(a, b)
    return shared / (a[3] * a[4] + b[3] * b[4] - shared)


def naive_3d(a: Row, b: Row) -> float:
    height = min(a[2] + a[5] / 2, b[2] + b[5] / 2) - max(a[2] - a[5] / 2, b[2] - b[5] / 2)
    shared = shared_area(a, b) * max(height, 0.0)
    return shared / (a[3] * a[4] * a[5] + b[3] * b[4] * b[5] - shared)


lengths = st.floats(0.1, 6.0)
places = st.floats(-4.0, 4.0)
turns = st.one_of(st.floats(-7.0, 7.0), st.sampled_from([k * np.pi / 4 for k in range(-4, 5)]))
boxes = st.tuples(places, places, places, lengths, lengths, lengths, turns)
grid = st.sampled_from([0.0, 0.5, 1.0, 2.0])
on_a_grid = st.tuples(
    grid, grid, grid, *[st.sampled_from([0.5, 1.0, 2.0])] * 3, st.sampled_from([0.0, np.pi / 2, np.pi, np.pi / 4])
)


def rows(*of: Row) -> np.ndarray:
    return np.array(of, dtype=np.float64).reshape(-1, 7)


class TestOverlap:
    @given(st.lists(st.one_of(boxes, on_a_grid), min_size=1, max_size=4), st.lists(boxes | on_a_grid, max_size=4))
    @example([(0.0, 0, 0, 4, 2, 1, 0.0)], [(0.0, 0, 0, 2, 4, 1, np.pi / 2), (0.0, 0, 0, 4, 2, 1, np.pi)])
    @settings(max_examples=150, deadline=None)
    def test_equals_an_area_found_in_another_way(self, first: list[Row], second: list[Row]) -> None:
        a, b = rows(*first), rows(*second)
        for found, naive in ((iou_bev(a, b), naive_bev), (iou_3d(a, b), naive_3d)):
            assert found.shape == (len(first), len(second))
            np.testing.assert_allclose(
                found, np.array([[naive(p, q) for q in second] for p in first]).reshape(found.shape), atol=1e-7
            )

    @given(boxes, boxes, st.floats(-1e6, 1e6), turns)
    @settings(max_examples=100, deadline=None)
    def test_does_not_depend_on_order_place_or_view(self, p: Row, q: Row, far: float, turn: float) -> None:
        a, b = rows(p), rows(q)
        here = iou_3d(a, b)[0, 0]
        assert 0.0 <= here <= 1.0
        assert iou_3d(b, a)[0, 0] == pytest.approx(here, abs=1e-12)
        away = [0, 0, far, 0, 0, 0, 0]
        assert iou_3d(a + away, b + away)[0, 0] == pytest.approx(here, abs=1e-8)
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        turned = [np.column_stack([r[:, :2] @ spin.T, r[:, 2:6], r[:, 6] + turn]) for r in (a, b)]
        assert iou_3d(*turned)[0, 0] == pytest.approx(here, abs=1e-9)

    def test_by_hand(self) -> None:
        cube, octagon = (0.0, 0, 0, 2, 2, 2, 0.0), 8 * (np.sqrt(2) - 1)
        others = {
            (0.0, 0, 0, 2, 2, 2, np.pi / 2): 1.0,
            (1.0, 0, 0, 2, 2, 2, 0.0): 1 / 3,
            (1.0, 1, 1, 2, 2, 2, 0.0): 1 / 15,
            (0.0, 0, 0, 1, 1, 1, 0.3): 1 / 8,
            (0.0, 0, 0, 2, 2, 2, np.pi / 4): octagon / (8 - octagon),
            (2.0, 0, 0, 2, 2, 2, 0.0): 0.0,
            (0.0, 0, 2, 2, 2, 2, 0.0): 0.0,
            (0.0, 0, 0, 0, 2, 2, 0.0): 0.0,
            (500.0, 0, 0, 2, 2, 2, 0.0): 0.0,
        }
        found = iou_3d(rows(cube), rows(*others))[0]
        np.testing.assert_allclose(found, list(others.values()), atol=1e-12)

    def test_a_thin_box_that_sticks_through_a_large_one(self) -> None:
        assert iou_bev(rows((0.0, 0, 0, 10, 0.1, 1, 0.5)), rows((0.0, 0, 0, 2, 2, 1, 0.5)))[0, 0] == pytest.approx(
            0.2 / (1.0 + 4.0 - 0.2)
        )

    def test_two_boxes_without_extent_share_nothing(self) -> None:
        nothing = rows((0.0, 0, 0, 0, 0, 0, 0.0))
        assert iou_3d(nothing, nothing)[0, 0] == iou_bev(nothing, nothing)[0, 0] == 0.0

    def test_bad_rows_are_refused(self) -> None:
        good = rows((0.0, 0, 0, 1, 1, 1, 0))
        for bad in (good[:, :6], good * np.nan, good * -1):
            with pytest.raises(ValueError, match="boxes must be"):
                iou_3d(good, bad)


class TestOverlaps3d:
    @given(st.lists(st.tuples(boxes, st.integers(0, 3)), max_size=12), st.floats(0.01, 0.9), st.integers(0, 12))
    @settings(max_examples=60, deadline=None)
    def test_are_the_pairs_of_a_group_that_overlap_enough(
        self, grouped: list[tuple[Row, int]], least: float, half: int
    ) -> None:
        sides = [sorted(side, key=lambda pair: pair[1]) for side in (grouped[:half], grouped[half:])]
        (a, group_a), (b, group_b) = (
            (rows(*[box for box, _ in side]), np.array([group for _, group in side], dtype=np.int64)) for side in sides
        )
        found = overlaps_3d(a, b, group_a, group_b, least)
        iou = iou_3d(a, b)
        i, j = np.nonzero((iou >= least) & (group_a[:, None] == group_b[None]))
        np.testing.assert_array_equal(found.a, i)
        np.testing.assert_array_equal(found.b, j)
        np.testing.assert_array_equal(found.iou, iou[i, j])

    def test_many_pairs_are_all_kept(self) -> None:
        same = np.repeat(rows((1.0, 2, 3, 4, 2, 1, 0.1)), 30, axis=0)
        group = np.zeros(30, dtype=np.int64)
        assert len(overlaps_3d(same, same, group, group, 0.99).a) == 900

    def test_what_makes_no_sense_is_refused(self) -> None:
        box, group = rows((1.0, 2, 3, 4, 2, 1, 0.1), (1.0, 2, 3, 4, 2, 1, 0.1)), np.array([1, 0])
        with pytest.raises(ValueError, match="sorted"):
            overlaps_3d(box, box, group, group, 0.5)
        with pytest.raises(ValueError, match="above 0"):
            overlaps_3d(box, box, group[::-1], group[::-1], 0.0)


def test_rows_hold_what_they_were_made_of() -> None:
    assert box_rows(np.ones((1, 3)), np.full((1, 3), 2.0), np.array([0.5])).tolist() == [[1, 1, 1, 2, 2, 2, 0.5]]


class TestSuppression:
    @given(st.lists(boxes | on_a_grid, max_size=12), st.floats(0.0, 0.9))
    @settings(max_examples=100)
    def test_what_is_left_is_apart_and_what_went_overlapped_something_left(self, some: list[Row], most: float) -> None:
        kept = keep_apart(rows(*some), most).tolist()
        assert kept == sorted(set(kept))
        overlap = np.array([[naive_bev(a, b) for b in some] for a in some]).reshape(len(some), len(some))
        for number in range(len(some)):
            before = [overlap[other, number] for other in kept if other < number]
            if number in kept:
                assert max(before, default=0.0) <= most + 1e-6
            else:
                assert max(before) > most - 1e-6

    @given(st.lists(st.tuples(places, places), max_size=12), st.floats(0.1, 4.0))
    def test_by_distance_alike(self, some: list[tuple[float, float]], radius: float) -> None:
        centre = np.array(some).reshape(-1, 2)
        kept = keep_distant(centre, radius).tolist()
        for number in range(len(some)):
            before = [np.hypot(*(centre[other] - centre[number])) for other in kept if other < number]
            assert (number in kept) == all(away > radius for away in before)

    def test_no_more_are_kept_than_asked_for(self) -> None:
        row = rows(*[(10.0 * k, 0, 0, 1, 1, 1, 0) for k in range(5)])
        assert keep_apart(row, 0.5, 2).tolist() == [0, 1]
        assert keep_distant(row, 0.5, 2).tolist() == [0, 1]
        assert keep_apart(row[:0], 0.5).tolist() == keep_distant(row[:0], 0.5).tolist() == []


class TestPointsInBoxes:
    @given(st.lists(boxes, max_size=4), st.floats(0.0, 1.0), st.integers(0, 1000))
    def test_are_those_that_each_box_alone_has(self, some: list[Row], margin: float, seed: int) -> None:
        points = np.random.default_rng(seed).normal(0, 4, (300, 3)).astype(np.float32)
        values = rows(*some)
        alone = Boxes(
            centre=values[:, :3].astype(np.float32),
            size=values[:, 3:6].astype(np.float32),
            yaw=values[:, 6].astype(np.float32),
            label=np.zeros(len(some), dtype=np.int64),
            classes=("car",),
            track=np.zeros(len(some), dtype=np.int64),
            velocity=np.zeros((len(some), 2), dtype=np.float32),
        )
        found = points_in_boxes(points, values, margin)
        expected = [points_in_box(points, alone, number, margin=margin) for number in range(len(some))]
        box, point = np.nonzero(np.array(expected).reshape(-1, len(points)))
        np.testing.assert_array_equal(found.box, box)
        np.testing.assert_array_equal(found.point, point)

    def test_more_points_than_there_was_room_for(self) -> None:
        points = np.zeros((1000, 3), dtype=np.float32)
        found = points_in_boxes(points, rows((0, 0, 0, 1, 1, 1, 0), (9, 0, 0, 1, 1, 1, 0), (0, 0, 0, 2, 2, 2, 1)))
        assert np.bincount(found.box).tolist() == [1000, 0, 1000]
