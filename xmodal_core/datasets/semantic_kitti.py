"""SemanticKITTI: KITTI odometry's sequences with a class for each point, and the left colour camera where it is there.

Points stay in the velodyne's frame (x forward, y left, z up), labels are the nineteen classes of the single-scan
benchmark. Formats: semantic-kitti-api, README.md; KITTI odometry development kit, readme.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from xmodal_core import geometry
from xmodal_core.config import Settings, setting
from xmodal_core.datasets import _kitti
from xmodal_core.datasets._files import (
    FETCH_AGAIN,
    image_size,
    plausible,
    plausible_rows,
    read_bytes,
    read_image,
    read_rows,
    read_text,
    unless_all,
)
from xmodal_core.datasets._kitti_sequences import OfSequences
from xmodal_core.datasets._semantic_kitti_classes import SEGMENTATION, class_of_label
from xmodal_core.datasets._semantic_kitti_example import example
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.types import Camera, Doubles, Frame, Ints, Semantic, Sensor

__all__ = ["SemanticKitti", "SemanticKittiConfig", "example"]

CAMERAS = {"image_2": "P2", "image_3": "P3"}
THINGS = SEGMENTATION.index("motorcyclist")
"""Classes 1 to this one are of things, objects that are told apart in the panoptic benchmark; the others are stuff."""

PERIOD = 0.1
"""Seconds from scan to scan, for sequences without times.txt."""

TRAIN = ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")
VALID = ("08",)
TEST = tuple(f"{number:02d}" for number in range(11, 22))
SPLITS = {"train": TRAIN, "valid": VALID, "val": VALID, "trainval": (*TRAIN, *VALID), "test": TEST}
"""Which sequences (semantic-kitti-api, config/semantic-kitti.yaml); ``val`` is another name of ``valid``."""


class SemanticKittiConfig(Settings):
    """Options of ``semantic_kitti``."""

    split: str = setting("train", "train, valid (or val), trainval, test, or all: every sequence that is there")
    sequences: tuple[str, ...] = setting((), "Which sequences of the split, e.g. 00, 10; empty: all that are there")
    cameras: tuple[str, ...] = setting(("image_2",), "Which cameras: image_2 (left colour), image_3 (right colour)")

    @field_validator("sequences", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        """YAML reads 00 as a number."""
        if isinstance(value, (list, tuple)):
            return tuple(f"{one:02d}" if isinstance(one, int) else str(one) for one in value)
        return value


class SemanticKitti(OfSequences["_Sequence"]):
    """Scans of SemanticKITTI's sequences.

    Points that are not finite are dropped together with their labels. A sequence without pictures or calib.txt has
    frames without cameras; ``notes`` say so. ``pose`` is SemanticKITTI's own SLAM result, brought from camera 0 to the
    LiDAR: the sequence's first scan is the origin; None without poses.txt or calib.txt. What moves has the class of
    what stands still, as in the single-scan benchmark. Sequences 11 to 21 have no labels.
    """

    Config: ClassVar[type[Settings]] = SemanticKittiConfig
    layout: ClassVar[tuple[str, ...]] = (
        "sequences/*/velodyne/*.bin  sweeps of a sequence (sequences/00/velodyne)",
        "sequences/*/labels/*.label  labels of points, optional",
        "sequences/*/image_2/*.png   pictures (KITTI odometry, colour), optional",
        "sequences/*/calib.txt       calibration, optional: for cameras and poses",
        "sequences/*/poses.txt       poses, optional",
        "sequences/*/times.txt       times, optional",
    )
    channels: ClassVar[tuple[str, ...]] = ("intensity",)
    sensor: ClassVar[Sensor] = _kitti.SENSOR

    def __init__(self, root: Path, config: SemanticKittiConfig) -> None:
        for camera in config.cameras:
            if camera not in CAMERAS:
                raise InputError(f"unknown camera '{camera}'", f"known: {', '.join(CAMERAS)}")
        folders = find_sequences(root.expanduser(), self.expected())
        super().__init__(folders[0].parent.parent, config)
        self._there = tuple(folder.name for folder in folders)
        names = _choose(self._there, config.split, config.sequences, self.root)
        self._sequences = [_Sequence(folder, config.cameras) for folder in folders if folder.name in names]

    def splits(self) -> tuple[str, ...]:
        """``all`` and the official splits that have a sequence here."""
        return ("all", *(split for split, names in SPLITS.items() if set(names).intersection(self._there)))

    def _read(self, index: int) -> Frame:
        sequence, number = self._frames[index]
        values = read_rows(sequence.sweep(number), _kitti.COLUMNS)
        kept = plausible_rows(values)
        labels = sequence.labels(number, len(values))
        return Frame(
            name=self.name(index),
            scene=sequence.name,
            timestamp=sequence.timestamp(number),
            points=values[kept, :3],
            channels={"intensity": values[kept, 3]},
            sensor=self.sensor,
            cameras=sequence.cameras(number),
            pose=sequence.pose(number),
            semantic=None if labels is None else Semantic(labels[0][kept], SEGMENTATION, labels[1][kept]),
            stored=unless_all(kept),
        )


class _Sequence:
    """One sequence's folder; its small files are read once, when first needed."""

    def __init__(self, folder: Path, cameras: Iterable[str]) -> None:
        self.folder = folder
        self.name = folder.name
        files = (folder / "velodyne").glob("*.bin")
        self.numbers = sorted(int(file.stem) for file in files if re.fullmatch(r"[0-9]{6}", file.stem))
        if not self.numbers:
            raise DataError(f"{folder / 'velodyne'} holds no sweep (*.bin)", "unpack the velodyne archive there")
        self._wanted = tuple(cameras)
        self._calibration_file = folder / "calib.txt"
        self._calibrated = self._calibration_file.exists()
        self._with_pictures = [camera for camera in self._wanted if (folder / camera).is_dir()]

    def sweep(self, number: int) -> Path:
        return self.folder / "velodyne" / f"{number:06d}.bin"

    def timestamp(self, number: int) -> float:
        """Seconds since the sequence's start."""
        file = self.folder / "times.txt"
        return float(_row(self._times, number, file)[0]) if file.exists() else number * PERIOD

    def labels(self, number: int, count: int) -> tuple[Ints, Ints] | None:
        """(count,) the class and the instance of each point; None for a sequence without labels."""
        folder = self.folder / "labels"
        return read_label_file(folder / f"{number:06d}.label", count) if folder.is_dir() else None

    def cameras(self, number: int) -> tuple[Camera, ...]:
        """None without calibration, and of those that are wanted only such as have pictures."""
        return tuple(self._camera(camera, number) for camera in self._with_pictures) if self._calibrated else ()

    def pose(self, number: int) -> Doubles | None:
        """LiDAR to world. poses.txt is of camera 0: inv(Tr) P Tr (semantic-kitti-api, generate_sequential.py)."""
        file = self.folder / "poses.txt"
        if not (self._calibrated and file.exists()):
            return None
        camera_to_world = _pose(_row(self._poses, number, file), f"{file}, line {number + 1},")
        lidar_to_camera = self._lidar_to_rectified
        return geometry.invert(lidar_to_camera) @ camera_to_world @ lidar_to_camera

    def lacks(self) -> list[str]:
        """What is not there of it, in words."""
        if not self._calibrated:
            words = ["cameras and no poses, without calib.txt"]
        else:
            words = [f"pictures in {camera}" for camera in self._wanted if camera not in self._with_pictures]
            words += [] if (self.folder / "poses.txt").exists() else ["poses, without poses.txt"]
        words += [] if (self.folder / "times.txt").exists() else ["times, without times.txt: taken to be ten a second"]
        unlabelled = self.name not in TEST and not (self.folder / "labels").is_dir()
        lost = self._without_sweep()
        words += [f"sweep of {lost:,} scan{'s' if lost > 1 else ''} with pictures or labels"] if lost else []
        return words + (["labels"] if unlabelled else [])

    def _without_sweep(self) -> int:
        """How many scans have a picture or labels, and no sweep."""
        folders = [(self.folder / "labels", "*.label"), *((self.folder / camera, "*.png") for camera in self._wanted)]
        known = {file.stem for folder, pattern in folders for file in folder.glob(pattern)}
        return len({int(stem) for stem in known if re.fullmatch(r"[0-9]{6}", stem)}.difference(self.numbers))

    def _camera(self, camera: str, number: int) -> Camera:
        picture = self.folder / camera / f"{number:06d}.png"
        width, height = image_size(picture)  # it differs from sequence to sequence and stands nowhere else
        projection = _kitti.projection(self._calibration, CAMERAS[camera], self._calibration_file)
        intrinsics, lidar_to_camera = _kitti.rectified_camera(projection, self._lidar_to_rectified)
        read = partial(read_image, picture, width, height)
        return Camera(camera, width, height, intrinsics, lidar_to_camera, read)

    @cached_property
    def _calibration(self) -> dict[str, Doubles]:
        return _kitti.read_calibration(self._calibration_file)

    @cached_property
    def _lidar_to_rectified(self) -> Doubles:
        """Odometry's Tr: its camera 0 is the rectified one."""
        return _kitti.rigid_rows(self._calibration, "Tr", self._calibration_file)

    @cached_property
    def _times(self) -> Doubles:
        return _table(self.folder / "times.txt", 1)

    @cached_property
    def _poses(self) -> Doubles:
        return _table(self.folder / "poses.txt", 12)


