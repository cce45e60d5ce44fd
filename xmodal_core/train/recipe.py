"""What the files of a memory depend on: nothing that changed may be mistaken for what it was."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xmodal_core.config import Settings
from xmodal_core.datasets._files import picture_source
from xmodal_core.images import Teacher
from xmodal_core.types import Camera, Frame

CODE = (
    "xmodal_core.compiled",
    "xmodal_core.units",
    "xmodal_core.images",
    "xmodal_core.geometry",
    "xmodal_core.geometry_sampling",
    "xmodal_core.pictures",
    "xmodal_core.datasets._files",
    "xmodal_core.train.batch",
    "xmodal_core.train.remember",
)
"""Modules, and packages with all modules that lie directly in them, whose text is part of every recipe."""
LIBRARIES = ("torch", "timm", "numpy", "scipy", "numba", "pillow")


@dataclass(frozen=True)
class Recipe:
    """All that the files of a memory depend on beside the frames.

    Args:
        teacher: its name.
        settings: the teacher's.
        weights: a checksum of its parameters and buffers.
        units: the settings of discovery.
        variants: how many sets of units a frame has.
        half: whether features are kept in half precision.
        device: cpu or cuda: they round differently.
        precision: of the teacher's computation.
        code: a checksum of the code involved.
        versions: those of the libraries involved.
    """

    teacher: str
    settings: Mapping[str, Any]
    weights: str
    units: Mapping[str, Any]
    variants: int
    half: bool
    device: str
    precision: str
    code: str
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the folder of its files."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def make_recipe(
    name: str, teacher: Teacher, units: Settings, variants: int, *, half: bool, device: str, precision: str
) -> Recipe:
    """The recipe of what ``teacher`` sees of units found by the settings ``units``; see ``Recipe``."""
    return Recipe(
        teacher=name,
        settings=teacher.config.model_dump(mode="json"),
        weights=_checksum_of(teacher),
        units=units.model_dump(mode="json"),
        variants=variants,
        half=half,
        device=device,
        precision=precision,
        code=_checksum_of_code((*CODE, type(teacher).__module__)),
        versions={"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}},
    )


def _checksum_of(teacher: Teacher) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in (*teacher.named_parameters(), *teacher.named_buffers()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@cache
def _checksum_of_code(modules: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted({file for module in modules for file in _sources(module)}):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _sources(module: str) -> Iterator[Path]:
    loaded = import_module(module)
    if hasattr(loaded, "__path__"):
        yield from (file for place in loaded.__path__ for file in Path(place).glob("*.py"))
    elif loaded.__file__ is not None:
        yield Path(loaded.__file__)


def entry_of(frame: Frame) -> str | None:
    """The name under which ``frame`` is kept; None where a picture's file is unknown or not there."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((frame.name, frame.sensor, frame.points.shape)).encode())
    digest.update(np.ascontiguousarray(frame.points).data)
    for camera in frame.cameras:
        stamp = _stamp(camera)
        if stamp is None:
            return None
        known = (camera.name, camera.width, camera.height, camera.lens, stamp)
        digest.update(repr(known).encode() + camera.intrinsics.tobytes() + camera.lidar_to_camera.tobytes())
    if frame.pixels is not None:
        for values in (frame.pixels.point, frame.pixels.camera, frame.pixels.u, frame.pixels.v):
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _stamp(camera: Camera) -> tuple[str, int, int] | None:
    """Name, size and time of the file that the picture is in."""
    file = picture_source(camera)
    try:
        found = None if file is None else file.stat()
    except OSError:
        return None
    return None if file is None or found is None else (file.name, found.st_size, found.st_mtime_ns)
