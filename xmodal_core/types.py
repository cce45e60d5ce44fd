"""The vocabulary: the frozen dataclasses that pass between the rooms. NumPy only.

Every shape is checked once, on construction, so that the code behind can rely on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Image = NDArray[np.uint8]


def _check(name: str, array: object, shape: tuple[int | None, ...], dtype: type[np.generic]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, not {found}")
    if len(array.shape) != len(shape) or any(w is not None and w != g for w, g in zip(shape, array.shape, strict=True)):
        wanted = tuple("any" if w is None else w for w in shape)
        raise ValueError(f"{name} must have shape {wanted}, not {array.shape}")


def _check_below(name: str, index: Ints, count: int) -> None:
    if len(index) and not 0 <= index.min() <= index.max() < count:
        raise ValueError(f"{name} must lie in 0..{count - 1}")


class Projection(NamedTuple):
    """Points as a camera sees them: ``uv`` (N,2) float32 pixels (pixel centres at whole numbers), ``depth`` (N,)
    float32 metres along the optical axis, ``inside`` (N,) bool: in front of the camera and within the image."""

    uv: Floats
    depth: Floats
    inside: Bools


@dataclass(frozen=True)
class Lens:
    """A lens's distortion in OpenCV's terms: radial ``k1, k2, k3`` and tangential ``p1, p2`` (all zero: pinhole)."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    @property
    def is_pinhole(self) -> bool:
        return not any((self.k1, self.k2, self.p1, self.p2, self.k3))


@dataclass(frozen=True)
class Camera:
    """One camera at the moment its picture was taken.

    Args:
        name: the data set's name of it, e.g. ``CAM_FRONT``.
        width, height: image size in pixels.
        intrinsics: (3,3) float64, pixels.
        lidar_to_camera: (4,4) float64, metres, from the frame's LiDAR coordinates to this camera's (x right, y down,
            z along the optical axis) *at this camera's own time*: the vehicle's motion between the two is inside it.
        read: loads the picture as (height, width, 3) uint8 RGB; raises DataError where the file is missing or damaged.
        lens: distortion of the picture as it is stored.
    """

    name: str
    width: int
    height: int
    intrinsics: Doubles
    lidar_to_camera: Doubles
    read: Callable[[], Image]
    lens: Lens = Lens()

    def __post_init__(self) -> None:
        _check("intrinsics", self.intrinsics, (3, 3), np.float64)
        _check("lidar_to_camera", self.lidar_to_camera, (4, 4), np.float64)

    def image(self) -> Image:
        """The picture, (height, width, 3) uint8 RGB, read now; nothing is kept."""
        return self.read()

    def project(self, points: Floats, *, min_depth: float = 1.0, border: float = 1.0) -> Projection:
        """Where ``points`` (N,3) of the LiDAR frame fall in the picture.

        ``inside`` asks for a depth above ``min_depth`` metres and ``border`` pixels of distance to the image's edge
        (the convention of nuscenes-devkit's ``map_pointcloud_to_image``).
        """
        from xmodal_core import geometry

        return geometry.project(self, points, min_depth=min_depth, border=border)


@dataclass(frozen=True)
class Boxes:
    """Labelled boxes in the frame's LiDAR coordinates.

    Args:
        centre: (B,3) float32, metres, geometric centres.
        size: (B,3) float32, metres: length (along the heading), width, height.
        yaw: (B,) float32, radians about +z from +x.
        label: (B,) int64, index into ``classes``.
        classes: the data set's class names.
        track: (B,) int64, the same number for the same object in all frames of a scene; -1 unknown.
        velocity: (B,2) float32, metres a second in LiDAR axes; NaN unknown.
        points: (B,) int64, how many points lie in the box by the data set's own count, -1 unknown; None: all unknown.
        difficulty: (B,) int64, the level as labelled, 0 where nobody said (Waymo: 2 is the hard one; KITTI: 1 to 3);
            None: nobody said anywhere.
    """

    centre: Floats
    size: Floats
    yaw: Floats
    label: Ints
    classes: tuple[str, ...]
    track: Ints
    velocity: Floats
    points: Ints | None = None
    difficulty: Ints | None = None

    def __post_init__(self) -> None:
        n = len(self.centre)
        _check("centre", self.centre, (n, 3), np.float32)
        _check("size", self.size, (n, 3), np.float32)
        _check("yaw", self.yaw, (n,), np.float32)
        _check("label", self.label, (n,), np.int64)
        _check("track", self.track, (n,), np.int64)
        _check("velocity", self.velocity, (n, 2), np.float32)
        for name, values in (("points", self.points), ("difficulty", self.difficulty)):
            if values is not None:
                _check(name, values, (n,), np.int64)

    def __len__(self) -> int:
        return len(self.centre)


