"""KITTI 3D object benchmark: single labelled scenes with the left colour camera.

Points stay in the velodyne's frame (x forward, y left, z up); labels come from the rectified camera's coordinates.
Format: object development kit, readme.txt.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.config import Settings, setting
from xmodal_core.datasets import _kitti
from xmodal_core.datasets._files import image_size, read_image, read_text
from xmodal_core.datasets._kitti_example import object_example as example
from xmodal_core.datasets._kitti_labels import DontCare, Label, boxes_of_labels, no_label_zone, parse_label
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.types import Camera, Doubles, Frame, Sensor

__all__ = ["KittiObject", "KittiObjectConfig", "example"]

FOLDERS = ("training", "testing")
CAMERAS = {"image_2": "P2", "image_3": "P3"}


class KittiObjectConfig(Settings):
    """Options of ``kitti_object``."""

    split: str = setting("training", "training, testing, or the name of a list in ImageSets/, e.g. train, val")
    cameras: tuple[str, ...] = setting(("image_2",), "Which cameras: image_2 (left colour), image_3 (right colour)")
    in_view: bool = setting(False, _kitti.IN_VIEW)


class Calibration(NamedTuple):
    """Of one frame: ``lidar_to_rectified`` (4,4), metres, to the rectified coordinates of camera 0; ``projection``
    (3,4) from there to the left colour picture; ``size`` of that picture, width and height in pixels."""

    lidar_to_rectified: Doubles
    projection: Doubles
    size: tuple[int, int]


class KittiObject(Dataset):
    """Labelled scenes of the KITTI object benchmark.

    The scenes are unrelated: each is a scene of its own, with timestamp 0 and no pose. Points that are not finite are
    dropped. Velocity is unknown (NaN), track too (-1). Boxes' difficulty is 1 (easy), 2 (moderate), 3 (hard) or 4, what
    the benchmark counts at no level. The channel ``no_label_zone`` is 1 in what the left colour picture shows in a
    DontCare region: there are objects that are not labelled.
    """

    Config: ClassVar[type[Settings]] = KittiObjectConfig
    layout: ClassVar[tuple[str, ...]] = (
        "training/velodyne/*.bin  sweeps",
        "training/image_2/*.png   pictures",
        "training/calib/*.txt     calibration",
        "training/label_2/*.txt   labels, optional",
        "ImageSets/*.txt          splits as lists of frame names, optional",
    )
    channels: ClassVar[tuple[str, ...]] = ("intensity", "no_label_zone")
    sensor: ClassVar[Sensor] = _kitti.SENSOR
    label_options: ClassVar[Mapping[str, Any]] = {"in_view": True}

    def __init__(self, root: Path, config: KittiObjectConfig) -> None:
        root = root.expanduser()
        # The folder "training" itself is a root given one level too deep.
        super().__init__(root.resolve().parent if (root / "velodyne").is_dir() else root, config)
        _kitti.require_cameras(config.in_view, config.cameras)
        for camera in config.cameras:
            if camera not in CAMERAS:
                raise InputError(f"unknown camera '{camera}'", f"known: {', '.join(CAMERAS)}")
        self._wanted, self._in_view = config.cameras, config.in_view
        self._folder, self._names = _frames_of_split(self.root, config.split, self.expected())

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """The frame's number, e.g. ``000021``."""
        return self._names[index]

    def scene(self, index: int) -> str:
        """The frame's number again: no two frames belong together."""
        return self._names[index]

    def splits(self) -> tuple[str, ...]:
        """The folders that are there, and the lists in ImageSets/."""
        there = [folder for folder in FOLDERS if (self.root / folder / "velodyne").is_dir()]
        return (*there, *(file.stem for file in sorted(self.root.glob("ImageSets/*.txt"))))

    def notes(self) -> tuple[str, ...]:
        """Labels that are not there, and frames that have a calibration and no sweep."""
        known = {file.stem for file in (self._folder / "calib").glob("*.txt")}
        left_out = len(known.difference(file.stem for file in (self._folder / "velodyne").glob("*.bin")))
        notes = [f"{left_out:,} of {len(known):,} frames with a calibration have no sweep and are left out"]
        unlabelled = f"{self._folder.name}/label_2 is not there, so frames have no boxes"
        return (*(notes if left_out else ()), *(() if self._is_labelled else (unlabelled,)))

    def calibration(self, index: int) -> Calibration:
        """That of frame ``index``.

        Raises:
            DataError: a file of it is missing or damaged.
        """
        name = self._names[index]
        file = self._folder / "calib" / f"{name}.txt"
        values = _kitti.read_calibration(file)
        return Calibration(
            lidar_to_rectified=_lidar_to_rectified(values, file),
            projection=_kitti.projection(values, "P2", file),
            size=image_size(self._folder / "image_2" / f"{name}.png"),
        )

    def _read(self, index: int) -> Frame:
        name = self._names[index]
        points, channels, stored = _kitti.read_points(self._folder / "velodyne" / f"{name}.bin")
        file = self._folder / "calib" / f"{name}.txt"
        values = _kitti.read_calibration(file)
        lidar_to_rectified = _lidar_to_rectified(values, file)
        labels, regions = self._labels(name)
        zone = no_label_zone(points, regions, _kitti.projection(values, "P2", file), lidar_to_rectified)
        frame = Frame(
            name=name,
            scene=name,
            timestamp=0.0,
            points=points,
            channels=channels | {"no_label_zone": zone.astype(np.float32)},
            stored=stored,
            sensor=self.sensor,
            cameras=tuple(
                self._camera(camera, name, _kitti.projection(values, CAMERAS[camera], file), lidar_to_rectified)
                for camera in self._wanted
            ),
            boxes=boxes_of_labels(labels, [-1] * len(labels), lidar_to_rectified, graded=True)
            if self._is_labelled
            else None,
        )
        return _kitti.only_in_view(frame) if self._in_view else frame

    def _camera(self, camera: str, name: str, projection: Doubles, lidar_to_rectified: Doubles) -> Camera:
        picture = self._folder / camera / f"{name}.png"
        width, height = image_size(picture)  # it differs from scene to scene and stands nowhere else
        intrinsics, lidar_to_camera = _kitti.rectified_camera(projection, lidar_to_rectified)
        read = partial(read_image, picture, width, height)
        return Camera(camera, width, height, intrinsics, lidar_to_camera, read)

    @property
    def _is_labelled(self) -> bool:
        return (self._folder / "label_2").is_dir()

    def _labels(self, name: str) -> tuple[list[Label], list[DontCare]]:
        """Labels and DontCare regions of a scene; none where the folder has none."""
        return _read_labels(self._folder / "label_2" / f"{name}.txt") if self._is_labelled else ([], [])


