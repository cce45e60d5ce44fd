"""``calibration.yaml`` and ``frames.jsonl`` of a ``folder`` data set: their keys, and every wrong one named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import yaml
from pydantic import BeforeValidator, Field

from xmodal_core import geometry
from xmodal_core.config import S, Settings, setting, validate
from xmodal_core.datasets._files import plausible, read_text
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.types import Doubles, Lens, Sensor

FILE = "calibration.yaml"
AXES = ("x", "y", "z")
LENS = ("k1", "k2", "p1", "p2", "k3")

Rows = tuple[tuple[float, ...], ...]
"""A matrix as settings hold it."""


def _numbers(value: Any, *shapes: tuple[int, ...]) -> Doubles | None:
    """``value`` as numbers of one of ``shapes``; None where it is something else."""
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.shape in shapes and plausible(found) else None


def _rows(matrix: Doubles) -> Rows:
    return tuple(tuple(float(number) for number in row) for row in matrix)


def _as_intrinsics(value: Any) -> Rows:
    found = _numbers(value, (3, 3), (4,))
    if found is None:
        raise ValueError("write three rows of three numbers, or fx, fy, cx, cy")
    if found.shape == (4,):
        fx, fy, cx, cy = found
        found = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    if found[0, 0] < 1 or found[1, 1] < 1 or found[1, 0] != 0 or not np.array_equal(found[2], (0.0, 0.0, 1.0)):
        raise ValueError("write fx 0 cx, 0 fy cy, 0 0 1 in pixels, with focal lengths of a pixel at least")
    return _rows(found)


def _as_rigid(value: Any) -> Rows:
    if isinstance(value, Mapping):
        if set(value) != {"rotation", "translation"}:
            raise ValueError("write both 'rotation' and 'translation' and nothing else, or a 4 x 4 matrix")
        turn, shift = _numbers(value["rotation"], (3, 3), (4,)), _numbers(value["translation"], (3,))
        if turn is None or shift is None:
            raise ValueError("rotation: 3 x 3 numbers, or a quaternion w, x, y, z; translation: x, y, z in metres")
        turn = geometry.rotation_from_quaternion(turn.tolist()) if turn.shape == (4,) else turn
        found = geometry.rigid(turn, shift)
    else:
        rows = _numbers(value, (4, 4), (3, 4))
        if rows is None:
            raise ValueError("write 4 x 4 numbers, or a rotation and a translation")
        found = np.vstack([rows[:3], (0.0, 0.0, 0.0, 1.0)])
        if len(rows) == 4 and not np.array_equal(rows[3], found[3]):
            raise ValueError("the last row of a 4 x 4 transform is 0, 0, 0, 1")
    rotation = found[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise ValueError("its 3 x 3 part is no rotation: are rows and columns mixed up, or is there a scale in it?")
    return _rows(found)


def _as_lens(value: Any) -> tuple[float, ...]:
    if isinstance(value, Mapping):
        if not set(value) <= set(LENS):
            raise ValueError(f"known coefficients: {', '.join(LENS)}; other lens models are not read: undistort first")
        value = [value.get(name, 0.0) for name in LENS]
    found = _numbers(value, (0,), (4,), (5,))
    if found is None:
        raise ValueError("write k1, k2, p1, p2 and, where there is one, k3: OpenCV's order")
    return tuple(float(number) for number in found)


def _as_forward(value: Any) -> tuple[float, ...]:
    found = _numbers(value, (2,))
    length = 0.0 if found is None else float(np.linalg.norm(found))
    if found is None or length < 1e-6:
        raise ValueError("write the two numbers of a direction in the LiDAR's xy-plane: [1, 0] if x points ahead")
    return tuple(float(number) for number in found / length)


def _as_columns(value: Any) -> tuple[str, ...]:
    names = tuple(value) if isinstance(value, list | tuple) else ()
    given = [name for name in names if name != "_"]
    if not all(isinstance(name, str) for name in names) or len(set(given)) < len(given) or not set(AXES) <= set(names):
        raise ValueError("list the columns by name, each once, x, y and z among them, '_' for one not wanted")
    return names


def _as_classes(value: Any) -> Any:
    """A list of names, by the number that stands for each; numbers need not follow one another."""
    return dict(enumerate(value)) if isinstance(value, list) else value


Intrinsics = Annotated[Rows, BeforeValidator(_as_intrinsics)]
Rigid = Annotated[Rows, BeforeValidator(_as_rigid)]
Coefficients = Annotated[tuple[float, ...], BeforeValidator(_as_lens)]
Classes = Annotated[dict[int, Annotated[str, Field(min_length=1)]], BeforeValidator(_as_classes), Field(min_length=1)]


class SensorPart(Settings):
    """The LiDAR."""

    name: str = setting("LiDAR", "what it is called, e.g. OS1-64")
    beams: int = setting(..., "number of beams", ge=1, le=1024)
    forward: Annotated[tuple[float, ...], BeforeValidator(_as_forward)] = setting(
        (1.0, 0.0), "the vehicle's forward direction in the LiDAR's xy-plane"
    )
    height: float | None = setting(None, "above the ground; left out: found in each sweep", unit="m", ge=0, le=20)
    intensity_max: float = setting(..., "the greatest intensity as stored: 1, 255, 65535 …", ge=1e-6, le=1e9)


class BoxesPart(Settings):
    """Labelled boxes."""

    folder: str = setting("boxes", "a .json file for each labelled frame")
    classes: tuple[str, ...] = setting(..., "the names of their classes")


class SemanticPart(Settings):
    """Labels of points."""

    folder: str = setting("semantic", "a .npy or .label file for each labelled frame")
    classes: Classes = setting(..., "their names: a list, or number: name; 'ignore' does not count")


class CameraPart(Settings):
    """One camera."""

    images: str = setting("", "the folder of its pictures; left out: images/NAME")
    width: int | None = setting(None, "of its pictures; left out: as each picture is", unit="px", ge=1, le=32768)
    height: int | None = setting(None, "of its pictures; left out: as each picture is", unit="px", ge=1, le=32768)
    intrinsics: Intrinsics = setting(..., "3 x 3, or fx, fy, cx, cy", unit="px")
    distortion: Coefficients = setting((), "k1, k2, p1, p2, k3 of the pictures as they are stored (OpenCV)")
    lidar_to_camera: Rigid = setting(..., "4 x 4, or rotation and translation", unit="m")


class CalibrationPart(Settings):
    """All of ``calibration.yaml``."""

    sensor: SensorPart = setting(..., "the LiDAR")
    points: str = setting("points", "the folder of the sweeps")
    columns: Annotated[tuple[str, ...], BeforeValidator(_as_columns)] = setting(
        ("x", "y", "z", "intensity"), "the columns of a sweep"
    )
    fields: dict[str, str] = setting({}, "what .pcd and .ply files call a column, where it differs")
    cameras: dict[str, dict[str, Any]] = setting({}, "the cameras, the one that looks ahead first")
    frames: str = setting("frames.jsonl", "times, scenes, poses and camera transforms that change, a line a frame")
    boxes: BoxesPart | None = setting(None, "labelled boxes")
    semantic: SemanticPart | None = setting(None, "labels of points")


class CameraLine(Settings):
    """What is different with a camera in one frame."""

    intrinsics: Intrinsics | None = setting(None, "in place of the usual ones", unit="px")
    distortion: Coefficients | None = setting(None, "in place of the usual one")
    lidar_to_camera: Rigid | None = setting(None, "in place of the usual one", unit="m")


class FrameLine(Settings):
    """One line of ``frames.jsonl``."""

    frame: str = setting(..., "the name of its files without their endings")
    name: str = setting("", "what it is called; left out: as its files")
    scene: str = setting("", "the drive it belongs to; left out: the folder's name")
    timestamp: float = setting(0.0, "of the sweep", unit="s", ge=-1e12, le=1e12)
    pose: Rigid | None = setting(None, "LiDAR to world, as lidar_to_camera is written", unit="m")
    cameras: dict[str, CameraLine | None] = setting({}, "by name; null: it has no picture in this frame")


class BoxPart(Settings):
    """One box of a frame."""

    name: str = setting(..., "its class")
    centre: tuple[float, float, float] = setting(..., "x, y, z", unit="m")
    size: tuple[float, float, float] = setting(..., "length, width, height", unit="m")
    yaw: float = setting(..., "heading about z from x", unit="rad", ge=-1e3, le=1e3)
    track: int = setting(-1, "the same for the same object in all frames of a scene", ge=-1, le=2**62)
    velocity: tuple[float, float] | None = setting(None, "x, y", unit="m/s")
    points: int = setting(-1, "how many points lie in it; -1: not counted", ge=-1, le=2**31)
    difficulty: int = setting(0, "level as labelled; 0: nobody said", ge=0, le=100)


class Calibration(NamedTuple):
    """What ``calibration.yaml`` says, its cameras in their order, and the ``file`` it stands in."""

    file: Path
    part: CalibrationPart
    cameras: dict[str, CameraPart]

    @property
    def sensor(self) -> Sensor:
        """The LiDAR."""
        of = self.part.sensor
        return Sensor(of.name, of.beams, (of.forward[0], of.forward[1]), of.height, of.intensity_max)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are used."""
        return tuple(name for name in self.part.columns if name != "_")

    @property
    def channels(self) -> tuple[str, ...]:
        """The columns that are used besides the coordinates."""
        return tuple(name for name in self.columns if name not in AXES)


