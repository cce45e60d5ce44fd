"""Superpixels: known colours in, the points that fall on each colour out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.segmentation import slic

from xmodal_core.datasets import open_dataset
from xmodal_core.types import Camera, Frame, Image, Sensor
from xmodal_core.units import peers
from xmodal_core.units.peers.superpixels import SuperpixelsConfig, cut

WIDTH, HEIGHT = 96, 64
TWO = {"n_segments": 2, "sigma": 0.0, "compactness": 0.1}


def halves() -> Image:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : WIDTH // 2] = (200, 30, 30)
    image[:, WIDTH // 2 :] = (30, 30, 200)
    return image


def camera(image: Image) -> Camera:
    """Looks along +x from the origin; a point (1, -u', -v') m falls on pixel (48 + 48 u', 32 + 48 v')."""
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
    intrinsics = np.array([[48.0, 0.0, 48.0], [0.0, 48.0, 32.0], [0.0, 0.0, 1.0]])
    return Camera("CAM", WIDTH, HEIGHT, intrinsics, matrix, lambda: image)


def at_pixels(*pixels: tuple[float, float], cameras: int = 1) -> Frame:
    points = [[10.0, -10 * (u - 48) / 48, -10 * (v - 32) / 48] for u, v in pixels]
    sensor = Sensor("made-up", 64, (1.0, 0.0), None, 1.0)
    return Frame("f", "s", 0.0, np.array(points, np.float32), {}, sensor, (camera(halves()),) * cameras)


def members(frame: Frame) -> list[list[int]]:
    pooling = peers.load("superpixels", TWO)(frame)
    return sorted(pooling.column[pooling.row == unit].tolist() for unit in range(pooling.shape[0]))


def test_points_on_one_colour_are_one_unit() -> None:
    frame = at_pixels((10, 10), (80, 20), (40, 50), (5, 60), (200, 20))
    assert members(frame) == [[0, 2, 3], [1]], "the last point is in no picture"
    pooling = peers.load("superpixels", TWO)(frame)
    np.testing.assert_allclose(np.sort(pooling.weight), [1 / 3, 1 / 3, 1 / 3, 1.0], rtol=1e-6)


def test_a_point_belongs_to_the_nearest_pixel() -> None:
    # The colours meet between columns 47 and 48.
    assert members(at_pixels((10, 10), (90, 10), (47.4, 30), (47.6, 30))) == [[0, 2], [1, 3]]


def test_a_point_that_two_cameras_see_lies_in_two_units() -> None:
    assert members(at_pixels((10, 10), (80, 20), cameras=2)) == [[0], [0], [1], [1]]


def test_superpixels_without_points_are_no_units() -> None:
    assert members(at_pixels((80, 20), (70, 30))) == [[0, 1]]


def test_a_picture_that_shows_no_point_is_not_read() -> None:
    def read() -> Image:
        raise AssertionError("read")

    frame = at_pixels((200, 20))
    assert members(replace(frame, cameras=(replace(frame.cameras[0], read=read),))) == []


def test_without_a_camera_there_are_no_units() -> None:
    assert members(replace(at_pixels((10, 10)), cameras=())) == []


def test_the_settings_are_those_of_slidr() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 90, 3)).astype(np.uint8)
    plain = slic(image, n_segments=150, compactness=6, sigma=3.0, start_label=0)
    assert np.array_equal(cut(image, SuperpixelsConfig()), plain)


def test_about_150_a_picture_on_a_real_one(real_data: Path) -> None:
    frame = open_dataset("kitti_object", real_data / "kitti_object").frame(0)
    labels = cut(frame.cameras[0].image(), SuperpixelsConfig())
    assert 100 < labels.max() + 1 < 200
    pooling = peers.load("superpixels")(frame)
    assert pooling.shape[0] <= labels.max() + 1


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_of_one_colour(value: int) -> None:
    """(A lens cap, or a night without a lamp.)"""
    image = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
    frame = at_pixels((10, 10), (80, 20))
    pooling = peers.load("superpixels")(replace(frame, cameras=(camera(image),)))
    assert sorted(pooling.column.tolist()) == [0, 1]
