"""nuScenes (v1.0-trainval, -mini, -test) and folders in its format; tables read directly, without the devkit.

Points stay in LIDAR_TOP's frame (x right, y forward, z up) at the sweep's own time; every camera is projected through
its own ego pose, boxes are brought into the LiDAR's frame. Formats: nuscenes-devkit, docs/schema_nuscenes.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmodal_core import geometry
from xmodal_core.config import Settings, setting
from xmodal_core.datasets._files import plausible_rows, read_image, read_labels, read_rows, unless_all
from xmodal_core.datasets._json_rows import rows
from xmodal_core.datasets._nuscenes_classes import DETECTION, DETECTION_OF, OTHER, SEGMENTATION, SEGMENTATION_OF
from xmodal_core.datasets._nuscenes_example import example
from xmodal_core.datasets._nuscenes_splits import absent_scenes, scenes_of_split, splits_with_scenes
from xmodal_core.datasets._nuscenes_tables import CAMERAS, LIDAR, Tables, read_tables
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.range_image import of_rings
from xmodal_core.types import Bools, Boxes, Camera, Doubles, Floats, Frame, Ints, Semantic, Sensor

__all__ = ["NuScenes", "NuScenesConfig", "example"]

COLUMNS = 5
"""x, y, z, intensity (0..255), ring (0 lowest): a row of a .pcd.bin file."""

NEAR = 1.0
"""Metres: with several sweeps, points with |x| and |y| below this are the vehicle itself and left out (devkit)."""

MISSING_KEYFRAME = (
    "unpack the part of the release that holds it, or leave out such keyframes: --set dataset.skip_missing=true"
)
MISSING_SWEEP = "unpack the sweeps of the release, or add --set dataset.n_sweeps=1"


class NuScenesConfig(Settings):
    """Options of ``nuscenes``."""

    split: str = setting(
        "auto",
        "Official split, one of splits.json, 'all', or 'auto': train, mini_train or test by the version, else all",
    )
    version: str = setting("", "Folder of the tables, e.g. v1.0-trainval; empty: the only one there is")
    cameras: tuple[str, ...] = setting(CAMERAS, "Which cameras, in which order")
    n_sweeps: int = setting(1, "Sweeps laid together, the keyframe's and those before it", unit="sweeps", ge=1, le=50)
    skip_missing: bool = setting(
        True,
        "Leave out keyframes whose LiDAR file is absent (a partial download) and say how many; else it is an error",
    )


class NuScenes(Dataset):
    """Keyframes of nuScenes.

    Points that are not finite are dropped together with their labels and channel values, so that everything stays
    aligned. With ``n_sweeps`` > 1 earlier sweeps follow the keyframe's points, moved into its frame, with
    ``time_lag`` in seconds and semantic class 0; the vehicle's own returns are dropped as nuscenes-devkit does.
    Boxes carry the ten detection classes, then the categories that the detection task leaves out under their own
    names; boxes without points are kept. Where the tables have no annotation at all (v1.0-test), frames have no boxes.
    """

    Config: ClassVar[type[Settings]] = NuScenesConfig
    layout: ClassVar[tuple[str, ...]] = (
        "v1.0-*/*.json                the tables",
        "samples/LIDAR_TOP/*.pcd.bin  sweeps of keyframes",
        "samples/CAM_*/*.jpg          pictures",
        "sweeps/LIDAR_TOP/*.pcd.bin   sweeps between keyframes, optional: for n_sweeps above 1",
        "lidarseg/v1.0-*/*.bin        labels of points, optional",
    )
    channels: ClassVar[tuple[str, ...]] = ("intensity", "time_lag", "ring")
    sensor: ClassVar[Sensor] = Sensor("HDL-32E", beams=32, forward=(0.0, 1.0), height=None, intensity_max=255.0)

    def __init__(self, root: Path, config: NuScenesConfig) -> None:
        folder = find_tables(root, config.version, self.expected())
        super().__init__(folder.parent, config)
        self._options = config
        self._cameras = _camera_numbers(config.cameras)
        self._tables = read_tables(folder)
        self._folder = folder
        self._keys, self._notes = self._keys_of_split(folder)
        self._classes, self._class_of = _box_classes(self._tables)
        self._segment_of = _segmentation_lookup(self._tables)

    def __len__(self) -> int:
        return len(self._keys)

    def name(self, index: int) -> str:
        """The sample's token."""
        token: bytes = self._tables.key_token[self._keys[index]]
        return token.decode()

    def scene(self, index: int) -> str:
        """The scene's name, e.g. ``scene-0061``."""
        name: bytes = self._tables.scene_name[self._tables.key_scene[self._keys[index]]]
        return name.decode()

    def scenes(self) -> tuple[str, ...]:
        """See ``Dataset``: as scene.json lists them, which is not the order of their names (nor of frames here)."""
        here = set(super().scenes())
        return tuple(name for name in rows(self._folder / "scene.json", "name") if name in here)

    def splits(self) -> tuple[str, ...]:
        """``all`` and the official and own splits that have a scene here."""
        return splits_with_scenes(self._folder, {name.decode() for name in self._tables.scene_name})

    def annotations(self, index: int) -> Annotations:
        """The labels of frame ``index`` as the tables have them, without reading its data: global coordinates and
        double precision, for the benchmark."""
        key = int(self._keys[index])
        tables = self._tables
        which = slice(int(tables.box_start[key]), int(tables.box_start[key + 1]))
        attributes = np.array([name.decode() for name in tables.attribute_name] + [""])
        return Annotations(
            centre=tables.box_pose[which, :3],
            size=tables.box_size[which][:, [1, 0, 2]],
            rotation=tables.box_pose[which, 3:],
            velocity=tables.box_velocity[which, :2],
            label=self._class_of[tables.box_category[which]],
            classes=self._classes,
            points=tables.box_points[which],
            attribute=attributes[tables.box_attribute[which]],
            ego=tables.lidar_pose[int(tables.key_lidar[key]), :3],
        )

    def lidar_token(self, index: int) -> str:
        """The name by which lidarseg's files call the sweep of frame ``index``: the token of its sample_data."""
        token: bytes = self._tables.key_lidar_token[self._keys[index]]
        return token.decode()

    def notes(self) -> tuple[str, ...]:
        """Scenes, keyframes, pictures and labels that are not in this folder."""
        return self._notes

    def range_image(self, index: int) -> Floats:
        """The range image of the keyframe's own sweep of frame ``index``, (32, width, 2): range in metres and
        intensity as stored, (-1, 0) where there is no return; the highest beam first, a column for each firing of
        the LiDAR where the file has all of them, else by azimuth (``range_image.of_rings``). Files hold a pulse that
        never came back as a point at the LiDAR: like the vehicle itself, it is no return.

        Raises:
            InputError, DataError: as ``frame``.
        """
        self._require_in_range(index)
        row = int(self._tables.key_lidar[int(self._keys[index])])
        values = self._values(row, MISSING_KEYFRAME)
        values[~_beyond_vehicle(values), :3] = 0.0  # a pixel of its own, without a return
        return of_rings(values[:, :3], values[:, 4], values[:, 3], self.sensor)

    def _keys_of_split(self, folder: Path) -> tuple[Ints, tuple[str, ...]]:
        """The keyframes to read, and what is told of those that are not."""
        tables, split = self._tables, self._options.split
        names = [name.decode() for name in tables.scene_name]
        chosen = scenes_of_split(split, folder, set(names))
        within = np.array([name in chosen for name in names], dtype=bool)
        every = np.flatnonzero(within[tables.key_scene])
        if not len(every):
            raise DataError(f"{folder} has no keyframe in split '{split}'", "choose another split")
        there = self._present(tables.lidar_file[tables.key_lidar[every]])
        notes = [*absent_scenes(split, folder, set(names))]
        keys = every[there] if self._options.skip_missing else every
        if not there.any():  # the tables alone, to score boxes: reading a frame says what is missing
            keys = every
            notes.append(f"no sweep of the {len(every):,} keyframes of this split is in {self.root}: labels only")
        elif not there.all():
            count, then = int((~there).sum()), "are left out" if self._options.skip_missing else "cannot be read"
            notes.append(f"{count:,} of {len(every):,} keyframes {then}: their {LIDAR} file is not in {self.root}")
        return keys, (*notes, *self._absent(keys))

    def _absent(self, keys: Ints) -> Iterator[str]:
        """What the frames ``keys`` lack beside their sweeps, in words."""
        tables = self._tables
        rows = tables.key_camera[keys][:, self._cameras]
        pictures = int(self._present(tables.camera_file[rows[rows >= 0]]).sum())
        if pictures < rows.size:
            yield f"{rows.size - pictures:,} of {rows.size:,} pictures of these {len(keys):,} frames are not there"
        if not tables.has_boxes:
            yield f"{self._folder.name} has no annotations, so frames have no boxes"
        labelled = tables.key_labels[keys] != b""
        if not labelled.any():
            yield "lidarseg is not there, so points have no classes"
        elif not labelled.all():
            yield f"lidarseg knows {int(labelled.sum()):,} of these {len(keys):,} frames: others have no classes"

    def _present(self, files: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        paths = [file.decode() for file in files]
        listing: dict[str, set[str]] = {}
        for folder in {os.path.dirname(path) for path in paths}:
            there = self.root / folder
            try:
                listing[folder] = set(os.listdir(there)) if there.is_dir() else set()
            except OSError as error:
                raise DataError(f"cannot read {there}: {error.strerror}", "check its permissions") from None
        return np.array([os.path.basename(path) in listing[os.path.dirname(path)] for path in paths], dtype=bool)

    def _read(self, index: int) -> Frame:
        key = int(self._keys[index])
        tables = self._tables
        lidar = int(tables.key_lidar[key])
        points, channels, semantic, kept = self._points(key, lidar)
        pose = self._lidar_pose(lidar)
        return Frame(
            name=self.name(index),
            scene=self.scene(index),
            timestamp=float(tables.lidar_time[lidar]) * 1e-6,
            points=points,
            channels=channels,
            sensor=self.sensor,
            cameras=self._cameras_of(key, pose),
            pose=pose,
            boxes=self._boxes(key, pose),
            semantic=semantic,
            stored=unless_all(kept),
        )

    def _points(self, key: int, lidar: int) -> tuple[Floats, dict[str, Floats], Semantic | None, Bools]:
        """Points, channels and labels of the keyframe's sweep and those before it, newest first; which rows of the
        keyframe's are kept."""
        sweeps = [self._sweep(row, lidar) for row in self._chain(lidar)]
        values = np.concatenate([sweep.values for sweep in sweeps])
        lag = np.concatenate([np.full(len(sweep.values), sweep.lag, dtype=np.float32) for sweep in sweeps])
        channels = {"intensity": values[:, 3].copy(), "time_lag": lag, "ring": values[:, 4].copy()}
        semantic, kept = None, sweeps[0].kept
        if file := self._tables.key_labels[key].decode():
            label = np.zeros(len(values), dtype=np.int64)
            label[: len(sweeps[0].values)] = self._labels(file, len(kept))[kept]
            semantic = Semantic(label, SEGMENTATION)
        return values[:, :3].copy(), channels, semantic, kept

    def _chain(self, lidar: int) -> list[int]:
        """Rows of the LiDAR files from ``lidar`` back in time; fewer than ``n_sweeps`` at the start of a scene."""
        rows = [lidar]
        while len(rows) < self._options.n_sweeps and (before := int(self._tables.lidar_prev[rows[-1]])) >= 0:
            rows.append(before)
        return rows

    def _sweep(self, row: int, key_row: int) -> _Sweep:
        """LiDAR file ``row`` in the frame of LiDAR file ``key_row``."""
        tables = self._tables
        hint = MISSING_KEYFRAME if row == key_row else MISSING_SWEEP
        values = self._values(row, hint)
        kept = plausible_rows(values)
        if self._options.n_sweeps > 1:
            kept = kept & _beyond_vehicle(values)
        values = values[kept]
        if row != key_row:
            to_key = geometry.invert(self._lidar_pose(key_row)) @ self._lidar_pose(row)
            values[:, :3] = geometry.transform_points(to_key, values[:, :3])
        lag = float(tables.lidar_time[key_row] - tables.lidar_time[row]) * 1e-6
        return _Sweep(values, kept, lag)

    def _values(self, row: int, hint: str) -> Floats:
        """(N,5) what LiDAR file ``row`` holds; ``hint`` is for a missing one."""
        return read_rows(self.root / self._tables.lidar_file[row].decode(), COLUMNS, hint)

    def _labels(self, file: str, count: int) -> Ints:
        fine = read_labels(self.root / file, count)
        coarse = self._segment_of[fine]
        if (coarse < 0).any():
            unknown = int(fine[np.argmin(coarse)])
            raise DataError(f"{self.root / file} holds class {unknown}, which category.json lacks", "fetch both again")
        return coarse

    def _lidar_pose(self, row: int) -> Doubles:
        """LiDAR to world at the time of LiDAR file ``row``."""
        tables = self._tables
        ego = _pose(tables.lidar_pose[row])
        return ego @ _pose(tables.calibration_pose[tables.lidar_calibration[row]])

    def _cameras_of(self, key: int, lidar_to_world: Doubles) -> tuple[Camera, ...]:
        tables = self._tables
        cameras = []
        for number in self._cameras:
            row = int(tables.key_camera[key, number])
            if row < 0:
                continue
            calibration = int(tables.camera_calibration[row])
            camera_to_world = _pose(tables.camera_pose[row]) @ _pose(tables.calibration_pose[calibration])
            width, height = (int(side) for side in tables.camera_size[row])
            cameras.append(
                Camera(
                    name=CAMERAS[number],
                    width=width,
                    height=height,
                    intrinsics=tables.calibration_intrinsics[calibration],
                    lidar_to_camera=geometry.invert(camera_to_world) @ lidar_to_world,
                    read=partial(read_image, self.root / tables.camera_file[row].decode(), width, height),
                )
            )
        return tuple(cameras)

    def _boxes_alone(self, index: int) -> Boxes | None:
        """See ``Dataset``; of the tables."""
        key = int(self._keys[index])
        return self._boxes(key, self._lidar_pose(int(self._tables.key_lidar[key])))

    def _boxes(self, key: int, lidar_to_world: Doubles) -> Boxes | None:
        tables = self._tables
        if not tables.has_boxes:
            return None
        which = slice(int(tables.box_start[key]), int(tables.box_start[key + 1]))
        world_to_lidar = geometry.invert(lidar_to_world)
        poses = [world_to_lidar @ _pose(row) for row in tables.box_pose[which]]
        velocity = tables.box_velocity[which] @ world_to_lidar[:3, :3].T
        return Boxes(
            centre=np.array([pose[:3, 3] for pose in poses], dtype=np.float32).reshape(-1, 3),
            size=tables.box_size[which][:, [1, 0, 2]].astype(np.float32),  # stored as width, length, height
            yaw=np.array([geometry.yaw_of(pose[:3, :3]) for pose in poses], dtype=np.float32),
            label=self._class_of[tables.box_category[which]],
            classes=self._classes,
            track=tables.box_object[which].copy(),
            velocity=velocity[:, :2].astype(np.float32),
            points=tables.box_points[which].copy(),
        )


class Annotations(NamedTuple):
    """The labels of a keyframe in global coordinates, float64.

    ``centre`` (B,3) metres, ``size`` (B,3) metres length, width, height, ``rotation`` (B,4) quaternions wxyz,
    ``velocity`` (B,2) metres a second with NaN for unknown, ``label`` (B,) into ``classes``, ``points`` (B,) LiDAR and
    radar points within, ``attribute`` (B,) names, empty for none, ``ego`` (3,) metres, where the vehicle is at the
    time of the sweep.
    """

    centre: Doubles
    size: Doubles
    rotation: Doubles
    velocity: Doubles
    label: Ints
    classes: tuple[str, ...]
    points: Ints
    attribute: NDArray[np.str_]
    ego: Doubles


class _Sweep(NamedTuple):
    """``values`` (n,5) of the points that were kept, ``kept`` (N,) bool of the file's rows, ``lag`` seconds before the
    keyframe."""

    values: Floats
    kept: Bools
    lag: float


def find_tables(root: Path, version: str, hint: str) -> Path:
    """The version folder within ``root``; ``root`` may also be that folder itself. ``hint`` tells the layout.

    Raises:
        DataError: there is no such folder.
        InputError: several versions are there and none was chosen.
    """
    root = root.expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint)
    if version:
        if not (root / version).is_dir():
            raise DataError(f"{root} has no folder {version}", f"there are: {', '.join(_versions(root)) or 'none'}")
        return root / version
    if (root / "sample_data.json").is_file():
        return root.resolve()
    versions = _versions(root)
    if not versions:
        raise DataError(f"{root} holds no nuScenes tables", hint)
    if len(versions) > 1:
        raise InputError(
            f"{root} holds several versions: {', '.join(versions)}", "choose one with --set dataset.version=NAME"
        )
    return root / versions[0]