def read_calibration(file: Path) -> Calibration:
    """``calibration.yaml``.

    Raises:
        DataError: it is missing or no YAML.
        InputError: a key of it is unknown, missing or wrong; the message names key and file.
    """
    try:
        tree = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or (str(error).splitlines() or [""])[0]
        raise DataError(f"{file}{place} is not YAML: {what}", "write it as 'key: value' lines") from None
    part = validate(CalibrationPart, tree or {}, origin=str(file))
    if part.boxes is not None and len(set(part.boxes.classes)) < max(len(part.boxes.classes), 1):
        raise InputError(f"setting 'boxes.classes' (from {file}) is empty or names a class twice", "name each once")
    cameras = {
        name: validate(CameraPart, values, f"cameras.{name}", str(file)) for name, values in part.cameras.items()
    }
    return Calibration(file, part, cameras)


class Line(NamedTuple):
    """A line of ``frames.jsonl`` as far as all of them are read at once, and its ``text``."""

    number: int
    name: str
    scene: str
    text: str


def read_frames(file: Path) -> dict[str, Line]:
    """The lines of ``frames.jsonl`` by their frame.

    Raises:
        DataError: a line is no JSON object with a ``frame``, or two speak of the same; the message names file and line.
    """
    lines: dict[str, Line] = {}
    for number, text in enumerate(read_text(file).splitlines(), 1):
        if not text.strip():
            continue
        values = _parsed(text, f"{file}, line {number},", '{"frame": "000001", ...}')
        words = [values.get(key, "") if isinstance(values, dict) else None for key in ("frame", "name", "scene")]
        if not all(isinstance(word, str) for word in words) or not words[0]:
            raise DataError(f"{file}, line {number}, names no frame", 'write a line as {"frame": "000001", ...}')
        frame, name, scene = map(str, words)
        if frame in lines:
            raise DataError(f"{file}, line {number}, names frame '{frame}' a second time", "leave one of them out")
        lines[frame] = Line(number, name or frame, scene, text)
    return lines


