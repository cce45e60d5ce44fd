"""Waymo's file of boxes: an ``Objects`` message (protos/metrics.proto and label.proto), without protocol buffers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmodal_core.datasets._files import read_bytes
from xmodal_core.datasets._waymo_classes import BOXES
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics import _wire as wire
from xmodal_core.metrics.base import Detections, Truth, labels_as, write_whole

CLASSES = BOXES[1:]
"""In the order of ``Label.Type``, which counts from 1; 0 is unknown."""

# Field numbers.
OBJECTS, RESULTS = 1, 11
OBJECT, SCORE, NO_LABEL_ZONE, CONTEXT, TIMESTAMP = 1, 2, 3, 4, 5
BOX, TYPE, DIFFICULTY, POINTS = 1, 3, 5, 7
X, Y, Z, WIDTH, LENGTH, HEIGHT, HEADING = range(1, 8)
PLACE = (X, Y, Z, LENGTH, WIDTH, HEIGHT, HEADING)
"""The fields of a box in the order of our rows."""


def write_objects(frames: Mapping[str, Detections] | Mapping[str, Truth], out: Path) -> None:
    """Write the boxes of all frames, each named ``context/timestamp``, the timestamp in whole microseconds.

    Raises:
        InputError: a frame's name is no such pair, a class is unknown, or there is no box at all.
        RunError: the file cannot be written.
    """
    content = bytearray()
    for name, boxes in frames.items():
        context, timestamp = _parts(name)
        where = wire.message(CONTEXT, context.encode()) + wire.integer(TIMESTAMP, timestamp)
        for place, rest in zip(_places(boxes), _rest(name, boxes), strict=True):
            content += wire.message(OBJECTS, wire.message(OBJECT, place + rest.label) + rest.beside + where)
    if not content:
        raise InputError(
            f"there is no box to write to {out}", "a file of nothing says nothing: look at the network's output"
        )
    write_whole(out, bytes(content))


class _Rest(NamedTuple):
    """What follows an object's box, encoded: in its label, and beside its label."""

    label: bytes
    beside: bytes


def _parts(name: str) -> tuple[str, int]:
    context, slash, timestamp = name.rpartition("/")
    if not (slash and context and timestamp.isascii() and timestamp.isdecimal() and str(int(timestamp)) == timestamp):
        raise InputError(
            f"frame '{name}' is not named by context and timestamp",
            "name frames context/timestamp, e.g. '10023947602400723454_1120_000_1140_000/1552440195362591'",
        )
    return context, int(timestamp)


def _places(boxes: Detections | Truth) -> list[bytes]:
    rows = np.column_stack([boxes.centre, boxes.size, boxes.yaw])
    pack = struct.Struct("<" + "cd" * len(PLACE)).pack
    keys = [wire.key(number, wire.EIGHT_BYTES) for number in PLACE]
    content = [pack(*(part for pair in zip(keys, row, strict=True) for part in pair)) for row in rows.tolist()]
    return [wire.message(BOX, place) for place in content]


def _rest(name: str, boxes: Detections | Truth) -> list[_Rest]:
    label = labels_as(CLASSES, boxes)
    if (label < 0).any():
        unknown = boxes.classes[boxes.label[label < 0][0]]
        raise InputError(f"frame '{name}' has a box of the unknown class '{unknown}'", f"known: {', '.join(CLASSES)}")
    kinds = [wire.integer(TYPE, number + 1) for number in range(len(CLASSES))]
    if isinstance(boxes, Detections):
        zone = boxes.in_no_label_zone if boxes.in_no_label_zone is not None else np.zeros(len(boxes), dtype=np.bool_)
        return [
            _Rest(kinds[kind], wire.single(SCORE, score) + (wire.integer(NO_LABEL_ZONE, 1) if hidden else b""))
            for kind, score, hidden in zip(label.tolist(), boxes.score.tolist(), zone.tolist(), strict=True)
        ]
    level = boxes.difficulty if boxes.difficulty is not None else np.zeros(len(boxes), dtype=np.int64)
    points = boxes.points if boxes.points is not None else np.full(len(boxes), -1, dtype=np.int64)
    return [
        _Rest(
            kinds[kind]
            + (wire.integer(DIFFICULTY, hard) if hard else b"")
            + (wire.integer(POINTS, count) if count >= 0 else b""),
            b"",
        )
        for kind, hard, count in zip(label.tolist(), level.tolist(), points.tolist(), strict=True)
    ]


def read_objects(path: Path) -> dict[str, Detections]:
    """The predictions of an ``Objects`` file, or of the ``Submission`` around one, by ``context/timestamp``.

    Raises:
        DataError: the file is missing, damaged or something else.
    """
    content = read_bytes(path)
    try:
        objects = [_object(part) for part in _objects(content)]
        if not objects:
            raise ValueError("it holds none")
        return _by_frame(objects)
    except (ValueError, TypeError, struct.error) as error:
        raise DataError(f"{path} is no Waymo file of boxes: {error}", "write it anew") from None


def _objects(content: bytes) -> list[bytes]:
    found = []
    for number, value in wire.fields(content):
        if number == OBJECTS and isinstance(value, bytes):
            found.append(value)
        elif number == RESULTS and isinstance(value, bytes):
            found += _objects(value)
    return found


class _Object(NamedTuple):
    frame: str
    row: list[float]
    kind: int
    score: float
    hidden: bool


def _object(content: bytes) -> _Object:
    beside = dict(wire.fields(content))
    label = dict(wire.fields(_bytes(beside, OBJECT, "label")))
    box = dict(wire.fields(_bytes(label, BOX, "box")))
    context = _bytes(beside, CONTEXT, "context").decode()
    kind, timestamp = label.get(TYPE, 0), beside.get(TIMESTAMP)
    if not isinstance(kind, int) or not 1 <= kind <= len(CLASSES):
        raise ValueError(f"an object of type {kind!r}")
    if not isinstance(timestamp, int):
        raise ValueError("an object without a timestamp")
    row = [float(box.get(number, 0.0)) for number in PLACE]
    score = beside.get(SCORE, 1.0)
    return _Object(f"{context}/{timestamp}", row, kind - 1, float(score), bool(beside.get(NO_LABEL_ZONE, 0)))


def _bytes(message: Mapping[int, wire.Value], number: int, what: str) -> bytes:
    value = message.get(number)
    if not isinstance(value, bytes):
        raise ValueError(f"an object without a {what}")
    return value


def _by_frame(objects: list[_Object]) -> dict[str, Detections]:
    frames: dict[str, list[_Object]] = {}
    for one in objects:
        frames.setdefault(one.frame, []).append(one)
    found = {}
    for name, boxes in frames.items():
        rows = np.array([one.row for one in boxes])
        found[name] = Detections(
            centre=rows[:, :3].copy(),
            size=rows[:, 3:6].copy(),
            yaw=rows[:, 6].copy(),
            label=np.array([one.kind for one in boxes], dtype=np.int64),
            classes=CLASSES,
            score=np.array([one.score for one in boxes]),
            in_no_label_zone=np.array([one.hidden for one in boxes]),
        )
    return found
