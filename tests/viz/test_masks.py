"""The pixels that clusters and units cover, against distance transforms group by group."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from viz.masks import ellipse, paint_masks


def naive_masks(
    shape: tuple[int, int], uv: np.ndarray, group: np.ndarray, distance: np.ndarray, brush: tuple[float, float]
) -> np.ndarray:
    """Each group closed and grown by itself on an empty picture with room around it, the farthest laid down first."""
    room = 200
    mask = np.full(shape, -1, dtype=np.int32)
    bridge = (brush[0] * 1.8 + 1.0, brush[1] * 0.85 + 1.0)
    touch = (brush[0] * 0.5 + 0.7, max(brush[0] * 0.5, brush[1] * 0.2) + 0.7)
    names = sorted(set(group[group >= 0].tolist()), key=lambda name: -float(np.median(distance[group == name])))
    for name in names:
        at = np.round(uv[group == name]).astype(int)
        dots = np.zeros((shape[0] + 2 * room, shape[1] + 2 * room), dtype=bool)
        dots[at[:, 1] + room, at[:, 0] + room] = True
        body = ~grown(~grown(dots, bridge), bridge) | grown(dots, touch)
        mask[body[room:-room, room:-room]] = name
    return mask


def grown(shape: np.ndarray, reach: tuple[float, float]) -> np.ndarray:
    """``shape`` and all within an ellipse of half axes ``reach`` (across, down) of it."""
    across, down = reach
    return ndimage.distance_transform_edt(~shape, sampling=(across / down, 1.0)) <= across


def test_a_mask_fills_the_gaps_between_the_beams_of_a_thing_and_no_more() -> None:
    # A wall of 5 beams 12 pixels apart with returns every 3 pixels; a lone return far from it.
    u, v = np.meshgrid(np.arange(60, 121, 3), np.arange(40, 89, 12))
    uv = np.stack([np.append(u.ravel(), 200), np.append(v.ravel(), 60)], axis=1).astype(np.float32)
    group = np.append(np.zeros(u.size, np.int64), 1)
    mask = paint_masks((120, 240), uv, group, np.full(len(uv), 10, np.float32), (3.0, 12.0))
    assert (mask[42:87, 62:119] == 0).all()
    assert (mask[:, :50] == -1).all()
    assert (mask[:20] == -1).all()
    assert (mask[110:] == -1).all()
    rows, columns = np.nonzero(mask == 1)
    assert np.abs(columns - 200).max() <= 3
    assert np.abs(rows - 60).max() <= 4


def test_two_things_apart_stay_two_and_nearer_ones_lie_over_farther_ones() -> None:
    u, v = np.meshgrid(np.arange(20, 61, 2), np.arange(20, 61, 4))
    wall = np.stack([u.ravel(), v.ravel()], axis=1)
    u, v = np.meshgrid(np.arange(34, 47, 2), np.arange(30, 51, 4))
    person = np.stack([u.ravel(), v.ravel()], axis=1)
    for person_away, wall_away, owner in ((5, 20, 1), (20, 5, 0)):
        uv = np.concatenate([wall, person]).astype(np.float32)
        group = np.repeat([0, 1], [len(wall), len(person)])
        distance = np.where(group == 0, wall_away, person_away).astype(np.float32)
        mask = paint_masks((80, 80), uv, group, distance, (2.0, 4.0))
        assert (mask[32:49, 36:45] == owner).all()
        assert (mask[22:59, 22:30] == 0).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), points=st.integers(0, 60))
def test_every_point_of_a_group_is_covered_and_the_rest_is_not(seed: int, points: int) -> None:
    rng = np.random.default_rng(seed)
    uv = rng.uniform(0, [79, 59], (points, 2)).astype(np.float32)
    group = rng.integers(-1, 5, points)
    distance = rng.uniform(2, 50, points).astype(np.float32)
    brush = (float(rng.uniform(0.5, 4)), float(rng.uniform(0.5, 15)))
    mask = paint_masks((60, 80), uv, group, distance, brush)
    at = np.round(uv).astype(int)
    assert (mask[at[group >= 0, 1], at[group >= 0, 0]] >= 0).all()
    assert set(np.unique(mask)) <= {-1, *group[group >= 0].tolist()}
    reach = 2 * max(brush[0] * 1.8 + 1, brush[1] * 0.85 + 1) + 2
    for y, x in np.argwhere(mask >= 0)[::37]:
        mine = uv[group == mask[y, x]]
        assert np.linalg.norm(mine - [x, y], axis=1).min() <= reach


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    points=st.integers(1, 80),
    spread=st.floats(1, 40),
    brush=st.tuples(st.floats(0.2, 6), st.floats(0.2, 20)),
)
def test_they_are_those_of_distance_transforms(
    seed: int, points: int, spread: float, brush: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    group = rng.integers(-1, 4, points)
    # Things of any size, some at the edge of the picture, some points in one pixel.
    middle = rng.uniform(0, [79, 59], (5, 2))
    uv = np.clip(rng.normal(middle[group], spread), 0, [79, 59]).astype(np.float32)
    distance = rng.uniform(2, 50, points).astype(np.float32)
    found = paint_masks((60, 80), uv, group, distance, brush)
    np.testing.assert_array_equal(found, naive_masks((60, 80), uv, group, distance, brush))


def test_an_ellipse_reaches_as_far_as_its_equation_says() -> None:
    reach = ellipse(5.5, 3.2)
    assert len(reach) == 7
    for row, wide in zip(range(-3, 4), reach.tolist(), strict=True):
        inside = [column for column in range(20) if (column / 5.5) ** 2 + (row / 3.2) ** 2 <= 1]
        assert wide == max(inside)


def test_no_points_and_no_groups_cover_nothing() -> None:
    none = np.zeros(0, np.float32)
    assert (paint_masks((4, 5), np.zeros((0, 2), np.float32), np.zeros(0, np.int64), none, (1, 1)) == -1).all()
    one = np.ones(1, np.float32)
    assert (paint_masks((4, 5), np.ones((1, 2), np.float32), np.array([-1]), one, (1, 1)) == -1).all()