@dataclass(frozen=True)
class Semantic:
    """A class for each point: ``label`` (N,) int64 into ``classes``; class 0 is "ignore".

    ``instance`` (N,) int64, where the data set tells objects apart: the same number for all points of one object, in
    all frames of a scene; -1 for points of none. None: it does not.
    """

    label: Ints
    classes: tuple[str, ...]
    instance: Ints | None = None

    def __post_init__(self) -> None:
        _check("label", self.label, (None,), np.int64)
        if self.instance is not None:
            _check("instance", self.instance, self.label.shape, np.int64)


@dataclass(frozen=True)
class Sensor:
    """What a data set states of its LiDAR.

    Args:
        name: e.g. ``HDL-32E``.
        beams: number of beams.
        forward: unit vector of the vehicle's forward direction in the LiDAR's xy-plane.
        height: metres above the ground where the data set states it; None: estimated from each sweep.
        intensity_max: the largest value of the ``intensity`` channel as stored (255 nuScenes, 1 KITTI).
    """

    name: str
    beams: int
    forward: tuple[float, float]
    height: float | None
    intensity_max: float


@dataclass(frozen=True)
class Frame:
    """One LiDAR sweep with its cameras, all in the LiDAR's own coordinates, so that weights trained on it fit what
    other frameworks feed.

    Args:
        name: unique within the data set and stable, e.g. a sample token or ``drive/0000000004``.
        scene: the drive or scene it belongs to.
        timestamp: seconds.
        points: (N,3) float32 metres; finite.
        channels: further values per point by name, each (N,) float32: ``intensity`` (as stored), ``ring`` (0 lowest),
            ``time_lag`` (seconds before this sweep; 0 for the sweep itself).
        sensor: what is known of the LiDAR.
        cameras: in the data set's order; may be empty.
        pose: (4,4) float64 LiDAR to world, where known.
        boxes, semantic: labels, where the data has them.
        pixels: which point is seen where, where the data set says so itself, e.g. because a camera's rolling shutter
            makes ``Camera.project`` an approximation; None: the cameras' models say it.
        stored: (M,) bool, which returns of the sweep's file are among the points, in their order, where some are left
            out: not finite, absurd, or the vehicle itself where sweeps are laid over one another; None: all are.
            (Points of earlier sweeps follow.)
    """

    name: str
    scene: str
    timestamp: float
    points: Floats
    channels: Mapping[str, Floats]
    sensor: Sensor
    cameras: tuple[Camera, ...] = ()
    pose: Doubles | None = None
    boxes: Boxes | None = None
    semantic: Semantic | None = None
    pixels: Pixels | None = None
    stored: Bools | None = None

    def __post_init__(self) -> None:
        n = len(self.points)
        _check("points", self.points, (n, 3), np.float32)
        for name, values in self.channels.items():
            _check(f"channel {name}", values, (n,), np.float32)
        if self.pose is not None:
            _check("pose", self.pose, (4, 4), np.float64)
        if self.semantic is not None:
            _check("semantic.label", self.semantic.label, (n,), np.int64)
        if self.pixels is not None:
            _check_below("pixels.point", self.pixels.point, n)
            _check_below("pixels.camera", self.pixels.camera, len(self.cameras))
        if self.stored is not None:
            _check("stored", self.stored, (None,), np.bool_)
            if np.count_nonzero(self.stored) > n:
                raise ValueError(f"stored marks {np.count_nonzero(self.stored)} returns, of {n} points")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def left_out(self) -> int:
        """How many returns of the sweep's file are not among the points."""
        return 0 if self.stored is None else int(np.count_nonzero(~self.stored))


