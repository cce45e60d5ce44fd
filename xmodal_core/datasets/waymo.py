"""Waymo Open Dataset, Perception version 2 (parquet), read with pyarrow alone.

Points are in the vehicle's frame (x forward, y left, z up, the ground near z = 0) at the frame's own time, with tanh of
the intensity, both as OpenPCDet feeds them. Formats: waymo-open-dataset, v2/perception; conventions of projection:
wdl_limited/camera/camera_model.cc.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.datasets._files import plausible_rows
from xmodal_core.datasets._waymo_cameras import HALF
from xmodal_core.datasets._waymo_classes import BOXES, CAMERAS, LIDARS, SEGMENTATION
from xmodal_core.datasets._waymo_example import example
from xmodal_core.datasets._waymo_segment import COMPONENTS, Segment, Sweep
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.types import Bools, Boxes, Camera, Doubles, Floats, Frame, Ints, Pixels, Semantic, Sensor

__all__ = ["Waymo", "WaymoConfig", "example"]

OFFICIAL = ("training", "validation", "testing")
SHORT = {"train": "training", "val": "validation", "test": "testing"}
BORDER = 1.0
"""Pixels within which of a picture's edge nothing counts as seen, as in ``Camera.project``."""
NEAREST = 1.0
"""Metres along the optical axis from which on points are seen, as there."""
WITHOUT = {
    "lidar_camera_projection": "not there, so the cameras' models say where points are seen, not exact to the column",
    "lidar_box": "not there, so frames have no boxes",
    "lidar_segmentation": "not there, so points have no classes",
}
"""What is done without components that may be absent."""
SEGMENTS_OPEN = 2
"""Segments whose files are kept open: a frame's and the one before."""


class WaymoConfig(Settings):
    """Options of ``waymo``."""

    split: str = setting(
        "auto", "A folder of the root: training, validation, testing …, or 'auto': the first of these that is there"
    )
    lidars: tuple[str, ...] = setting(LIDARS, "Which LiDARs: TOP and the four around the vehicle that see 20 m far")
    returns: tuple[int, ...] = setting((1, 2), "Which returns of each pulse: 1, 2 or both")
    cameras: tuple[str, ...] = setting(CAMERAS, "Which cameras, in which order; none: camera_image is not needed")
    exact_pixels: bool = setting(
        True, "Take pixels of points from lidar_camera_projection, exact for the rolling shutter; else from the models"
    )
    segmented: bool = setting(False, "Only frames whose points have classes, about every fifth")
    skip_missing: bool = setting(
        False, "Leave out segments of which a file is absent, or lidar cut short (a partial download)"
    )


