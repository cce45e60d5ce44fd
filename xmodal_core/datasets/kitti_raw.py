"""KITTI raw recordings: whole drives (synced and rectified), with tracklets as boxes where a drive has them.

Points stay in the velodyne's frame (x forward, y left, z up). Frames are those whose sweep is there: a folder may hold
any part of a drive, since tracklets and timestamps go by the full drive's frame numbers. Format: raw data development
kit, readme.txt.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from xmodal_core import geometry
from xmodal_core.config import Settings, setting
from xmodal_core.datasets import _kitti
from xmodal_core.datasets._files import FETCH_AGAIN, read_image, read_text
from xmodal_core.datasets._kitti_example import raw_example as example
from xmodal_core.datasets._kitti_oxts import Reference, imu_pose, read_oxts
from xmodal_core.datasets._kitti_tracklets import Tracklet, boxes_of_frame, read_tracklets
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.types import Boxes, Camera, Doubles, Frame, Sensor

__all__ = ["KittiRaw", "KittiRawConfig", "example"]

CAMERAS = ("00", "01", "02", "03")
PERIOD = 0.1
"""Seconds from sweep to sweep, for drives without a list of timestamps."""

_DATE = re.compile(r"\d{4}_\d{2}_\d{2}")
_DRIVE = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}_sync")


class KittiRawConfig(Settings):
    """Options of ``kitti_raw``."""

    split: str = setting("all", "Only 'all': the recordings have no splits; choose with 'drives'")
    drives: tuple[str, ...] = setting((), "Which drives, e.g. 2011_09_26_drive_0005_sync; empty: all that are there")
    cameras: tuple[str, ...] = setting(("02",), "Which cameras: 00, 01 (grey), 02 (left colour), 03 (right colour)")
    in_view: bool = setting(False, _kitti.IN_VIEW)

    @field_validator("cameras", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        """YAML reads 02 as the number 2; image_02 is the folder of 02 and its name in a frame."""
        if isinstance(value, (list, tuple)):
            return tuple(
                f"{camera:02d}" if isinstance(camera, int) else str(camera).removeprefix("image_") for camera in value
            )
        return value


class KittiRaw(Dataset):
    """Frames of KITTI raw drives.

    Points that are not finite are dropped. ``pose`` is from the GPS/IMU, with the drive's first frame that is there
    at the origin and axes east, north, up; None where oxts is not there. Boxes are the drive's tracklets, which are
    labelled only where the cameras look; None for a drive without them. Their velocity is unknown (NaN).
    """

    Config: ClassVar[type[Settings]] = KittiRawConfig
    layout: ClassVar[tuple[str, ...]] = (
        "*/calib_*.txt                           calibration of a date (2011_09_26)",
        "*/*_sync/velodyne_points/data/*.bin     sweeps of a drive (2011_09_26_drive_0005_sync)",
        "*/*_sync/image_02/data/*.png            pictures",
        "*/*_sync/velodyne_points/timestamps.txt times, optional",
        "*/*_sync/oxts/data/*.txt                poses, optional",
        "*/*_sync/tracklet_labels.xml            boxes, optional",
    )
    channels: ClassVar[tuple[str, ...]] = ("intensity",)
    sensor: ClassVar[Sensor] = _kitti.SENSOR
    label_options: ClassVar[Mapping[str, Any]] = {"in_view": True}

    def __init__(self, root: Path, config: KittiRawConfig) -> None:
        if config.split != "all":
            raise InputError(f"unknown split '{config.split}'", "known: all; choose drives with --set dataset.drives=…")
        _kitti.require_cameras(config.in_view, config.cameras)
        for camera in config.cameras:
            if camera not in CAMERAS:
                raise InputError(f"unknown camera '{camera}'", f"known: {', '.join(CAMERAS)}")
        root, folders = find_drives(root.expanduser(), self.expected())
        super().__init__(root, config)
        self._wanted, self._in_view = config.cameras, config.in_view
        self._drives = [_Drive(folder) for folder in _choose(folders, config.drives)]
        self._frames = [(drive, number) for drive in self._drives for number in drive.numbers]

    def __len__(self) -> int:
        return len(self._frames)

    def name(self, index: int) -> str:
        """Drive and frame number of the full drive, e.g. ``2011_09_26_drive_0005_sync/0000000004``."""
        drive, number = self._frames[index]
        return f"{drive.name}/{number:010d}"

    def scene(self, index: int) -> str:
        """The drive."""
        return self._frames[index][0].name

    def notes(self) -> tuple[str, ...]:
        """Drives without their times, poses or boxes, or without some sweeps that have a picture."""
        return _kitti.notes_by_sequence({drive.name: drive.lacks(self._wanted) for drive in self._drives}, "drive")

    def _read(self, index: int) -> Frame:
        drive, number = self._frames[index]
        points, channels, stored = _kitti.read_points(drive.sweep(number))
        frame = Frame(
            name=self.name(index),
            scene=drive.name,
            timestamp=drive.timestamp(number),
            points=points,
            channels=channels,
            stored=stored,
            sensor=self.sensor,
            cameras=tuple(drive.camera(camera, number) for camera in self._wanted),
            pose=drive.pose(number),
            boxes=drive.boxes(number),
        )
        return _kitti.only_in_view(frame) if self._in_view else frame


class _Drive:
    """One drive's folder; its small files are read once, when first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        data = folder / "velodyne_points" / "data"
        self.numbers = sorted(int(file.stem) for file in data.glob("*.bin") if file.stem.isdigit())
        if not self.numbers:
            raise DataError(f"{data} holds no sweep (*.bin)", "unpack the synced drive there, or leave it out")

    def sweep(self, number: int) -> Path:
        return self.folder / "velodyne_points" / "data" / f"{number:010d}.bin"

    def timestamp(self, number: int) -> float:
        """Seconds since 1970 as the drive's list has them, else since the drive's start."""
        if self._times is None:
            return number * PERIOD
        if number >= len(self._times) or np.isnan(self._times[number]):
            raise DataError(f"{self._times_file} has no time of frame {number}", FETCH_AGAIN)
        return float(self._times[number])

    def camera(self, camera: str, number: int) -> Camera:
        file = self.folder.parent / "calib_cam_to_cam.txt"
        projection = _kitti.projection(self._cam_to_cam, f"P_rect_{camera}", file)
        width, height = (int(side) for side in _kitti.matrix(self._cam_to_cam, f"S_rect_{camera}", (2,), file))
        intrinsics, lidar_to_camera = _kitti.rectified_camera(projection, self._lidar_to_rectified)
        picture = self.folder / f"image_{camera}" / "data" / f"{number:010d}.png"
        read = partial(read_image, picture, width, height)
        return Camera(f"image_{camera}", width, height, intrinsics, lidar_to_camera, read)

    def pose(self, number: int) -> Doubles | None:
        """LiDAR to world."""
        file = self._oxts(number)
        if self._reference is None or not file.exists():
            return None
        return imu_pose(read_oxts(file), self._reference) @ geometry.invert(self._imu_to_lidar)

    def lacks(self, cameras: Iterable[str]) -> list[str]:
        """What is not there of it, in words."""
        pictures = [path for camera in cameras for path in (self.folder / f"image_{camera}" / "data").glob("*.png")]
        seen = {int(path.stem) for path in pictures if path.stem.isdigit()}
        poseless = sum(not self._oxts(number).exists() for number in self.numbers)
        found = {
            f"sweep for {len(seen.difference(self.numbers)):,} pictures": not seen <= set(self.numbers),
            "times, without timestamps.txt: taken to be ten a second": not self._times_file.exists(),
            f"pose of {poseless:,} of {len(self.numbers):,} sweeps, without oxts": poseless > 0,
            "boxes, without tracklet_labels.xml": not self._tracklets_file.exists(),
        }
        return [words for words, is_so in found.items() if is_so]

    def boxes(self, number: int) -> Boxes | None:
        return None if self._tracklets is None else boxes_of_frame(self._tracklets, number)

    def _oxts(self, number: int) -> Path:
        return self.folder / "oxts" / "data" / f"{number:010d}.txt"

    @property
    def _times_file(self) -> Path:
        return self.folder / "velodyne_points" / "timestamps.txt"

    @property
    def _tracklets_file(self) -> Path:
        return self.folder / "tracklet_labels.xml"

    @cached_property
    def _times(self) -> Doubles | None:
        return _timestamps(self._times_file) if self._times_file.exists() else None

    @cached_property
    def _reference(self) -> Reference | None:
        first = next((file for file in map(self._oxts, self.numbers) if file.exists()), None)
        return None if first is None else Reference.at(read_oxts(first))

    @cached_property
    def _tracklets(self) -> list[Tracklet] | None:
        return read_tracklets(self._tracklets_file) if self._tracklets_file.exists() else None

    @cached_property
    def _cam_to_cam(self) -> dict[str, Doubles]:
        return _kitti.read_calibration(self.folder.parent / "calib_cam_to_cam.txt")

    @cached_property
    def _lidar_to_rectified(self) -> Doubles:
        file = self.folder.parent / "calib_cam_to_cam.txt"
        rectify = _kitti.rotation(self._cam_to_cam, "R_rect_00", file)
        return geometry.rigid(rectify, np.zeros(3)) @ _rigid_file(self.folder.parent / "calib_velo_to_cam.txt")

    @cached_property
    def _imu_to_lidar(self) -> Doubles:
        return _rigid_file(self.folder.parent / "calib_imu_to_velo.txt")


