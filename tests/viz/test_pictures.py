from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viz.pictures import (
    angular_spacing,
    make_views,
    paint_masks,
    project_strokes,
    rig_places,
    shrink,
    to_shown,
)
from viz.scene import LineLayer, Scene
from xmodal_core.geometry import box_corners
from xmodal_core.types import Frame, Units


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


def test_views_show_units_where_the_cameras_see_them(frame: Frame, units: Units, scene: Scene) -> None:
    """Behind each mask's pixels lie the points of that unit: the readers' picture and sweep fit to the pixel."""
    assert len(scene.views) == len(frame.cameras)
    assert {view.place for view in scene.views} == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)}
    for number, view in enumerate(scene.views):
        assert view.image.shape[:2] == view.masks["unit"].shape == view.masks["cluster"].shape
        at = np.round(view.uv).astype(int)
        member = scene.members["unit"][view.rows]
        shown = view.masks["unit"][at[:, 1], at[:, 0]]
        assert (shown[member >= 0] >= 0).all()
        # A nearer unit may cover a farther one, and units of one point each lie side by side; an instance shows itself.
        instance = np.append(units.merged, False)[member]
        assert (shown == member)[member >= 0].mean() > 0.8, view.name
        if instance.any():
            assert (shown == member)[instance].mean() > 0.95, view.name
        seen = frame.cameras[number].project(scene.cloud[view.rows])
        np.testing.assert_allclose(seen.uv, view.uv, atol=0.02)


def test_cameras_stand_as_the_rig_does(frame: Frame) -> None:
    places = dict(zip((camera.name for camera in frame.cameras), rig_places(frame), strict=True))
    assert places == {
        "CAM_FRONT_LEFT": (0, 0),
        "CAM_FRONT": (0, 1),
        "CAM_FRONT_RIGHT": (0, 2),
        "CAM_BACK_LEFT": (1, 0),
        "CAM_BACK": (1, 1),
        "CAM_BACK_RIGHT": (1, 2),
    }


def test_a_large_picture_is_shown_smaller_with_its_pixels_in_place() -> None:
    picture = np.zeros((900, 1600, 3), np.uint8)
    picture[440:460, 800:820] = 255
    small, scale = shrink(picture, 800)
    assert small.shape == (450, 800, 3)
    assert scale == 0.5
    middle = to_shown(np.array([[809.5, 449.5]], np.float32), scale)[0]
    bright = np.argwhere(small[:, :, 0] > 128).mean(axis=0)
    np.testing.assert_allclose(middle[::-1], bright, atol=0.3)
    same, scale = shrink(small, 800)
    assert same is small
    assert scale == 1


def test_angular_spacing_is_that_of_the_scanner(frame: Frame) -> None:
    across, down = angular_spacing(frame)
    columns = len(frame) / frame.sensor.beams
    assert across == pytest.approx(2 * np.pi / columns)
    assert np.degrees(down) == pytest.approx(41.33 / 31, rel=0.1)  # HDL-32E: +10.67 to -30.67 degrees


def test_boxes_are_drawn_where_their_corners_project(frame: Frame) -> None:
    assert frame.boxes is not None
    corners = box_corners(frame.boxes)
    camera = frame.cameras[0]
    seen = camera.project(corners.reshape(-1, 3), min_depth=0.3)
    whole = seen.inside.reshape(-1, 8).all(axis=1)
    assert whole.any()
    for box in np.flatnonzero(whole):
        strokes = project_strokes(camera, corners[box][[0, 1]])
        np.testing.assert_allclose(strokes[:2], seen.uv.reshape(-1, 8, 2)[box, :2], atol=0.05)
        assert np.isnan(strokes[2]).all()


def test_what_lies_behind_a_camera_is_cut_off_and_not_mirrored(frame: Frame) -> None:
    camera = frame.cameras[0]
    to_lidar = np.linalg.inv(camera.lidar_to_camera)
    ends = np.array([[0.2, 0.1, 8.0, 1], [0.2, 0.1, -8.0, 1]]) @ to_lidar.T
    strokes = project_strokes(camera, ends[:, :3].astype(np.float32), near=0.5)
    depth_ahead = camera.project(ends[:1, :3].astype(np.float32)).uv[0]
    np.testing.assert_allclose(strokes[0], depth_ahead, atol=0.05)
    cut = np.array([[0.2, 0.1, 0.5]]) @ camera.intrinsics.T
    np.testing.assert_allclose(strokes[1], cut[0, :2] / cut[0, 2], atol=0.5)
    behind = np.array([[0, 0, -2.0, 1], [0.5, 0, -9.0, 1]]) @ to_lidar.T
    assert not len(project_strokes(camera, behind[:, :3].astype(np.float32)))


def test_no_camera_and_no_points_make_no_view_and_no_mask(frame: Frame, units: Units) -> None:
    from dataclasses import replace

    line = LineLayer("boxes", "", np.zeros((0, 3), np.float32), (1, 2, 3))
    assert make_views(replace(frame, cameras=()), units.pixels, np.arange(10), {"unit": units.clusters}, [line]) == ()
    empty = paint_masks((4, 5), np.zeros((0, 2), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32), (1, 1))
    assert (empty == -1).all()