def _versions(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("v1.0-*") if path.is_dir())


def _camera_numbers(names: tuple[str, ...]) -> list[int]:
    for name in names:
        if name not in CAMERAS:
            raise InputError(f"unknown camera '{name}'", f"known: {', '.join(CAMERAS)}")
    return [CAMERAS.index(name) for name in names]


def _box_classes(tables: Tables) -> tuple[tuple[str, ...], Ints]:
    """The classes of boxes and each category's number among them; a foreign category keeps its name, at the end."""
    names = [name.decode() for name in tables.category_name]
    used = {names[row] for row in np.unique(tables.box_category)}
    classes = (*DETECTION, *OTHER, *sorted(used.difference(DETECTION_OF, OTHER)))
    number = {name: place for place, name in enumerate(classes)}
    return classes, np.array([number.get(DETECTION_OF.get(name, name), -1) for name in names], dtype=np.int64)


def _segmentation_lookup(tables: Tables) -> Ints:
    """(256,) the segmentation class of each value in a lidarseg file; -1 where no category has that index."""
    lookup = np.full(256, -1, dtype=np.int64)
    for name, index in zip(tables.category_name, tables.category_index, strict=True):
        if 0 <= index < 256:
            lookup[index] = SEGMENTATION.index(SEGMENTATION_OF.get(name.decode(), "ignore"))
    return lookup


def _beyond_vehicle(values: Floats) -> Bools:
    """(N,) bool: the rows of a point file that are not the vehicle itself (devkit remove_close: a square)."""
    return np.asarray((np.abs(values[:, :2]) >= NEAR).any(axis=1), dtype=np.bool_)


def _pose(row: Doubles) -> Doubles:
    return geometry.rigid(geometry.rotation_from_quaternion(row[3:]), row[:3])  # type: ignore[arg-type]
