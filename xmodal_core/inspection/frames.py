"""Numbers of a sample of frames: points, labels, and what each camera sees of the points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import InputError
from xmodal_core.types import Camera, Frame, Sensor

LEAST_SHARE = 0.005
"""A camera that sees less of a sweep than this share is hardly where its calibration says."""

LEAST_UPRIGHT = 0.5
"""The least cosine between a picture's downward direction and the LiDAR's: cameras on vehicles are not rolled by 60
degrees and more, transforms that are the wrong way round look like that."""


@dataclass
class Spread:
    """The least, the mean and the greatest of some numbers."""

    count: int = 0
    total: float = 0.0
    least: float = np.inf
    most: float = -np.inf

    def add(self, values: Any) -> None:
        """Take an array or a number in."""
        numbers = np.asarray(values, dtype=np.float64)
        if numbers.size:
            self.count += numbers.size
            self.total += float(numbers.sum())
            self.least = min(self.least, float(numbers.min()))
            self.most = max(self.most, float(numbers.max()))

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else float("nan")

    def as_json(self) -> dict[str, float | None]:
        """Its three numbers; None each where nothing was taken in."""
        values = {"mean": self.mean, "least": self.least, "most": self.most}
        return {name: float(f"{value:.6g}") if self.count else None for name, value in values.items()}


@dataclass
class Seen:
    """What a camera sees of the points.

    Args:
        width, height: of its picture in the first frame.
        share: of the points of each frame.
        upright: cosine between down in the picture and down in the LiDAR's frame, in the first frame.
        inverted_share: of the points of the first frame, were its transform the wrong way round.
    """

    width: int
    height: int
    upright: float
    inverted_share: float
    share: Spread = field(default_factory=Spread)

    def complaint(self, name: str) -> str:
        """What is wrong with its calibration, with a hint; empty where nothing seems to be."""
        if self.share.mean >= LEAST_SHARE and self.upright >= LEAST_UPRIGHT:
            return ""
        seen = f"camera {name} sees {self.share.mean:.2%} of the points"
        rolled = f" and is rolled by {np.degrees(np.arccos(np.clip(self.upright, -1, 1))):.0f} deg"
        guess = (
            f"; turned the other way round it would see {self.inverted_share:.1%}: is its transform camera to LiDAR?"
            if self.inverted_share > LEAST_SHARE
            else "; its transform must lead from the LiDAR to the camera (x right, y down, z ahead), in metres"
        )
        return seen + (rolled if self.upright < LEAST_UPRIGHT else "") + guess


@dataclass
class Sample:
    """What was found in the frames that were read.

    Args:
        wanted: numbers of the frames that were to be read.
        read: of those that were.
        damaged: number and error of those that could not be.
        interrupted: it was broken off before the last frame.
        seconds: to read a frame with its pictures.
        points, distance: points of a frame, and their distance from the sensor in metres.
        left_out: returns that are no points of their frames, not finite, or the vehicle itself.
        channels, axes: values of each channel and coordinate.
        cameras: by name.
        boxes, semantic: how many of each class, and in how many frames there are such labels.
    """

    wanted: Sequence[int]
    read: list[int] = field(default_factory=list)
    damaged: list[tuple[int, InputError]] = field(default_factory=list)
    interrupted: bool = False
    seconds: Spread = field(default_factory=Spread)
    points: Spread = field(default_factory=Spread)
    left_out: int = 0
    distance: Spread = field(default_factory=Spread)
    axes: dict[str, Spread] = field(default_factory=lambda: {axis: Spread() for axis in "xyz"})
    channels: dict[str, Spread] = field(default_factory=dict)
    cameras: dict[str, Seen] = field(default_factory=dict)
    boxes: Counter[str] = field(default_factory=Counter)
    boxes_in: int = 0
    semantic: Counter[str] = field(default_factory=Counter)
    semantic_in: int = 0
    poses_in: int = 0

    def complaints(self, sensor: Sensor) -> Iterator[str]:
        """What is wrong with it: damaged files, then calibrations, then intensities beyond what ``sensor`` states."""
        for number, error in self.damaged:
            yield f"frame {number}: {error.message}"
        for name, camera in self.cameras.items():
            if camera.share.count and (words := camera.complaint(name)):
                yield words
        intensity = self.channels.get("intensity", Spread())
        if intensity.count and intensity.most > sensor.intensity_max:
            yield (
                f"intensity reaches {intensity.most:g}, the data set states {sensor.intensity_max:g} as its greatest: "
                "networks would see it scaled wrongly"
            )

    def as_json(self) -> dict[str, Any]:
        """All of it as values that JSON can hold."""
        return {
            "frames_read": len(self.read),
            "left_out": self.left_out,
            "damaged": [{"frame": number, "error": error.message} for number, error in self.damaged],
            "seconds_a_frame": self.seconds.as_json(),
            "points": self.points.as_json(),
            "distance": self.distance.as_json(),
            "axes": _as_json(self.axes),
            "channels": _as_json(self.channels),
            "cameras": {
                name: {"width": camera.width, "height": camera.height, "share_of_points": camera.share.as_json()}
                for name, camera in self.cameras.items()
            },
            "frames_with_pose": self.poses_in,
            "frames_with_boxes": self.boxes_in,
            "boxes": dict(self.boxes.most_common()),
            "frames_with_semantic": self.semantic_in,
            "semantic": dict(self.semantic.most_common()),
        }


def _as_json(spreads: Mapping[str, Spread]) -> dict[str, Any]:
    return {name: spread.as_json() for name, spread in spreads.items()}


def sample(
    dataset: Dataset,
    numbers: Sequence[int],
    *,
    pictures: bool,
    skip_bad: bool,
    on_frame: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> Sample:
    """Read frames ``numbers`` and count what is in them.

    Args:
        dataset: opened.
        numbers: which frames.
        pictures: decode all their pictures too.
        skip_bad: go on past a damaged frame; else it is the last one. Either way it is in ``damaged``.
        on_frame: told how many are done.
        stop: asked before each frame.
    """
    found = Sample(numbers)
    for done, number in enumerate(numbers):
        on_frame(done)
        if stop():
            found.interrupted = True
            break
        begun = perf_counter()
        error = _broken(dataset, number, found, pictures)
        found.seconds.add(perf_counter() - begun)
        if error is not None:
            found.damaged.append((number, error))
            if not skip_bad:
                break
    on_frame(len(found.read) + len(found.damaged))
    return found


def _broken(dataset: Dataset, number: int, found: Sample, pictures: bool) -> InputError | None:
    """Take frame ``number`` in; or why it cannot be."""
    try:
        frame = dataset.frame(number)
        if pictures:
            for camera in frame.cameras:
                camera.image()
    except InputError as error:
        return error
    _take(frame, found)
    found.read.append(number)
    return None


def _take(frame: Frame, found: Sample) -> None:
    found.points.add(len(frame))
    found.left_out += frame.left_out
    found.distance.add(np.linalg.norm(frame.points, axis=1))
    for axis, values in zip("xyz", frame.points.T, strict=True):
        found.axes[axis].add(values)
    for name, values in frame.channels.items():
        found.channels.setdefault(name, Spread()).add(values)
    for camera in frame.cameras:
        if camera.name not in found.cameras:
            found.cameras[camera.name] = _first_look(frame, camera)
    if len(frame):
        seen = geometry.pixels(frame.cameras, frame.points, frame.pixels).camera
        for camera, count in zip(frame.cameras, np.bincount(seen, minlength=len(frame.cameras)), strict=True):
            found.cameras[camera.name].share.add(count / len(frame))
    found.poses_in += frame.pose is not None
    if frame.boxes is not None:
        found.boxes_in += 1
        found.boxes.update(frame.boxes.classes[label] for label in frame.boxes.label.tolist())
    if frame.semantic is not None:
        found.semantic_in += 1
        counts = np.bincount(frame.semantic.label, minlength=len(frame.semantic.classes))
        found.semantic.update({name: int(n) for name, n in zip(frame.semantic.classes, counts, strict=True) if n})


def _first_look(frame: Frame, camera: Camera) -> Seen:
    inverted = Camera(
        camera.name,
        camera.width,
        camera.height,
        camera.intrinsics,
        geometry.invert(camera.lidar_to_camera),
        camera.read,
        camera.lens,
    )
    share = float(inverted.project(frame.points).inside.mean()) if len(frame) else 0.0
    # Row 1 of the rotation is the picture's downward direction in the LiDAR's axes.
    return Seen(camera.width, camera.height, -float(camera.lidar_to_camera[1, 2]), share)
