"""KITTI tracking benchmark: 21 labelled and 29 test sequences at 10 Hz, boxes with track ids, poses from oxts.

Points stay in the velodyne's frame (x forward, y left, z up); labels come from the rectified camera's coordinates.
Frames are those whose sweep is there: the release itself lacks four in training sequence 0001. Format: tracking
development kit, readme.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from xmodal_core import geometry
from xmodal_core.config import Settings, setting
from xmodal_core.datasets import _kitti
from xmodal_core.datasets._files import FETCH_AGAIN, image_size, read_image, read_text
from xmodal_core.datasets._kitti_labels import DontCare, Label, boxes_of_labels, no_label_zone, parse_label
from xmodal_core.datasets._kitti_oxts import Reference, imu_pose, parse_oxts
from xmodal_core.datasets._kitti_sequences import OfSequences
from xmodal_core.datasets._kitti_tracking_example import example
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.types import Boxes, Camera, Doubles, Floats, Frame, Sensor

__all__ = ["KittiTracking", "KittiTrackingConfig", "example"]

FOLDERS = ("training", "testing")
CAMERAS = {"image_02": "P2", "image_03": "P3"}
PERIOD = 0.1
"""Seconds from frame to frame: the benchmark has no list of times."""

KNOWN_GAPS = {("training", "0001"): frozenset(range(177, 181))}
"""Frames whose sweep the release does not have, by folder and sequence."""

NAMES = {"R_rect": "R0_rect", "Tr_velo_cam": "Tr_velo_to_cam", "Tr_imu_velo": "Tr_imu_to_velo"}
"""The benchmark's names in calibration files, and those of copies in the object benchmark's manner."""


class KittiTrackingConfig(Settings):
    """Options of ``kitti_tracking``."""

    split: str = setting("training", "training (with labels) or testing")
    sequences: tuple[str, ...] = setting((), "Which sequences, e.g. 0000, 0012; empty: all that are there")
    cameras: tuple[str, ...] = setting(("image_02",), "Which cameras: image_02 (left colour), image_03 (right colour)")
    in_view: bool = setting(False, _kitti.IN_VIEW)

    @field_validator("sequences", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        """YAML reads 0005 as the number 5, and 0012, which is octal there, as the number 10."""
        if isinstance(value, (list, tuple)):
            if any(isinstance(one, int) and one > 7 for one in value):
                raise ValueError("quote the names of sequences, as in ['0012'], since YAML reads them as octal numbers")
            return tuple(f"{one:04d}" if isinstance(one, int) else str(one) for one in value)
        return value


class KittiTracking(OfSequences["_Sequence"]):
    """Frames of KITTI tracking sequences.

    Points that are not finite are dropped. ``pose`` is from the GPS/IMU, with the sequence's first frame at the origin
    and axes east, north, up; None where oxts is not there. Boxes are labelled where the cameras look only; their
    ``track`` is the benchmark's, their velocity is unknown (NaN). The channel ``no_label_zone`` is 1 in what the left
    colour picture shows in a DontCare region: there are objects that are not labelled.
    """

    Config: ClassVar[type[Settings]] = KittiTrackingConfig
    layout: ClassVar[tuple[str, ...]] = (
        "training/velodyne/*/*.bin  sweeps of a sequence (training/velodyne/0000)",
        "training/calib/*.txt       calibration, one file a sequence",
        "training/image_02/*/*.png  pictures, optional",
        "training/label_02/*.txt    labels, one file a sequence, optional",
        "training/oxts/*.txt        poses, one file a sequence, optional",
    )
    channels: ClassVar[tuple[str, ...]] = ("intensity", "no_label_zone")
    sensor: ClassVar[Sensor] = _kitti.SENSOR
    label_options: ClassVar[Mapping[str, Any]] = {"in_view": True}

    def __init__(self, root: Path, config: KittiTrackingConfig) -> None:
        if config.split not in FOLDERS:
            raise InputError(f"unknown split '{config.split}'", f"known: {', '.join(FOLDERS)}")
        _kitti.require_cameras(config.in_view, config.cameras)
        for camera in config.cameras:
            if camera not in CAMERAS:
                raise InputError(f"unknown camera '{camera}'", f"known: {', '.join(CAMERAS)}")
        root = root.expanduser()
        # The folder "training" itself is a root given one level too deep.
        super().__init__(root.resolve().parent if (root / "velodyne").is_dir() else root, config)
        self._in_view = config.in_view
        folder = self.root / config.split
        self._sequences = [
            _Sequence(folder, name, config.cameras) for name in _choose(folder, config.sequences, self.expected())
        ]

    def splits(self) -> tuple[str, ...]:
        """The folders that are there."""
        return tuple(folder for folder in FOLDERS if (self.root / folder / "velodyne").is_dir())

    def _read(self, index: int) -> Frame:
        sequence, number = self._frames[index]
        points, channels, stored = _kitti.read_points(sequence.sweep(number))
        frame = Frame(
            name=self.name(index),
            scene=sequence.name,
            timestamp=number * PERIOD,
            points=points,
            channels=channels | {"no_label_zone": sequence.no_label_zone(number, points)},
            stored=stored,
            sensor=self.sensor,
            cameras=sequence.cameras(number),
            pose=sequence.pose(number),
            boxes=sequence.boxes(number),
        )
        return _kitti.only_in_view(frame) if self._in_view else frame


class _Sequence:
    """One sequence of ``folder`` (training or testing); its small files are read once, when first needed."""

    def __init__(self, folder: Path, name: str, cameras: Iterable[str]) -> None:
        self.folder = folder
        self.name = name
        self.numbers = _numbers(folder / "velodyne" / name, "bin")
        if not self.numbers:
            raise DataError(
                f"{folder / 'velodyne' / name} holds no sweep (*.bin)",
                "unpack the velodyne archive there, or remove it",
            )
        self._pictures = {camera: folder / camera / name for camera in cameras}
        self._with_pictures = [camera for camera, pictures in self._pictures.items() if pictures.is_dir()]
        self._calibration_file = folder / "calib" / f"{name}.txt"
        self._label_file = folder / "label_02" / f"{name}.txt"
        self._oxts_file = folder / "oxts" / f"{name}.txt"

    def sweep(self, number: int) -> Path:
        return self.folder / "velodyne" / self.name / f"{number:06d}.bin"

    def cameras(self, number: int) -> tuple[Camera, ...]:
        return tuple(self._camera(camera, number) for camera in self._with_pictures)

    def pose(self, number: int) -> Doubles | None:
        """LiDAR to world."""
        if not self._oxts_file.exists():
            return None
        reference = Reference.at(self._packet(0))
        imu_to_lidar = _kitti.rigid_rows(self._calibration, "Tr_imu_velo", self._calibration_file)
        return imu_pose(self._packet(number), reference) @ geometry.invert(imu_to_lidar)

    def boxes(self, number: int) -> Boxes | None:
        """None where the sequence has no labels; without any where this frame has none."""
        if self._labels is None:
            return None
        tracks = self._labels.get(number, _Labels()).tracks
        return boxes_of_labels(list(tracks.values()), list(tracks), self._lidar_to_rectified, graded=False)

    def no_label_zone(self, number: int, points: Floats) -> Floats:
        """(N,) 1 where each of ``points`` (N,3) lies in a DontCare region of the frame, otherwise 0."""
        regions = (self._labels or {}).get(number, _Labels()).regions
        projection = _kitti.projection(self._calibration, "P2", self._calibration_file)
        return no_label_zone(points, regions, projection, self._lidar_to_rectified).astype(np.float32)

    def lacks(self) -> list[str]:
        """What is not there of it, in words."""
        gaps = set(range(self._length())).difference(self.numbers)
        known = gaps & KNOWN_GAPS.get((self.folder.name, self.name), frozenset())
        parts = ((known, "the release has none"), (gaps - known, "only other files are there"))
        sweeps = [f"sweep of {_ranges(numbers)} ({why}): left out" for numbers, why in parts if numbers]
        wanted = {pictures: f"pictures in {camera}" for camera, pictures in self._pictures.items()}
        wanted |= {self._oxts_file: "poses in oxts"}
        wanted |= {self._label_file: "labels in label_02"} if self.folder.name == "training" else {}
        return sweeps + [what for path, what in wanted.items() if not path.exists()]

    def _length(self) -> int:
        """How many frames the sequence has, by all that is there of it."""
        pictures = [_numbers(self._pictures[camera], "png") for camera in self._with_pictures]
        last = max(numbers[-1] for numbers in (self.numbers, *pictures) if numbers)
        return max(last + 1, len(self._packets) if self._oxts_file.exists() else 0)

    def _camera(self, camera: str, number: int) -> Camera:
        picture = self._pictures[camera] / f"{number:06d}.png"
        width, height = image_size(picture)  # it differs from sequence to sequence and stands nowhere else
        projection = _kitti.projection(self._calibration, CAMERAS[camera], self._calibration_file)
        intrinsics, lidar_to_camera = _kitti.rectified_camera(projection, self._lidar_to_rectified)
        read = partial(read_image, picture, width, height)
        return Camera(camera, width, height, intrinsics, lidar_to_camera, read)

    def _packet(self, number: int) -> Doubles:
        if number >= len(self._packets):
            raise DataError(f"{self._oxts_file} has no line of frame {number}", FETCH_AGAIN)
        return parse_oxts(self._packets[number], f"{self._oxts_file}, line {number + 1},")

    @cached_property
    def _packets(self) -> list[str]:
        return read_text(self._oxts_file).splitlines()

    @cached_property
    def _labels(self) -> dict[int, _Labels] | None:
        return _read_labels(self._label_file) if self._label_file.exists() else None

    @cached_property
    def _calibration(self) -> dict[str, Doubles]:
        values = _kitti.read_calibration(self._calibration_file)
        return values | {name: values[other] for name, other in NAMES.items() if other in values and name not in values}

    @cached_property
    def _lidar_to_rectified(self) -> Doubles:
        file = self._calibration_file
        rectify = geometry.rigid(_kitti.rotation(self._calibration, "R_rect", file), np.zeros(3))
        return rectify @ _kitti.rigid_rows(self._calibration, "Tr_velo_cam", file)


@dataclass
class _Labels:
    """Those of one frame by their track, and its DontCare regions."""

    tracks: dict[int, Label] = field(default_factory=dict)
    regions: list[DontCare] = field(default_factory=list)


def _read_labels(file: Path) -> dict[int, _Labels]:
    """Those of each frame: lines of frame, track, and what the object benchmark has."""
    frames: dict[int, _Labels] = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        place = f"{file}, line {number}"
        words = line.split()
        label = parse_label(words[2:], place)
        if label is None:
            continue
        has_track = isinstance(label, DontCare) or _is_number(words[1])  # a region's is -1
        if not (_is_number(words[0]) and has_track):
            raise DataError(f"{place} does not begin with the numbers of a frame and a track", FETCH_AGAIN)
        frame = frames.setdefault(int(words[0]), _Labels())
        if isinstance(label, DontCare):
            frame.regions.append(label)
            continue
        if int(words[1]) in frame.tracks:
            raise DataError(f"{place} labels track {words[1]} a second time in frame {words[0]}", FETCH_AGAIN)
        frame.tracks[int(words[1])] = label
    return frames


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", word) is not None


def _numbers(folder: Path, suffix: str) -> list[int]:
    """The frames of which ``folder`` has a file, sorted."""
    return sorted(int(file.stem) for file in folder.glob(f"*.{suffix}") if _is_number(file.stem))


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers in words: ``frames 3, 177-180``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    single = len(runs) == 1 and runs[0][0] == runs[0][1]
    words = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"frame{'' if single else 's'} {words}"


def _choose(folder: Path, sequences: tuple[str, ...], hint: str) -> list[str]:
    """The sequences of ``folder`` to read; ``hint`` tells the layout."""
    if not folder.parent.is_dir():
        raise DataError(f"{folder.parent} is not a folder", hint)
    there = sorted(
        path.name for path in folder.glob("velodyne/*") if path.is_dir() and re.fullmatch(r"\d{4}", path.name)
    )
    if not there:
        raise DataError(f"{folder / 'velodyne'} holds no sequence (0000, 0001 …)", hint)
    for name in sequences:
        if name not in there:
            raise InputError(f"there is no sequence '{name}' in {folder / 'velodyne'}", known_names(there, name))
    return list(sequences) or there