@dataclass(frozen=True)
class Pixels:
    """Which point is seen where: row r says that ``point[r]`` is seen by camera number ``camera[r]`` at
    (``u[r]``, ``v[r]``), float32 pixels of the stored picture. A point seen by two cameras has two rows. Rows are
    sorted by point, then camera.

    Args:
        point, camera: (R,) int64.
        u, v: (R,) float32.
    """

    point: Ints
    camera: Ints
    u: Floats
    v: Floats

    def __post_init__(self) -> None:
        n = len(self.point)
        _check("point", self.point, (n,), np.int64)
        _check("camera", self.camera, (n,), np.int64)
        _check("u", self.u, (n,), np.float32)
        _check("v", self.v, (n,), np.float32)

    def __len__(self) -> int:
        return len(self.point)


@dataclass(frozen=True)
class Pooling:
    """A sparse matrix as triplets: row ``row[k]``, column ``column[k]``, ``weight[k]``; the weights of a row sum to 1.

    Sorted by row, then column, no pair twice.

    Args:
        row, column: (K,) int64.
        weight: (K,) float32, positive.
        shape: (rows, columns).
    """

    row: Ints
    column: Ints
    weight: Floats
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        n = len(self.row)
        _check("row", self.row, (n,), np.int64)
        _check("column", self.column, (n,), np.int64)
        _check("weight", self.weight, (n,), np.float32)


Reason = Literal["kept", "too_few_points", "too_small", "too_large", "too_elongated", "too_flat"]


@dataclass(frozen=True)
class Units:
    """The contrastive units of one frame and every stage on the way to them.

    Args:
        ground: (N,) bool.
        visible: (N,) bool, seen by at least one camera.
        seeds: (S,) int64 point indices, in the order in which farthest point sampling chose them.
        clusters: (N,) int64 raw cluster of each point, numbered 0..C-1; -1 for ground and points out of range.
        reasons: C entries, why each raw cluster was rejected, or "kept".
        instance: (N,) int64 kept cluster, numbered 0..I-1, or -1.
        unit: (S,) int64 the unit of each seed, 0..U-1; units are numbered by their first seed.
        pooling: W, (U x N): the LiDAR feature of all units is W @ point features.
        pixels: the rows of every visible point; their images give the units' image features.
        sensor_height: metres above the ground, stated or estimated.
        milliseconds: how long each step took, by the step's name.
    """

    ground: Bools
    visible: Bools
    seeds: Ints
    clusters: Ints
    reasons: tuple[Reason, ...]
    instance: Ints
    unit: Ints
    pooling: Pooling
    pixels: Pixels
    sensor_height: float
    milliseconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        n, s = len(self.ground), len(self.seeds)
        _check("ground", self.ground, (n,), np.bool_)
        _check("visible", self.visible, (n,), np.bool_)
        _check("seeds", self.seeds, (s,), np.int64)
        _check("clusters", self.clusters, (n,), np.int64)
        _check("instance", self.instance, (n,), np.int64)
        _check("unit", self.unit, (s,), np.int64)
        if self.pooling.shape[1] != n:
            raise ValueError(f"pooling has {self.pooling.shape[1]} columns for {n} points")

    @property
    def count(self) -> int:
        """How many units there are, U."""
        return self.pooling.shape[0]

    @property
    def merged(self) -> Bools:
        """(U,) bool: the unit is an instance, found by merging the seeds that fell into one kept cluster."""
        result = np.zeros(self.count, dtype=np.bool_)
        result[self.unit[self.instance[self.seeds] >= 0]] = True
        return result