def find_drives(root: Path, hint: str) -> tuple[Path, list[Path]]:
    """The root and the folders of all its drives, sorted; a date's or a drive's own folder is taken too and gives
    only what is in it. ``hint`` tells the layout.

    Raises:
        DataError: there is none.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint)
    full = root.resolve()
    if _DRIVE.fullmatch(full.name):
        return full.parent.parent, [full]
    dates = [full] if _DATE.fullmatch(full.name) else [path for path in root.iterdir() if _DATE.fullmatch(path.name)]
    drives = [path for date in dates if date.is_dir() for path in date.iterdir() if _DRIVE.fullmatch(path.name)]
    if not drives:
        raise DataError(f"{root} holds no KITTI drive (DATE/DATE_drive_0000_sync)", hint)
    return (full.parent if dates == [full] else root), sorted(drives)


def _choose(folders: list[Path], drives: tuple[str, ...]) -> list[Path]:
    by_name = {folder.name: folder for folder in folders}
    for drive in drives:
        if drive not in by_name:
            raise InputError(f"there is no drive '{drive}'", f"there are: {', '.join(list(by_name)[:8])}")
    return [by_name[drive] for drive in drives] or folders


def _rigid_file(file: Path) -> Doubles:
    values = _kitti.read_calibration(file)
    return geometry.rigid(_kitti.rotation(values, "R", file), _kitti.matrix(values, "T", (3,), file))


def _timestamps(file: Path) -> Doubles:
    """Seconds since 1970 of a list of lines such as ``2011-09-26 13:04:32.335337762``; NaN for an empty line, which
    stands for a sweep that was not recorded."""
    lines = [line.strip().replace(" ", "T") for line in read_text(file).splitlines()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy only warns of a time zone
            times = np.array(lines, dtype="datetime64[ns]")
    except (ValueError, UserWarning, DeprecationWarning):
        raise DataError(f"{file} is no list of dates and times, one a line", FETCH_AGAIN) from None
    return np.where(np.isnat(times), np.nan, times.astype(np.int64) * 1e-9)