def _read_labels(file: Path) -> tuple[list[Label], list[DontCare]]:
    if file.is_file() and not file.stat().st_size:
        return [], []  # a scene without objects
    lines = enumerate(read_text(file).splitlines(), start=1)
    found = [parse_label(line.split(), f"{file}, line {number}") for number, line in lines]
    return [one for one in found if isinstance(one, Label)], [one for one in found if isinstance(one, DontCare)]


def _lidar_to_rectified(values: dict[str, Doubles], file: Path) -> Doubles:
    rectify = geometry.rigid(_kitti.rotation(values, "R0_rect", file), np.zeros(3))
    return rectify @ _kitti.rigid_rows(values, "Tr_velo_to_cam", file)


def _frames_of_split(root: Path, split: str, hint: str) -> tuple[Path, list[str]]:
    """The folder and the sorted frame names of a split; ``hint`` tells the layout."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint)
    lists = {file.stem: file for file in sorted(root.glob("ImageSets/*.txt"))}
    if split not in FOLDERS and split not in lists:
        raise InputError(f"unknown split '{split}'", f"known: {', '.join((*FOLDERS, *lists))}")
    folder = root / ("testing" if split in ("testing", "test") else "training")
    if not (folder / "velodyne").is_dir():
        raise DataError(f"{folder / 'velodyne'} is missing", hint)
    names = sorted(file.stem for file in (folder / "velodyne").glob("*.bin"))
    if split in lists:
        names = read_text(lists[split]).split()
    if not names:
        raise DataError(f"{folder / 'velodyne'} holds no sweep (*.bin)", "unpack the velodyne archive there")
    return folder, names
