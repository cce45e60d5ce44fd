"""Cameras turned on purpose: by just the angle asked for, about their centres, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xmodal_core import geometry
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.geometry import invert, points_in_box, rotation_about, transform_points
from xmodal_core.rig import RigConfig, perturb, restore
from xmodal_core.types import Camera, Frame
from xmodal_core.units.level import fit_level


@pytest.fixture
def frame(example_root) -> Frame:
    return open_dataset("nuscenes", example_root("nuscenes")).frame(0)


def _centre(camera: Camera) -> np.ndarray:
    return invert(camera.lidar_to_camera)[:3, 3]


@pytest.mark.parametrize("degrees", [0.2, 1.0, 30.0])
def test_every_camera_turns_by_the_angle_about_its_centre(frame, degrees):
    turned = perturb(frame, RigConfig(perturb_calibration=degrees))
    axes = []
    for before, after in zip(frame.cameras, turned.cameras, strict=True):
        change = Rotation.from_matrix(after.lidar_to_camera[:3, :3] @ before.lidar_to_camera[:3, :3].T)
        assert np.degrees(change.magnitude()) == pytest.approx(degrees, abs=1e-9)
        np.testing.assert_allclose(_centre(after), _centre(before), atol=1e-9)
        axes.append(change.as_rotvec() / change.magnitude())
    # Each about an axis of its own.
    cosines = np.array(axes) @ np.array(axes).T - 2 * np.eye(len(axes))
    assert cosines.max() < 0.999


def test_restoring_gives_the_cameras_as_they_were(frame):
    rig = RigConfig(perturb_calibration=7.0, seed=5)
    back = restore(perturb(frame, rig), rig)
    for before, after in zip(frame.cameras, back.cameras, strict=True):
        np.testing.assert_allclose(after.lidar_to_camera, before.lidar_to_camera, atol=1e-12)


def test_pixels_of_the_true_calibration_do_not_outlive_the_turn(frame):
    stated = replace(frame, pixels=geometry.pixels(frame.cameras, frame.points))
    assert perturb(stated, RigConfig()).pixels is stated.pixels
    assert perturb(stated, RigConfig(perturb_calibration=1.0)).pixels is None


def test_nothing_to_turn_is_the_frame_itself(frame):
    assert perturb(frame, RigConfig(seed=3)) is frame
    assert restore(frame, RigConfig(seed=3)) is frame


def test_a_camera_turns_the_same_in_all_frames_and_whichever_others_there_are(example_root):
    def transforms(frame: int, seed: int = 0, **options: object) -> dict[str, np.ndarray]:
        rig = RigConfig(perturb_calibration=2.0, seed=seed)
        turned = open_dataset("nuscenes", example_root("nuscenes"), options, rig).frame(frame)
        true = open_dataset("nuscenes", example_root("nuscenes"), options).frame(frame)
        pairs = zip(turned.cameras, true.cameras, strict=True)
        return {a.name: a.lidar_to_camera[:3, :3] @ b.lidar_to_camera[:3, :3].T for a, b in pairs}

    first, second, alone = transforms(0), transforms(1), transforms(0, cameras=["CAM_BACK"])
    for name, turn in first.items():
        np.testing.assert_allclose(turn, second[name], atol=1e-9)
        assert not np.allclose(turn, transforms(0, seed=1)[name], atol=1e-4)
    np.testing.assert_allclose(alone["CAM_BACK"], first["CAM_BACK"], atol=1e-9)


def test_labels_points_and_pictures_stay(frame):
    turned = perturb(frame, RigConfig(perturb_calibration=3.0))
    assert turned.points is frame.points
    assert turned.boxes is frame.boxes
    np.testing.assert_array_equal(turned.cameras[0].image(), frame.cameras[0].image())


def test_a_data_set_is_as_stated_unless_asked(example_root):
    assert Dataset.rig == RigConfig()
    assert open_dataset("nuscenes", example_root("nuscenes")).rig.perturb_calibration == 0


def test_rotation_about_is_scipys():
    rng = np.random.default_rng(0)
    for _ in range(20):
        axis, angle = rng.normal(size=3), rng.uniform(-np.pi, np.pi)
        expected = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
        np.testing.assert_allclose(rotation_about(axis, angle), expected, atol=1e-12)
    with pytest.raises(ValueError, match="no direction"):
        rotation_about((0.0, 0.0, 0.0), 1.0)


def test_the_common_frame_is_ahead_left_and_above_the_ground(example_root: Callable[[str], Path]) -> None:
    """nuScenes looks along y and does not say how high it stands; KITTI does. Both come out alike."""
    for name in ("nuscenes", "kitti_object"):
        own = open_dataset(name, example_root(name)).frame(0)
        common = open_dataset(name, example_root(name), rig=RigConfig(common_frame=True)).frame(0)
        assert (common.sensor.forward, common.sensor.height) == ((1.0, 0.0), 0.0)
        ahead = np.array([*own.sensor.forward, 0.0])
        moved = common.points - common.points.mean(axis=0)
        np.testing.assert_allclose(moved[:, 0], (own.points - own.points.mean(axis=0)) @ ahead, atol=1e-3)
        np.testing.assert_allclose(moved[:, 2], own.points[:, 2] - own.points[:, 2].mean(), atol=1e-3)
        assert abs(fit_level(common.points, 2.5, tilt=False).height) < 0.1
        # What belongs together stays together: pixels of points, points of boxes, places in the world.
        for before, after in zip(own.cameras, common.cameras, strict=True):
            np.testing.assert_allclose(after.project(common.points).uv, before.project(own.points).uv, atol=0.5)
        assert own.boxes is not None
        assert common.boxes is not None
        for number in range(len(own.boxes)):
            inside = points_in_box(own.points, own.boxes, number, margin=0.01)
            assert (points_in_box(common.points, common.boxes, number, margin=0.02) >= inside).all()
        if own.pose is not None:
            assert common.pose is not None
            first, second = transform_points(own.pose, own.points), transform_points(common.pose, common.points)
            np.testing.assert_allclose(first, second, atol=2e-3)


def test_boxes_alone_are_in_the_common_frame_too(example_root: Callable[[str], Path]) -> None:
    dataset = open_dataset("once", example_root("once"), rig=RigConfig(common_frame=True))
    boxes, framed = dataset.boxes(0), dataset.frame(0).boxes
    assert boxes is not None
    assert framed is not None
    np.testing.assert_array_equal(boxes.centre, framed.centre)
