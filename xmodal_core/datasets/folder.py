"""A folder of your own sensor's sweeps and pictures, described by one calibration.yaml.

Sweeps are .bin, .npy, .pcd or .ply files, pictures .jpg or .png; what belongs to one frame has one name. Every key of
``calibration.yaml``, and of the optional ``frames.jsonl`` beside it, stands in ``_folder_file``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.datasets._files import (
    FETCH_AGAIN,
    image_size,
    plausible_rows,
    read_bytes,
    read_image,
    read_text,
    unless_all,
)
from xmodal_core.datasets._folder_example import example
from xmodal_core.datasets._folder_file import (
    AXES,
    FILE,
    CameraLine,
    CameraPart,
    FrameLine,
    Line,
    lens,
    matrix,
    parse_line,
    read_boxes,
    read_calibration,
    read_frames,
)
from xmodal_core.datasets._point_files import SUFFIXES, read_columns, read_npy_numbers, suffix_of
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.types import Bools, Boxes, Camera, Frame, Ints, Semantic, Sensor

__all__ = ["Folder", "FolderConfig", "example"]

PICTURES = (".jpg", ".png", ".jpeg")
IGNORE = "ignore"


class FolderConfig(Settings):
    """Options of ``folder``."""

    split: str = setting("all", "'all', or the name of a list of frames in splits/, e.g. train for splits/train.txt")
    cameras: tuple[str, ...] = setting((), "Which cameras, in which order; empty: all of calibration.yaml")


class Folder(Dataset):
    """Frames of a folder, sorted by the names of their files.

    Points that are not finite are dropped together with their labels. A frame without a file of boxes or of labels has
    none. ``sensor`` and ``channels`` are those of ``calibration.yaml``.
    """

    Config: ClassVar[type[Settings]] = FolderConfig
    layout: ClassVar[tuple[str, ...]] = (
        "calibration.yaml  the sensor, its columns and its cameras",
        "points/*.*        sweeps: .bin, .npy, .pcd or .ply",
        "images/*/*.*      pictures of each camera, optional: .jpg or .png",
        "frames.jsonl      times, scenes and poses, optional",
        "boxes/*.json      boxes, optional",
        "semantic/*.*      labels of points, optional: .npy or .label",
        "splits/*.txt      lists of frames, optional",
    )
    channels: ClassVar[tuple[str, ...]] = ("intensity",)
    sensor: ClassVar[Sensor] = Sensor("LiDAR", beams=64, forward=(1.0, 0.0), height=None, intensity_max=1.0)

    def __init__(self, root: Path, config: FolderConfig) -> None:
        root = root.expanduser()
        if not root.is_dir():
            raise DataError(f"{root} is not a folder", self.expected())
        if not (root / FILE).is_file():
            raise DataError(f"{root} holds no {FILE}", self.expected())
        super().__init__(root, config)
        self._calibration = read_calibration(root / FILE)
        # What other data sets are known by before they are opened stands in this one's file.
        self.sensor = self._calibration.sensor  # type: ignore[misc]
        self.channels = self._calibration.channels  # type: ignore[misc]
        self._cameras = self._choose(config.cameras)
        self._suffixes = {name: _usual_suffix(self._pictures(name)) for name in self._cameras}
        files = _sweeps(root / self._calibration.part.points)
        self._lines = self._read_lines(files)
        self._frames = self._of_split(config.split, files)
        self._files = files

    @classmethod
    def stated(cls, root: Path | None) -> tuple[Sensor, tuple[str, ...]]:
        """As ``calibration.yaml`` at ``root`` says."""
        if root is None:
            return cls.sensor, cls.channels
        found = read_calibration(root.expanduser() / FILE)
        return found.sensor, found.channels

    def __len__(self) -> int:
        return len(self._frames)

    def name(self, index: int) -> str:
        """As ``frames.jsonl`` has it; else the name of its files."""
        frame = self._frames[index]
        return self._lines[frame].name if frame in self._lines else frame

    def scene(self, index: int) -> str:
        """As ``frames.jsonl`` has it; else the folder's name."""
        line = self._lines.get(self._frames[index])
        return (line.scene if line else "") or self.root.resolve().name

    def splits(self) -> tuple[str, ...]:
        """``all`` and the lists in splits/."""
        return ("all", *(file.stem for file in self._lists()))

    def notes(self) -> tuple[str, ...]:
        """Labels and lines that some frames lack."""
        part = self._calibration.part
        notes = [] if self._lines else [f"{part.frames} is not there, so frames have no time, scene or pose"]
        for kind, labels in (("boxes", part.boxes), ("semantic", part.semantic)):
            if labels is not None:
                folder = self.root / labels.folder
                there = {file.stem for file in folder.iterdir()} if folder.is_dir() else set()
                without = sum(frame not in there for frame in self._frames)
                words = f"{without:,} of {len(self._frames):,} frames have no {kind}: they have no file in {folder}"
                notes += [words] if without else []
        pictures = {file.stem for name in self._cameras for file in self._pictures(name).iterdir()}
        if lost := pictures.difference(self._files):
            notes.append(f"{len(lost):,} pictures have no sweep and are left out, as {min(lost)}")
        return tuple(notes)

    def _read(self, index: int) -> Frame:
        frame = self._frames[index]
        line = self._line(frame)
        values = read_columns(self._files[frame], self._calibration.part.columns, self._calibration.part.fields)
        kept = plausible_rows(values)
        columns = dict(zip(self._calibration.columns, values[kept].T, strict=True))
        return Frame(
            name=self.name(index),
            scene=self.scene(index),
            timestamp=line.timestamp,
            points=np.stack([columns[axis] for axis in AXES], axis=1),
            channels={name: np.ascontiguousarray(columns[name]) for name in self.channels},
            sensor=self.sensor,
            cameras=self._cameras_of(frame, line),
            pose=None if line.pose is None else matrix(line.pose),
            boxes=self._boxes(frame),
            semantic=self._semantic(frame, kept),
            stored=unless_all(kept),
        )

    def _line(self, frame: str) -> FrameLine:
        if frame not in self._lines:
            return FrameLine(frame=frame)
        return parse_line(self._frames_file, self._lines[frame], self._calibration.cameras)

    def _cameras_of(self, frame: str, line: FrameLine) -> tuple[Camera, ...]:
        return tuple(
            self._camera(name, frame, line.cameras.get(name))
            for name in self._cameras
            if line.cameras.get(name, CameraLine()) is not None
        )

    def _camera(self, name: str, frame: str, changed: CameraLine | None) -> Camera:
        part: CameraPart = self._calibration.cameras[name]
        picture = self._picture(name, frame)
        width, height = part.width, part.height
        if width is None or height is None:
            width, height = image_size(picture)
        intrinsics, lidar_to_camera, distortion = part.intrinsics, part.lidar_to_camera, part.distortion
        if changed is not None:
            intrinsics = changed.intrinsics or intrinsics
            distortion = distortion if changed.distortion is None else changed.distortion
            lidar_to_camera = changed.lidar_to_camera or lidar_to_camera
        return Camera(
            name=name,
            width=width,
            height=height,
            intrinsics=matrix(intrinsics),
            lidar_to_camera=matrix(lidar_to_camera),
            read=partial(read_image, picture, width, height),
            lens=lens(distortion),
        )

    def _pictures(self, camera: str) -> Path:
        return self.root / (self._calibration.cameras[camera].images or f"images/{camera}")

    def _picture(self, camera: str, frame: str) -> Path:
        folder = self._pictures(camera)
        usual = folder / f"{frame}{self._suffixes[camera]}"
        others = (folder / f"{frame}{suffix}" for suffix in PICTURES)
        return usual if usual.exists() else next((file for file in others if file.exists()), usual)

    def _boxes(self, frame: str) -> Boxes | None:
        part = self._calibration.part.boxes
        if part is None or not (file := self.root / part.folder / f"{frame}.json").exists():
            return None
        number = {name: place for place, name in enumerate(part.classes)}
        boxes = read_boxes(file)
        for box in boxes:
            if box.name not in number:
                raise DataError(f"{file} labels an unknown class '{box.name}'", known_names(part.classes, box.name))
        unknown = (np.nan, np.nan)
        return Boxes(
            centre=np.array([box.centre for box in boxes], dtype=np.float32).reshape(-1, 3),
            size=np.array([box.size for box in boxes], dtype=np.float32).reshape(-1, 3),
            yaw=np.array([box.yaw for box in boxes], dtype=np.float32),
            label=np.array([number[box.name] for box in boxes], dtype=np.int64),
            classes=part.classes,
            track=np.array([box.track for box in boxes], dtype=np.int64),
            velocity=np.array([box.velocity or unknown for box in boxes], dtype=np.float32).reshape(-1, 2),
            points=_stated([box.points for box in boxes], -1),
            difficulty=_stated([box.difficulty for box in boxes], 0),
        )

    def _semantic(self, frame: str, kept: Bools) -> Semantic | None:
        part = self._calibration.part.semantic
        if part is None:
            return None
        npy, label = (self.root / part.folder / f"{frame}{suffix}" for suffix in (".npy", ".label"))
        if not npy.exists() and not label.exists():
            return None
        file = npy if npy.exists() else label
        raw = read_npy_numbers(file, len(kept)) if file is npy else _read_label(file, len(kept))
        classes = (IGNORE, *dict.fromkeys(name for name in part.classes.values() if name != IGNORE))
        values, places = np.unique(raw, return_inverse=True)
        for value in values.tolist():
            if value not in part.classes:
                raise DataError(
                    f"{file} holds class {value}, which has no name in {self._calibration.file}",
                    f"add '{value}: NAME' under semantic.classes",
                )
        known = np.array([classes.index(part.classes[value]) for value in values.tolist()], dtype=np.int64)
        return Semantic(known[places.reshape(-1)][kept], classes)

    @property
    def _frames_file(self) -> Path:
        return self.root / self._calibration.part.frames

    def _read_lines(self, files: dict[str, Path]) -> dict[str, Line]:
        if not self._frames_file.exists() and "frames" not in self._calibration.part.model_fields_set:
            return {}
        lines = read_frames(self._frames_file)
        for frame, line in lines.items():
            if frame not in files:
                raise DataError(
                    f"{self._frames_file}, line {line.number}, names frame '{frame}', which has no sweep in "
                    f"{self.root / self._calibration.part.points}",
                    "remove the line, or bring the sweep back",
                )
        return lines

    def _choose(self, cameras: tuple[str, ...]) -> tuple[str, ...]:
        there = self._calibration.cameras
        for name in cameras:
            if name not in there:
                raise InputError(f"unknown camera '{name}'", known_names(there, name))
        chosen = cameras or tuple(there)
        for name in chosen:
            if not self._pictures(name).is_dir():
                raise DataError(
                    f"{self._pictures(name)} is missing: the pictures of camera '{name}'",
                    f"put them there, or name their folder as 'cameras.{name}.images' in {FILE}",
                )
        return chosen

    def _lists(self) -> list[Path]:
        return sorted(self.root.glob("splits/*.txt"))

    def _of_split(self, split: str, files: dict[str, Path]) -> list[str]:
        if split == "all":
            return sorted(files)
        lists = {file.stem: file for file in self._lists()}
        if split not in lists:
            raise InputError(f"unknown split '{split}'", f"known: {', '.join(('all', *lists))}")
        frames = read_text(lists[split]).split()
        for frame in frames:
            if frame not in files:
                raise DataError(f"{lists[split]} names frame '{frame}', which has no sweep", "remove it from the list")
        if len(set(frames)) < max(len(frames), 1):
            raise DataError(f"{lists[split]} is empty or names a frame twice", "write one frame a line")
        return sorted(frames)


