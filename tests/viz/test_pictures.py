from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from viz.compose import compose
from viz.pictures import NARROW, angular_spacing, make_views, project_strokes, rig_places, shown_pictures, to_shown
from viz.scene import LineLayer, Scene
from xmodal_core.geometry import box_corners
from xmodal_core.types import Frame, Units


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


def test_a_large_picture_is_shown_smaller_with_its_pixels_in_place(frame: Frame) -> None:
    large = np.zeros((900, 1600, 3), np.uint8)
    large[440:460, 800:820] = 255
    front = replace(frame.cameras[0], width=1600, height=900, read=lambda: large)
    small = shown_pictures(replace(frame, cameras=(front, front)))[0]
    assert small.shape == (450, NARROW, 3)
    middle = to_shown(np.array([[809.5, 449.5]], np.float32), small.shape[1] / front.width)[0]
    bright = np.argwhere(small[:, :, 0] > 128).mean(axis=0)
    np.testing.assert_allclose(middle[::-1], bright, atol=0.3)


def test_a_frame_drawn_again_reads_no_picture(frame: Frame, units: Units) -> None:
    pictures = shown_pictures(frame)
    once = compose(frame, units)

    def refuse() -> np.ndarray:
        raise AssertionError("read again")

    closed = replace(frame, cameras=tuple(replace(camera, read=refuse) for camera in frame.cameras))
    again = compose(closed, units, pictures=pictures)
    assert [view.image is picture for view, picture in zip(again.views, pictures, strict=True)] == [True] * 6
    for before, after in zip(once.views, again.views, strict=True):
        np.testing.assert_array_equal(before.image, after.image)
        np.testing.assert_array_equal(before.uv, after.uv)
        np.testing.assert_array_equal(before.masks["unit"], after.masks["unit"])
    assert compose(closed, units, pictures=False).views == ()


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


def test_no_camera_makes_no_view(frame: Frame, units: Units) -> None:
    line = LineLayer("boxes", "", np.zeros((0, 3), np.float32), (1, 2, 3))
    blind = replace(frame, cameras=())
    assert make_views(blind, (), units.pixels, np.arange(10), {"unit": units.clusters}, [line]) == ()
