"""Poses of KITTI raw drives from their GPS/IMU packets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from xmodal_core.datasets import Dataset, _example, _kitti_example, open_dataset
from xmodal_core.datasets._kitti_example import LIDAR_TO_EGO, PERIOD, STEP
from xmodal_core.datasets._kitti_oxts import EARTH_RADIUS, Reference, imu_pose
from xmodal_core.errors import DataError
from xmodal_core.geometry import transform_points


def test_they_follow_the_vehicle_from_the_first_frame_that_is_there(example_root: Callable[[str], Path]) -> None:
    dataset = open_dataset("kitti_raw", example_root("kitti_raw"))
    start = _example.vehicle_pose(0.0) @ LIDAR_TO_EGO @ _kitti_example.IMU_TO_LIDAR
    for index in range(2):
        pose = dataset.frame(index).pose
        assert pose is not None
        wanted = _example.vehicle_pose(index * STEP * PERIOD) @ LIDAR_TO_EGO
        wanted[:3, 3] -= start[:3, 3]
        np.testing.assert_allclose(pose, wanted, atol=1e-4)


def test_roll_pitch_and_yaw_turn_in_that_order() -> None:
    packet = np.array([49.0, 8.4, 112.8, 0.1, -0.2, 2.5])
    pose = imu_pose(packet, Reference.at(packet))
    np.testing.assert_allclose(pose[:3, :3], Rotation.from_euler("xyz", packet[3:]).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], 0, atol=1e-6)


def test_a_degree_is_as_long_as_on_the_earth() -> None:
    origin = np.array([49.0, 8.4, 100.0, 0, 0, 0])
    north = imu_pose(origin + np.array([1e-4, 0, 0, 0, 0, 0]), Reference.at(origin))[:3, 3]
    east = imu_pose(origin + np.array([0, 1e-4, 2.0, 0, 0, 0]), Reference.at(origin))[:3, 3]
    metres = np.radians(1e-4) * EARTH_RADIUS
    np.testing.assert_allclose(north, (0, metres, 0), atol=1e-3)
    np.testing.assert_allclose(east, (metres * np.cos(np.radians(49.0)), 0, 2), atol=1e-3)


def test_a_frame_without_oxts_has_no_pose(drive: Path) -> None:
    (drive / "oxts" / "data" / f"{0:010d}.txt").unlink()
    dataset = open_dataset("kitti_raw", drive)
    assert dataset.frame(0).pose is None
    pose = dataset.frame(1).pose  # now the first that is there
    assert pose is not None
    imu = pose @ _kitti_example.IMU_TO_LIDAR
    np.testing.assert_allclose(imu[:3, 3], 0, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["49.0 8.4 112.8 0 0", "49.0 8.4 112.8 0 0 north 1", "nan 8.4 112.8 0 0 0", "91 8 0 0 0 0", ""]
)
def test_a_damaged_packet_is_named(drive: Path, text: str) -> None:
    file = drive / "oxts" / "data" / f"{STEP:010d}.txt"
    file.write_text(text)
    with pytest.raises(DataError, match=rf"{file.name} is (no oxts packet|empty)"):
        open_dataset("kitti_raw", drive).frame(1)


def test_a_real_drives_walls_stay_where_they_are(real: Dataset) -> None:
    """Returns of two sweeps 0.4 s apart coincide in the world, and do not in the vehicle's own frame."""
    first, second = real.frame(10), real.frame(11)
    off: list[float] = []
    for move in (True, False):
        clouds = []
        for frame in (first, second):
            assert frame.pose is not None
            tall = frame.points[(frame.points[:, 2] > -1) & (np.hypot(*frame.points[:, :2].T) < 40)][::5]
            clouds.append(transform_points(frame.pose, tall) if move else tall)
        off.append(float(np.median(cKDTree(clouds[0]).query(clouds[1])[0])))
    assert first.pose is not None
    assert second.pose is not None
    assert 0.5 < np.linalg.norm((second.pose - first.pose)[:3, 3]) < 8
    assert off[0] < 0.15
    assert off[0] < off[1] / 2