def read_label_file(file: Path, count: int) -> tuple[Ints, Ints]:
    """The classes, numbers of ``SEGMENTATION``, and the instances of a .label file for ``count`` points, each (count,).

    The lower half of each uint32 is the class, the upper half numbers the objects of one class in a sequence, 0 where
    they are not told apart. An instance here is unique among all classes, and -1 for all but ``THINGS``.

    Raises:
        DataError: the file is missing, empty, made for another number of points, or holds a number that SemanticKITTI
            does not have.
    """
    content = read_bytes(file)
    if len(content) != 4 * count:
        raise DataError(f"{file} holds {len(content)} bytes, not 4 for each of {count} points", FETCH_AGAIN)
    whole = np.frombuffer(content, dtype="<u4").astype(np.int64)
    raw, number = whole & 0xFFFF, whole >> 16
    label = class_of_label()[raw]
    if (label < 0).any():
        raise DataError(f"{file} holds label {raw[np.argmin(label)]}, which SemanticKITTI does not have", FETCH_AGAIN)
    told_apart = (number > 0) & (label > 0) & (label <= THINGS)
    return label, np.where(told_apart, number * len(SEGMENTATION) + label, -1)


def find_sequences(root: Path, hint: str) -> list[Path]:
    """The folders of all sequences, sorted; ``root`` may also be the folder ``sequences``, or a sequence's own, which
    gives only that one. ``hint`` tells the layout.

    Raises:
        DataError: there is none.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint)
    full = root.resolve()
    if _is_sequence(full) and full.parent.name == "sequences":
        return [full]
    parent = full if full.name == "sequences" else root / "sequences"
    folders = sorted(path for path in parent.iterdir() if _is_sequence(path)) if parent.is_dir() else []
    if not folders:
        raise DataError(f"{root} holds no sequence with sweeps (sequences/00/velodyne)", hint)
    return folders


def _is_sequence(path: Path) -> bool:
    return re.fullmatch(r"[0-9]{2}", path.name) is not None and (path / "velodyne").is_dir()


def _choose(there: tuple[str, ...], split: str, sequences: tuple[str, ...], root: Path) -> list[str]:
    """The names of the sequences to read, of those that are ``there``."""
    if split != "all" and split not in SPLITS:
        raise InputError(f"unknown split '{split}'", f"known: {', '.join((*SPLITS, 'all'))}")
    names = [name for name in there if split == "all" or name in SPLITS[split]]
    if not names:
        raise DataError(
            f"{root} has no sequence of split '{split}'",
            f"there are: {', '.join(there)}; choose --set dataset.split=all",
        )
    for name in sequences:
        if name not in names:
            raise InputError(f"there is no sequence '{name}' in split '{split}' of {root}", known_names(names, name))
    return list(sequences) or names


def _table(file: Path, columns: int) -> Doubles:
    """(N, columns) numbers of a text file, one row a line."""
    try:
        rows = [[float(word) for word in line.split()] for line in read_text(file).splitlines()]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), columns)
    except ValueError:
        table = np.full((1, columns), np.nan)
    if not plausible(table):
        raise DataError(f"{file} is no table of {columns} number{'s' if columns > 1 else ''} a line", FETCH_AGAIN)
    return table


def _row(table: Doubles, number: int, file: Path) -> Doubles:
    if number >= len(table):
        raise DataError(f"{file} has no line of scan {number}", FETCH_AGAIN)
    row: Doubles = table[number]
    return row


def _pose(row: Doubles, place: str) -> Doubles:
    return _kitti.rigid_rows({"pose": row}, "pose", Path(place))
