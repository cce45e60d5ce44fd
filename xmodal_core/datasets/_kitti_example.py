"""A small drive and a few labelled scenes in the formats of KITTI's raw recordings and its object benchmark; the
writers of its other formats share what is here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets import _example
from xmodal_core.datasets._kitti_oxts import EARTH_RADIUS
from xmodal_core.types import Doubles, Image, Ints

DATE, DRIVE = "2011_09_26", "2011_09_26_drive_0001_sync"
STEP, PERIOD = 4, 0.1
"""Only every fourth frame of the drive is there."""

WIDTH, HEIGHT = 414, 125
ELEVATIONS = np.radians(np.linspace(-24.8, 2.0, 64))
COLUMNS = 180
KINDS = {"vehicle.car": "Car", "human.pedestrian.adult": "Pedestrian", "vehicle.truck": "Truck"}
"""KITTI's names of the little world's things; what has none is not labelled."""

LIDAR_TO_EGO = geometry.rigid(np.eye(3), (0.0, 0.0, 1.73))
IMU_TO_LIDAR = geometry.rigid(geometry.rotation_z(-0.0008), (-0.81, 0.32, -0.8))
LATITUDE, LONGITUDE = 49.0, 8.4
MARKER = np.array([8.0, 0.9, -0.6])
"""In the LiDAR's frame."""


def _tilt(x: float, y: float, z: float) -> Doubles:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", (x, y, z)).as_matrix(), dtype=np.float64)


AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
LIDAR_TO_CAMERA = geometry.rigid(_tilt(0.012, -0.008, 0.007) @ AXES, (-0.004, -0.076, -0.272))
RECTIFY = _tilt(-0.004, 0.007, 0.01)
PROJECTION = np.array([[240.5, 0.0, 203.2, 14.95], [0.0, 240.5, 57.6, 0.072], [0.0, 0.0, 1.0, 0.0027]])


def raw_example(root: Path, frames: int = 2) -> Path:
    """A drive with frames 0, 4, 8 … of the full drive, their pictures, oxts and tracklets over all of it."""
    drive = root / DATE / DRIVE
    write(root / DATE / "calib_velo_to_cam.txt", lines({"R": LIDAR_TO_CAMERA[:3, :3], "T": LIDAR_TO_CAMERA[:3, 3]}))
    write(root / DATE / "calib_imu_to_velo.txt", lines({"R": IMU_TO_LIDAR[:3, :3], "T": IMU_TO_LIDAR[:3, 3]}))
    size = np.array([WIDTH, HEIGHT])
    write(
        root / DATE / "calib_cam_to_cam.txt",
        "calib_time: 09-Jan-2012 13:57:47\n"
        + lines({"R_rect_00": RECTIFY, "S_rect_02": size, "P_rect_02": PROJECTION}),
    )
    full = range((frames - 1) * STEP + 2)
    write(
        drive / "velodyne_points" / "timestamps.txt",
        "".join(f"2011-09-26 13:02:{25 + number * PERIOD:012.9f}\n" for number in full),
    )
    write(drive / "tracklet_labels.xml", "\n".join(_tracklets(len(full))))
    for number in full[::STEP]:
        sweep, pixels, _ = scene(number * PERIOD)
        save(drive / "velodyne_points" / "data" / f"{number:010d}.bin", sweep)
        save_picture(drive / "image_02" / "data" / f"{number:010d}.png", pixels)
        write(drive / "oxts" / "data" / f"{number:010d}.txt", oxts_line(number * PERIOD))
    return root


def object_example(root: Path, frames: int = 2) -> Path:
    """``frames`` labelled scenes, with a DontCare region in each and the list ImageSets/val.txt of the last."""
    folder = root / "training"
    for number in range(frames):
        name, time = f"{number * 7:06d}", number * 1.0
        sweep, pixels, _ = scene(time)
        save(folder / "velodyne" / f"{name}.bin", sweep)
        save_picture(folder / "image_2" / f"{name}.png", pixels)
        calibration = {"P2": PROJECTION, "R0_rect": RECTIFY, "Tr_velo_to_cam": LIDAR_TO_CAMERA[:3]}
        write(folder / "calib" / f"{name}.txt", lines(calibration) + "\n")
        write(folder / "label_2" / f"{name}.txt", "\n".join(label_lines(time)) + "\n")
    write(root / "ImageSets" / "val.txt", f"{(frames - 1) * 7:06d}\n")
    return root