class Waymo(Dataset):
    """Frames of Waymo's segments.

    Points are those of the chosen LiDARs, in their order, of each the first return before the second; row by row of
    the range image. The returns of TOP are moved by the pose of each pixel to where the vehicle stood at the frame's
    time. Points that are no places, or whose values are no numbers, are dropped with all that is theirs.

    Channels: ``intensity`` is tanh of what is stored, which has no bound; ``elongation`` of the pulse, as stored;
    ``ring`` (0 lowest) and ``column`` of the LiDAR's range image, which with ``lidar`` (1 TOP, 2 FRONT, 3 SIDE_LEFT,
    4 SIDE_RIGHT, 5 REAR) and ``return`` (1, 2) tell each point's pixel in it; ``no_label_zone`` is 1 where nobody
    labelled. ``range_image`` gives the image itself.

    ``Frame.pixels`` are those of ``lidar_camera_projection``, which knows the rolling shutter; where it was not
    fetched, the cameras' models, at the moment when the middle of the picture was exposed, say where points fall.
    Boxes keep their stated difficulty and number of points. Classes of points exist for TOP alone and only in some
    frames: other points of these have class 0.
    """

    Config: ClassVar[type[Settings]] = WaymoConfig
    layout: ClassVar[tuple[str, ...]] = (
        "*/lidar/*.parquet                   sweeps: range images, in training/, validation/ or testing/",
        "*/lidar_calibration/*.parquet       where the LiDARs sit and how their beams point",
        "*/lidar_pose/*.parquet              pose of each pixel of TOP",
        "*/vehicle_pose/*.parquet            poses of the vehicle",
        "*/camera_image/*.parquet            pictures",
        "*/camera_calibration/*.parquet      where the cameras sit, and their lenses",
        "*/lidar_camera_projection/*.parquet exact pixels of points, optional",
        "*/lidar_box/*.parquet               boxes, optional",
        "*/lidar_segmentation/*.parquet      classes of points, optional",
    )
    channels: ClassVar[tuple[str, ...]] = (
        "intensity",
        "elongation",
        "ring",
        "column",
        "lidar",
        "return",
        "no_label_zone",
    )
    sensor: ClassVar[Sensor] = Sensor("Waymo, 64 beams", beams=64, forward=(1.0, 0.0), height=0.0, intensity_max=1.0)

    def __init__(self, root: Path, config: WaymoConfig) -> None:
        self._lidars = _numbers("LiDAR", config.lidars, LIDARS)
        self._cameras = _numbers("camera", config.cameras, CAMERAS)
        if not config.lidars or not config.returns or not set(config.returns) <= {1, 2}:
            raise InputError("there is nothing to read", "lidars must name one or more, returns be [1], [2] or [1, 2]")
        root, splits = find_splits(root.expanduser(), self.expected())
        super().__init__(root, config)
        self._options = config
        self._folder = root / _choose_split(config.split, splits, root)
        self._open: OrderedDict[str, Segment] = OrderedDict()
        contexts, self._left_out = self._segments()
        times = {context: of for context in contexts if len(of := self._times_of(context))}
        self._contexts = list(times)
        self._segment_of = np.repeat(np.arange(len(times)), [len(of) for of in times.values()])
        self._times: Ints = np.concatenate([np.zeros(0, dtype=np.int64), *times.values()])
        if not len(self._times):
            raise DataError(f"{self._folder} has no frame to read", "choose another split, or set segmented to false")

    def __getstate__(self) -> dict[str, Any]:
        """Segments are opened anew where it travels to."""
        return {**self.__dict__, "_open": OrderedDict()}

    def __len__(self) -> int:
        return len(self._times)

    def name(self, index: int) -> str:
        """The segment and the frame's time in microseconds, as the benchmark names frames."""
        return f"{self.scene(index)}/{self._times[index]}"

    def scene(self, index: int) -> str:
        """The segment's name, ``context_name`` in the files."""
        return self._contexts[int(self._segment_of[index])]

    def splits(self) -> tuple[str, ...]:
        """The folders of the root that hold range images."""
        return tuple(find_splits(self.root, "")[1])

    def label_classes(self) -> dict[str, list[str]]:
        """See ``Dataset``; told by the files there are, since not every frame has classes of points."""
        there = {"boxes": ("lidar_box", BOXES), "semantic": ("lidar_segmentation", SEGMENTATION)}
        return {kind: list(names) for kind, (of, names) in there.items() if self._has(of)}

    def range_image(self, index: int, lidar: str = "TOP", echo: int = 1) -> Floats | None:
        """The native range image of frame ``index``, (height, width, 4) as stored: range in metres (none: not above
        zero), intensity, elongation, no-label zone (1, else -1); None where the LiDAR has no such return.

        Raises:
            InputError: ``lidar`` is unknown.
            DataError: its file is missing or damaged.
        """
        (number,) = _numbers("LiDAR", (lidar,), LIDARS)
        return self._segment(self.scene(index)).range_image(int(self._times[index]), number, echo)

    def _boxes_alone(self, index: int) -> Boxes | None:
        """See ``Dataset``; of the boxes' own file."""
        segment, time = self._segment(self.scene(index)), int(self._times[index])
        return segment.boxes(time, segment.vehicle_pose(time))

    def notes(self) -> tuple[str, ...]:
        """Components that were not fetched, and how many segments are left out because they are not whole."""
        absent = [f"{self._folder.name}/{name}: {words}" for name, words in WITHOUT.items() if not self._has(name)]
        known = {
            file.stem for name in ("camera_image", "lidar_box") for file in (self._folder / name).glob("*.parquet")
        }
        count = len(known.union(self._left_out).difference(self._contexts))
        return (
            (*absent, f"segments left out, of which files are missing or cut short: {count}") if count else (*absent,)
        )

    def _has(self, component: str) -> bool:
        return (self._folder / component).is_dir()

    def _segments(self) -> tuple[list[str], list[str]]:
        """The segments to read, and those left out because a file of them is missing."""
        contexts = sorted(file.stem for file in (self._folder / "lidar").glob("*.parquet"))
        if not self._options.skip_missing:
            return contexts, []
        there = [self._folder / name for name in COMPONENTS if self._has(name)]
        whole = [name for name in contexts if all((of / f"{name}.parquet").is_file() for of in there)]
        return whole, sorted(set(contexts).difference(whole))

    def _times_of(self, context: str) -> Ints:
        """The frames of a segment, microseconds; none where it is damaged and may be left out."""
        segment = Segment(self._folder, context)
        try:
            return segment.labelled_times() if self._options.segmented else segment.times()
        except DataError:
            if not self._options.skip_missing:
                raise
            self._left_out.append(context)
            return np.zeros(0, dtype=np.int64)

    def _segment(self, context: str) -> Segment:
        segment = self._open.pop(context, None) or Segment(self._folder, context)
        self._open[context] = segment
        while len(self._open) > SEGMENTS_OPEN:
            self._open.popitem(last=False)
        return segment

    def _read(self, index: int) -> Frame:
        segment, time = self._segment(self.scene(index)), int(self._times[index])
        pose = segment.vehicle_pose(time)
        cameras = [segment.camera(time, number, pose) for number in self._cameras]
        numbers = [number for number, camera in zip(self._cameras, cameras, strict=True) if camera is not None]
        views = tuple(camera for camera in cameras if camera is not None)
        cloud = _Cloud(
            [
                (lidar, echo, sweep)
                for lidar in self._lidars
                for echo in self._options.returns
                if (sweep := segment.sweep(time, lidar, echo)) is not None
            ]
        )
        return Frame(
            name=self.name(index),
            scene=segment.context,
            timestamp=time * 1e-6,
            points=cloud.points,
            channels=cloud.channels(),
            sensor=self.sensor,
            cameras=views,
            pose=pose,
            boxes=segment.boxes(time, pose),
            semantic=cloud.semantic(),
            pixels=cloud.pixels(views, numbers) if self._options.exact_pixels else None,
        )