def _sweeps(folder: Path) -> dict[str, Path]:
    """The sweeps in ``folder`` by their frame."""
    if not folder.is_dir():
        raise DataError(f"{folder} is missing: the sweeps", f"put them there, or name their folder 'points' in {FILE}")
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        suffix = suffix_of(file.name)
        frame = file.name[: len(file.name) - len(suffix)]
        if not suffix or not frame or frame.startswith("."):
            continue
        if frame in files:
            raise DataError(f"{file} and {files[frame].name} are both the sweep of '{frame}'", "remove one of them")
        files[frame] = file
    if not files:
        raise DataError(f"{folder} holds no sweep", f"its files should end in {', '.join(SUFFIXES)}")
    return files


def _usual_suffix(folder: Path) -> str:
    endings = (file.suffix for file in folder.iterdir() if file.suffix.lower() in PICTURES)
    return next(endings, PICTURES[0])


def _stated(values: list[int], unknown: int) -> Ints | None:
    """A number for each box; None where nobody said any."""
    return np.array(values, dtype=np.int64) if any(value != unknown for value in values) else None


def _read_label(file: Path, count: int) -> Ints:
    """The lower half of a uint32 for each point (SemanticKITTI's form: the upper half numbers instances)."""
    content = read_bytes(file)
    if len(content) != 4 * count:
        raise DataError(f"{file} holds {len(content) / 4:g} labels for {count} points", FETCH_AGAIN)
    return (np.frombuffer(content, dtype="<u4") & 0xFFFF).astype(np.int64)