def scene(time: float) -> tuple[Doubles, Image, Ints]:
    """Rows x, y, z, reflectance, the marker last, the picture that shows it, and what each row but the last hit."""
    lidar_to_world = _example.vehicle_pose(time) @ LIDAR_TO_EGO
    points, hit, _ = _example.sweep(lidar_to_world, ELEVATIONS, COLUMNS, time)
    rows = np.vstack([np.column_stack([points, 0.1 + 0.1 * (hit + 3)]), (*MARKER, 1.0)])
    # The projection's last column puts the camera's centre beside camera 0.
    centre = geometry.rigid(np.eye(3), -np.linalg.inv(PROJECTION[:, :3]) @ PROJECTION[:, 3])
    rectified_to_lidar = np.linalg.inv(geometry.rigid(RECTIFY, np.zeros(3)) @ LIDAR_TO_CAMERA)
    pixels = _example.picture(lidar_to_world @ rectified_to_lidar @ centre, PROJECTION[:, :3], WIDTH, HEIGHT, time)
    seen = PROJECTION @ geometry.rigid(RECTIFY, np.zeros(3)) @ LIDAR_TO_CAMERA @ (*MARKER, 1.0)
    _example.mark(pixels, seen[0] / seen[2], seen[1] / seen[2])
    return rows, pixels, hit


def labelled_boxes(time: float) -> Iterator[tuple[str, Doubles, tuple[float, float, float]]]:
    """KITTI class, box-to-LiDAR pose and size of what KITTI labels."""
    world_to_lidar = geometry.invert(_example.vehicle_pose(time) @ LIDAR_TO_EGO)
    for thing in _example.THINGS:
        if thing.kind in KINDS:
            yield KINDS[thing.kind], world_to_lidar @ thing.pose(time), thing.size


def label_lines(time: float) -> Iterator[str]:
    lidar_to_rectified = geometry.rigid(RECTIFY, np.zeros(3)) @ LIDAR_TO_CAMERA
    for kind, pose, (length, width, height) in labelled_boxes(time):
        in_camera = lidar_to_rectified @ pose
        bottom = in_camera[:3, 3] + (0.0, height / 2, 0.0)
        rotation_y = float(np.arctan2(-in_camera[2, 0], in_camera[0, 0]))
        numbers = (height, width, length, *bottom, rotation_y)
        yield f"{kind} 0.00 0 0.00 0.00 0.00 50.00 50.00 " + " ".join(f"{value:.6f}" for value in numbers)
    yield "DontCare -1 -1 -10 252.89 49.71 295.61 70.13 -1 -1 -1 -1000 -1000 -1000 -10"


def _tracklets(count: int) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>'
    yield '<!DOCTYPE boost_serialization><boost_serialization signature="serialization::archive" version="9">'
    frames = [list(labelled_boxes(number * PERIOD)) for number in range(count)]
    yield f'<tracklets class_id="0"><count>{len(frames[0])}</count><item_version>1</item_version>'
    for track, (kind, _, (length, width, height)) in enumerate(frames[0]):
        # The second object is only labelled from the full drive's frame 1 on.
        first = 1 if track == 1 else 0
        yield f"<item><objectType>{kind}</objectType><h>{height}</h><w>{width}</w><l>{length}</l>"
        yield f"<first_frame>{first}</first_frame><poses><count>{count - first}</count><item_version>2</item_version>"
        for number in range(first, count):
            pose = frames[number][track][1]
            x, y, z = pose[:3, 3] - (0.0, 0.0, height / 2)
            yaw = geometry.yaw_of(pose[:3, :3])
            yield f"<item><tx>{x}</tx><ty>{y}</ty><tz>{z}</tz><rx>0</rx><ry>0</ry><rz>{yaw}</rz></item>"
        yield "</poses><finished>1</finished></item>"
    yield "</tracklets></boost_serialization>"


def oxts_line(time: float) -> str:
    """A packet of 30 numbers for the IMU's pose, by the inverse of the Mercator projection."""
    pose = _example.vehicle_pose(time) @ LIDAR_TO_EGO @ IMU_TO_LIDAR
    start = _example.vehicle_pose(0.0) @ LIDAR_TO_EGO @ IMU_TO_LIDAR
    east, north, up = pose[:3, 3] - start[:3, 3]
    scale = np.cos(np.radians(LATITUDE))
    reach = np.log(np.tan(np.radians(90.0 + LATITUDE) / 2)) + north / (scale * EARTH_RADIUS)
    latitude = np.degrees(2 * np.arctan(np.exp(reach))) - 90.0
    longitude = LONGITUDE + np.degrees(east / (scale * EARTH_RADIUS))
    yaw = geometry.yaw_of(pose[:3, :3])
    numbers = [latitude, longitude, 112.8 + up, 0.0, 0.0, yaw, *np.zeros(24)]
    return " ".join(f"{value:.14g}" for value in numbers)


def lines(values: dict[str, Doubles]) -> str:
    return "".join(f"{name}: {' '.join(f'{x:.12e}' for x in np.ravel(value))}\n" for name, value in values.items())


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def save(file: Path, rows: Doubles) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(rows.astype("<f4").tobytes())


def save_picture(file: Path, pixels: Image) -> None:
    from PIL import Image as Pictures

    file.parent.mkdir(parents=True, exist_ok=True)
    Pictures.fromarray(pixels).save(file)