class _Cloud:
    """The points of a frame, sweep after sweep, and what the files say of each; those that are no places left out.

    Args:
        sweeps: with the number of the LiDAR and of the return of each.
    """

    def __init__(self, sweeps: Sequence[tuple[int, int, Sweep]]) -> None:
        self._sweeps = sweeps
        points = np.concatenate([np.zeros((0, 3)), *(sweep.points for _, _, sweep in sweeps)])
        values = np.concatenate([np.zeros((0, 4)), *(sweep.values[:, :4] for _, _, sweep in sweeps)])
        with np.errstate(over="ignore"):  # what is beyond float32 is no place either
            self._kept: Bools = plausible_rows(np.concatenate([points, values], axis=1).astype(np.float32))
        self.points: Floats = points[self._kept].astype(np.float32)
        self._values = values[self._kept]

    def _each(self, of_sweep: list[Ints]) -> Ints:
        """Something of each sweep's points, of the points that are kept."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *of_sweep])[self._kept]

    def channels(self) -> dict[str, Floats]:
        """See ``Waymo``."""
        sweeps = self._sweeps
        found = {
            "intensity": np.tanh(self._values[:, 1]),
            "elongation": self._values[:, 2],
            "ring": self._each([sweep.height - 1 - sweep.row for _, _, sweep in sweeps]),
            "column": self._each([sweep.column for _, _, sweep in sweeps]),
            "lidar": self._each([np.full(len(sweep.row), lidar) for lidar, _, sweep in sweeps]),
            "return": self._each([np.full(len(sweep.row), echo) for _, echo, sweep in sweeps]),
            "no_label_zone": self._values[:, 3] > 0,
        }
        return {name: np.asarray(values, dtype=np.float32) for name, values in found.items()}

    def semantic(self) -> Semantic | None:
        """Classes of all points where TOP's have any."""
        if all(sweep.label is None for _, _, sweep in self._sweeps):
            return None
        labels = [
            np.zeros(len(sweep.row), np.int64) if sweep.label is None else sweep.label for *_, sweep in self._sweeps
        ]
        return Semantic(self._each(labels), SEGMENTATION)

    def pixels(self, cameras: Sequence[Camera], numbers: Sequence[int]) -> Pixels | None:
        """What the files say of where points are seen; None unless they say it of every sweep.

        Args:
            cameras: of the frame.
            numbers: their numbers in the files.
        """
        if any(sweep.seen is None for _, _, sweep in self._sweeps):
            return None
        place = np.full(len(CAMERAS) + 1, -1, dtype=np.int64)
        place[list(numbers)] = np.arange(len(numbers))
        seen = [_centred(sweep.seen) for _, _, sweep in self._sweeps if sweep.seen is not None]
        rows = np.concatenate([np.zeros((0, 6)), *seen])[self._kept]
        point = np.repeat(np.arange(len(rows)), 2)
        number, u, v = rows.reshape(-1, 3).T
        known = np.isin(number, list(numbers))
        camera = place[np.where(known, number, 0).astype(np.int64)]
        known &= _well_inside(self.points[point], camera, u, v, cameras)
        order = np.lexsort((camera[known], point[known]))
        point, camera = point[known][order], camera[known][order]
        again = np.zeros(len(point), dtype=np.bool_)
        again[1:] = (np.diff(point) == 0) & (np.diff(camera) == 0)
        u, v = (side[known][order][~again].astype(np.float32) for side in (u, v))
        return Pixels(point[~again], camera[~again], u, v)