def parse_line(file: Path, line: Line, cameras: Mapping[str, CameraPart]) -> FrameLine:
    """All of a line of ``frames.jsonl``.

    Raises:
        DataError: a key of it is unknown or wrong, or a camera is; the message names file and line.
    """
    where = f"{file}, line {line.number}"
    found = _valid(FrameLine, json.loads(line.text), "", where)
    for name in found.cameras:
        if name not in cameras:
            raise DataError(f"{where}, names an unknown camera '{name}'", known_names(cameras, name))
    return found


def read_boxes(file: Path) -> list[BoxPart]:
    """A frame's boxes.

    Raises:
        DataError: the file is missing or no JSON list, or a key of a box is unknown, missing or wrong; the message
            names box and file.
    """
    rows = _parsed(read_text(file), str(file), '[{"name": "car", "centre": [x, y, z], ...}, ...]')
    if not isinstance(rows, list):
        raise DataError(f"{file} is no list of boxes", 'write it as [{"name": "car", "centre": [x, y, z], ...}, ...]')
    boxes = [_valid(BoxPart, row, f"boxes.{number}", str(file)) for number, row in enumerate(rows)]
    for number, box in enumerate(boxes):
        if min(box.size) < 0 or not plausible([*box.centre, *box.size, *(box.velocity or ())]):
            raise DataError(f"box {number} in {file} has an absurd place, size or velocity", "metres are meant")
    return boxes


def _valid(kind: type[S], values: Any, section: str, origin: str) -> S:
    """As ``validate``, but what is wrong is the file of one frame, which can be left out."""
    try:
        return validate(kind, values, section, origin)
    except InputError as error:
        raise DataError(error.message, error.hint) from None


def _parsed(text: str, where: str, example: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        what = (str(error).splitlines() or [""])[0]
        raise DataError(f"{where} is no JSON: {what}", f"write it as {example}") from None


def matrix(rows: Rows) -> Doubles:
    """A matrix as settings hold it, as an array."""
    return np.array(rows, dtype=np.float64)


def lens(coefficients: Sequence[float]) -> Lens:
    """The lens of ``coefficients`` in OpenCV's order."""
    return Lens(**dict(zip(LENS, coefficients, strict=False)))
