"""What a format to convert to has to give: the files of a frame, and at the end what all frames share."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from xmodal_core.datasets._files import picture_file
from xmodal_core.types import Camera, Frame, Image, Sensor

Row = dict[str, Any]
"""What is noted of a frame, as JSON can hold it. ``notes`` of it are sentences about what the format cannot hold."""


class Place(NamedTuple):
    """Where a frame comes from: its ``number`` in the data set, the number of its ``scene``."""

    number: int
    scene: int


class Source(NamedTuple):
    """The data set: its ``name`` and ``split``, its ``sensor``, ``scenes`` by number."""

    name: str
    split: str
    sensor: Sensor
    scenes: Sequence[str]


class Target(ABC):
    """A format. Frames are written in any order and in several sittings, so all it knows of the others is ``state``."""

    name: ClassVar[str]

    def __init__(self, source: Source) -> None:
        self.source = source

    @abstractmethod
    def begin(self, first: Frame) -> Row:
        """What holds for all frames, told by the first one."""

    @abstractmethod
    def write(self, folder: Path, place: Place, frame: Frame, state: Mapping[str, Any]) -> Row:
        """Write a frame's files into ``folder``; what has to be known of it at the end."""

    @abstractmethod
    def finish(self, folder: Path, rows: Sequence[Row], state: Mapping[str, Any]) -> None:
        """Write what all frames share, from their notes in the order of their numbers; may add to their ``notes``."""


def put(file: Path, content: bytes) -> None:
    """Write a file, its folder made where it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def original(camera: Camera, suffixes: Sequence[str]) -> tuple[bytes, str] | None:
    """The bytes of the picture's own file and its ending, where it is a whole picture and has one of ``suffixes``.

    Raises:
        DataError: it is damaged, or of another size.
    """
    file = picture_file(camera)
    if file is None or file.suffix.lower() not in suffixes:
        return None
    camera.image()  # a damaged picture is not handed on
    return file.read_bytes(), file.suffix.lower()


def encoded(pixels: Image, form: str) -> bytes:
    """A picture as the bytes of a file: PNG, or JPEG of the quality at which nothing is seen of it."""
    from PIL import Image as Pictures

    stream = io.BytesIO()
    options = {"quality": 95, "subsampling": 0} if form == "JPEG" else {"compress_level": 3}
    Pictures.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def listed(matrix: Any) -> list[Any]:
    """An array as nested lists of floats."""
    return np.asarray(matrix, dtype=np.float64).tolist()  # type: ignore[no-any-return]