def _centred(seen: Floats) -> Doubles:
    """(n,6) camera, x, y twice, the first pixel's centre at 0.

    The files count from the picture's edge: 3.7 lies in pixel 3, whose centre is 3.5 there and 3 here. Where they hold
    whole pixels, the place within was cut off, and the middle of the pixel is the best that can be said.
    """
    values = seen[:, :6].astype(np.float64)
    places = values[:, [1, 2, 4, 5]]
    if not np.array_equal(places, np.floor(places), equal_nan=True):
        values[:, [1, 2, 4, 5]] -= HALF
    return values


def _well_inside(points: Floats, camera: Ints, u: Doubles, v: Doubles, cameras: Sequence[Camera]) -> Bools:
    """(R,) bool: before the camera and within its picture, as ``Camera.project`` has it; ``camera`` -1: no."""
    inside = np.zeros(len(camera), dtype=np.bool_)
    for place, view in enumerate(cameras):
        mine = camera == place
        depth = points[mine] @ view.lidar_to_camera[2, :3] + view.lidar_to_camera[2, 3]
        across = (u[mine] > BORDER) & (u[mine] < view.width - BORDER)
        inside[mine] = (depth > NEAREST) & across & (v[mine] > BORDER) & (v[mine] < view.height - BORDER)
    return inside


def find_splits(root: Path, hint: str) -> tuple[Path, list[str]]:
    """The folder of all splits and those that are there, the official ones first; ``root`` may also be a split itself.

    Raises:
        DataError: there are none; ``hint`` tells the layout.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint)
    if (root / "lidar").is_dir():
        return root.resolve().parent, [root.resolve().name]
    found = {folder.name for folder in root.iterdir() if (folder / "lidar").is_dir()}
    if not found:
        raise DataError(f"{root} holds no range images", hint)
    return root, [*(name for name in OFFICIAL if name in found), *sorted(found.difference(OFFICIAL))]


def _choose_split(split: str, there: Sequence[str], root: Path) -> str:
    wanted = there[0] if split == "auto" else split
    if wanted not in there:
        wanted = SHORT.get(wanted, wanted)
    if wanted not in there:
        raise InputError(f"unknown split '{split}' of {root}", known_names(there, split))
    return wanted


def _numbers(kind: str, chosen: Sequence[str], names: Sequence[str]) -> list[int]:
    """The numbers, from 1 on, of the ``chosen`` LiDARs or cameras."""
    for name in chosen:
        if name not in names:
            raise InputError(f"unknown {kind} '{name}'", known_names(names, name))
    if len(set(chosen)) < len(chosen):
        raise InputError(f"a {kind} is chosen twice: {', '.join(chosen)}", "name each once")
    return [names.index(name) + 1 for name in chosen]
