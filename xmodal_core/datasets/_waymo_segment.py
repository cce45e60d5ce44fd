"""One segment of Waymo, 20 seconds: its calibration, poses, pictures and labels, each read when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets._files import FETCH_AGAIN, decode_image, plausible
from xmodal_core.datasets._waymo_classes import BOXES, CAMERAS, LIDARS, SEGMENTATION
from xmodal_core.datasets._waymo_parquet import Component, Rows
from xmodal_core.datasets._waymo_range_image import Returns, at_frame_time, azimuths, beam_angles, find_returns
from xmodal_core.errors import DataError
from xmodal_core.types import Boxes, Camera, Doubles, Floats, Image, Ints, Lens

TOP = 1
"""The number of the LiDAR on the roof: the only one that turns while the vehicle moves on, and that is segmented."""
CHANNELS = 4
"""Of a range image: range, intensity, elongation, whether it lies in a zone that nobody labelled (1, else -1)."""
TO_OPENCV = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""From Waymo's camera axes, x along the optical axis and z up, to x right, y down, z along the axis."""
ROLLING = (1, 2, 3, 4)
"""Directions of the rolling shutter; 0 is unknown, 5 exposes all pixels at once."""
LATEST = 1.0
"""Seconds: a picture is not taken farther than this from the time of its pose."""
HALF = 0.5
"""Waymo counts pixels from the picture's edge, here the first pixel's centre is 0."""

IMAGE_1, IMAGE_2 = "range_image_return1", "range_image_return2"
COMPONENTS = {
    "lidar": "LiDARComponent",
    "lidar_calibration": "LiDARCalibrationComponent",
    "lidar_pose": "LiDARPoseComponent",
    "lidar_camera_projection": "LiDARCameraProjectionComponent",
    "lidar_segmentation": "LiDARSegmentationLabelComponent",
    "lidar_box": "LiDARBoxComponent",
    "camera_image": "CameraImageComponent",
    "camera_calibration": "CameraCalibrationComponent",
    "vehicle_pose": "VehiclePoseComponent",
}
LARGE = {
    "lidar": [f"{image}.{part}" for image in (IMAGE_1, IMAGE_2) for part in ("values", "shape")],
    "lidar_pose": [f"{IMAGE_1}.{part}" for part in ("values", "shape")],
    "lidar_camera_projection": [f"{image}.{part}" for image in (IMAGE_1, IMAGE_2) for part in ("values", "shape")],
    "lidar_segmentation": [f"{image}.{part}" for image in (IMAGE_1, IMAGE_2) for part in ("values", "shape")],
    "camera_image": ["image"],
}
OF_TOP = ("lidar_pose", "lidar_segmentation")
"""Components with one row a frame; the others have one for each of five sensors."""
FRAMES_KEPT = 2
HINTS = {
    "lidar_pose": "fetch it, or leave the LiDAR TOP out: --set 'dataset.lidars=[FRONT,SIDE_LEFT,SIDE_RIGHT,REAR]'",
    "camera_image": "fetch it, or leave the cameras out: --set 'dataset.cameras=[]'",
    "camera_calibration": "fetch it, or leave the cameras out: --set 'dataset.cameras=[]'",
}
LEAVE_OUT = "fetch it, or leave segments that are not whole out: --set dataset.skip_missing=true"


class Sweep(NamedTuple):
    """What one LiDAR got back the first or second time of one frame.

    ``points`` (n,3) float64 metres in the vehicle's frame at the frame's time, ``values`` (n,4) as stored, ``row`` and
    ``column`` (n,) of the range image that has ``height`` rows, ``label`` (n,) segmentation class or None,
    ``seen`` (n,6) camera, x, y of one camera and of another (camera 0: none) or None.
    """

    points: Doubles
    values: Floats
    row: Ints
    column: Ints
    height: int
    label: Ints | None
    seen: Floats | None


class Segment:
    """The files of one segment.

    Args:
        folder: the split's.
        context: the segment's name, as its files are called.

    Raises:
        DataError: a file is missing or damaged; from every method.
    """

    def __init__(self, folder: Path, context: str) -> None:
        self.folder = folder
        self.context = context

    def file(self, component: str) -> Path:
        return self.folder / component / f"{self.context}.parquet"

    def _component(self, name: str) -> Component:
        file = self.file(name)
        if not file.exists():
            raise DataError(f"{file} is missing", HINTS.get(name, LEAVE_OUT))
        return Component(file, COMPONENTS[name], LARGE.get(name, ()), keep=FRAMES_KEPT * (1 if name in OF_TOP else 5))

    def _optional(self, name: str) -> Component | None:
        """None where the whole component was not fetched; a file missing among others is an error."""
        return self._component(name) if (self.folder / name).is_dir() else None

    def times(self) -> Ints:
        """(F,) microseconds of its frames, rising."""
        return self._lidar.times

    def labelled_times(self) -> Ints:
        """(L,) microseconds of the frames whose points have classes; none without the component."""
        return np.zeros(0, dtype=np.int64) if self._segmentation is None else self._segmentation.times

    @cached_property
    def _lidar(self) -> Rows:
        return Rows(self._component("lidar"), "laser_name", LIDARS)

    @cached_property
    def _lidar_pose(self) -> Rows:
        return Rows(self._component("lidar_pose"), "laser_name", LIDARS)

    @cached_property
    def _projection(self) -> Rows | None:
        found = self._optional("lidar_camera_projection")
        return None if found is None else Rows(found, "laser_name", LIDARS)

    @cached_property
    def _segmentation(self) -> Rows | None:
        found = self._optional("lidar_segmentation")
        return None if found is None else Rows(found, "laser_name", LIDARS)

    @cached_property
    def _images(self) -> Rows:
        return Rows(self._component("camera_image"), "camera_name", CAMERAS)

    @cached_property
    def _vehicle_poses(self) -> dict[int, Doubles]:
        found = self._component("vehicle_pose")
        rows = found.rows_of_numbers("world_from_vehicle.transform", 16)
        return {time: _rigid(row, found.file) for time, row in zip(found.times().tolist(), rows, strict=True)}

    def vehicle_pose(self, time: int) -> Doubles | None:
        """Vehicle to world at a frame's time; None where the component was not fetched."""
        if not (self.folder / "vehicle_pose").is_dir():
            return None
        pose = self._vehicle_poses.get(time)
        if pose is None:
            raise DataError(f"{self.file('vehicle_pose')} has no pose at {time}", FETCH_AGAIN)
        return pose

    @cached_property
    def _lidars(self) -> dict[int, _Lidar]:
        found = self._component("lidar_calibration")
        numbers = found.keys("laser_name", LIDARS)
        extrinsics = found.rows_of_numbers("extrinsic.transform", 16)
        low, high = found.numbers("beam_inclination.min"), found.numbers("beam_inclination.max")
        values = found.lists("beam_inclination.values")
        return {
            int(number): _Lidar(
                _rigid(extrinsics[row], found.file), float(low[row]), float(high[row]), _angles(values[row], found.file)
            )
            for row, number in enumerate(numbers)
        }

    def range_image(self, time: int, lidar: int, echo: int) -> Floats | None:
        """(H,W,4 or more) as stored; None where the LiDAR has no such return.

        Args:
            time: of the frame, microseconds.
            lidar: its number, from 1 on.
            echo: 1 for what came back first, 2 for the second.
        """
        row = self._lidar.find(time, lidar)
        if row is None:
            raise DataError(f"{self.file('lidar')} has no row of LiDAR {LIDARS[lidar - 1]} at {time}", FETCH_AGAIN)
        return self._lidar.component.image(row, (IMAGE_1, IMAGE_2)[echo - 1], CHANNELS, self._lidar.lane(lidar))

    def sweep(self, time: int, lidar: int, echo: int) -> Sweep | None:
        """The points of one LiDAR's return; arguments as of ``range_image``."""
        image = self.range_image(time, lidar, echo)
        if image is None:
            return None
        returns = self._returns(time, lidar, image)
        pixel = (returns.row, returns.column)
        shape = image.shape[:2]
        seen = self._pixel_image(self._projection, time, lidar, echo, 6, shape)
        classes = self._pixel_image(self._segmentation, time, lidar, echo, 2, shape)
        return Sweep(
            points=returns.points,
            values=image[pixel],
            row=returns.row,
            column=returns.column,
            height=shape[0],
            label=None if classes is None else self._labels(classes[pixel][:, 1], time),
            seen=None if seen is None else seen[pixel],
        )

    def _labels(self, values: Floats, time: int) -> Ints:
        with np.errstate(invalid="ignore"):  # a NaN becomes an absurd number
            label = values.astype(np.int64)
        unknown = label[(label < 0) | (label >= len(SEGMENTATION))]
        if len(unknown):
            raise DataError(
                f"{self.file('lidar_segmentation')} holds the unknown class {unknown[0]} at {time} ({len(unknown):,} "
                f"points)",
                FETCH_AGAIN,
            )
        return label

    def _returns(self, time: int, lidar: int, image: Floats) -> Returns:
        calibration = self._lidars.get(lidar)
        if calibration is None:
            raise DataError(f"{self.file('lidar_calibration')} lacks LiDAR {LIDARS[lidar - 1]}", FETCH_AGAIN)
        height, width = image.shape[:2]
        if calibration.values is not None and len(calibration.values) != height:
            raise DataError(
                f"{self.file('lidar_calibration')} lists {len(calibration.values)} beams for a range image of {height}",
                FETCH_AGAIN,
            )
        elevation = beam_angles(calibration.values, calibration.low, calibration.high, height)
        to_vehicle = calibration.to_vehicle
        returns = find_returns(image[..., 0], elevation, azimuths(width, to_vehicle), to_vehicle)
        if lidar != TOP:
            return returns
        # One pose for each pixel serves both returns.
        poses = self._pixel_image(self._lidar_pose, time, lidar, 1, 6, (height, width))
        vehicle_to_world = self.vehicle_pose(time)
        if poses is None or vehicle_to_world is None:
            file = self.file("lidar_pose" if poses is None else "vehicle_pose")
            raise DataError(f"{file} is needed for LiDAR TOP and has nothing at {time}", HINTS["lidar_pose"])
        points = at_frame_time(returns.points, poses[returns.row, returns.column], vehicle_to_world)
        return returns._replace(points=points)

    def _pixel_image(
        self, rows: Rows | None, time: int, lidar: int, echo: int, channels: int, shape: tuple[int, int]
    ) -> Floats | None:
        """What another component says of each pixel of a range image of ``shape``; None where it says nothing."""
        row = None if rows is None else rows.find(time, lidar)
        if rows is None or row is None:
            return None
        found = rows.component.image(row, (IMAGE_1, IMAGE_2)[echo - 1], channels, rows.lane(lidar))
        if found is not None and found.shape[:2] != shape:
            raise DataError(
                f"{rows.component.file} is made for a range image of {found.shape[0]}x{found.shape[1]}, not "
                f"{shape[0]}x{shape[1]}",
                FETCH_AGAIN,
            )
        return found

    @cached_property
    def _camera_models(self) -> dict[int, _Model]:
        found = self._component("camera_calibration")
        numbers = found.keys("camera_name", CAMERAS)
        terms = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
        intrinsics = np.stack([found.numbers(f"intrinsic.{term}") for term in terms], axis=1)
        extrinsics = found.rows_of_numbers("extrinsic.transform", 16)
        sizes = np.stack([found.numbers("width"), found.numbers("height")], axis=1)
        way = found.numbers("rolling_shutter_direction") if found.has("rolling_shutter_direction") else None
        if not plausible(intrinsics) or not plausible(sizes) or (intrinsics[:, :2] < 1).any() or (sizes < 1).any():
            raise DataError(f"{found.file} holds a camera without size or focal length", FETCH_AGAIN)
        return {
            int(number): _Model(
                intrinsics[row],
                _rigid(extrinsics[row], found.file),
                int(sizes[row, 0]),
                int(sizes[row, 1]),
                way is not None and way[row] in ROLLING,
            )
            for row, number in enumerate(numbers)
        }

    @cached_property
    def _camera_poses(self) -> list[_Moment] | None:
        """Where the vehicle was when each row's picture was taken; None where the file does not say."""
        found = self._images.component
        if not found.has("pose.transform"):
            return None
        poses = found.rows_of_numbers("pose.transform", 16)
        motion = [f"velocity.{kind}_velocity.{axis}" for kind in ("linear", "angular") for axis in "xyz"]
        times = ["pose_timestamp"] + [
            f"rolling_shutter_params.camera_{end}_time" for end in ("trigger", "readout_done")
        ]
        if not all(found.has(column) for column in (*motion, *times)):
            return [_Moment(_rigid(row, found.file), np.zeros(6), 0.0) for row in poses]
        velocity = np.stack([found.numbers(column) for column in motion], axis=1)
        stated, begun, done = (found.numbers(column) for column in times)
        later = (begun + done) / 2 - stated
        usable = (np.abs(later) < LATEST) & (np.abs(velocity) < 1e3).all(axis=1)
        return [
            _Moment(_rigid(row, found.file), speed if use else np.zeros(6), float(lag) if use else 0.0)
            for row, speed, lag, use in zip(poses, velocity, later, usable, strict=True)
        ]

    def camera(self, time: int, number: int, vehicle_to_world: Doubles | None) -> Camera | None:
        """A camera at the moment when the middle of its picture was exposed; None where a frame has no picture of it.

        Args:
            time: of the frame, microseconds.
            number: the camera's, from 1 on.
            vehicle_to_world: (4,4) at the frame's time; None: the vehicle is taken to have stood still since.
        """
        row = self._images.find(time, number)
        if row is None:
            return None
        model = self._camera_models.get(number)
        if model is None:
            raise DataError(f"{self.file('camera_calibration')} lacks camera {CAMERAS[number - 1]}", FETCH_AGAIN)
        moved = np.eye(4)
        if self._camera_poses is not None and vehicle_to_world is not None:
            moved = geometry.invert(self._camera_poses[row].pose(model.rolling)) @ vehicle_to_world
        f_u, f_v, c_u, c_v, k1, k2, p1, p2, k3 = (float(term) for term in model.intrinsics)
        return Camera(
            name=CAMERAS[number - 1],
            width=model.width,
            height=model.height,
            intrinsics=np.array([[f_u, 0.0, c_u - HALF], [0.0, f_v, c_v - HALF], [0.0, 0.0, 1.0]]),
            lidar_to_camera=geometry.rigid(TO_OPENCV, (0.0, 0.0, 0.0)) @ geometry.invert(model.to_vehicle) @ moved,
            read=partial(_picture, self._images.component, row, self._images.lane(number), model.width, model.height),
            lens=Lens(k1=k1, k2=k2, p1=p1, p2=p2, k3=k3),
        )

    @cached_property
    def _boxes(self) -> _BoxTable | None:
        found = self._optional("lidar_box")
        return None if found is None else _read_boxes(found)

    def boxes(self, time: int, vehicle_to_world: Doubles | None) -> Boxes | None:
        """The labelled boxes of a frame; None where the component was not fetched.

        Args:
            time: of the frame, microseconds.
            vehicle_to_world: (4,4): velocities are stored in the world's axes; None: they are unknown.
        """
        table = self._boxes
        if table is None:
            return None
        mine = np.flatnonzero(table.time == time)
        turn = np.full((3, 3), np.nan) if vehicle_to_world is None else vehicle_to_world[:3, :3]
        return Boxes(
            centre=table.centre[mine].astype(np.float32),
            size=table.size[mine].astype(np.float32),
            yaw=table.yaw[mine].astype(np.float32),
            label=table.label[mine],
            classes=BOXES,
            track=table.track[mine],
            velocity=(table.velocity[mine] @ turn)[:, :2].astype(np.float32),
            points=table.points[mine],
            difficulty=table.difficulty[mine],
        )


class _Lidar(NamedTuple):
    """``low`` and ``high`` ends of the field of view in radians, ``values`` the angles of its beams, rising."""

    to_vehicle: Doubles
    low: float
    high: float
    values: Doubles | None


class _Model(NamedTuple):
    """``intrinsics`` (9,) f_u, f_v, c_u, c_v, k1, k2, p1, p2, k3."""

    intrinsics: Doubles
    to_vehicle: Doubles
    width: int
    height: int
    rolling: bool


class _Moment(NamedTuple):
    """The vehicle's pose in the world at a stated time, its ``velocity`` (6,): metres a second along the world's axes
    and radians a second about the vehicle's, and how much later, in seconds, the middle of the picture was exposed."""

    stated: Doubles
    velocity: Doubles
    later: float

    def pose(self, rolling: bool) -> Doubles:
        """(4,4) vehicle to world at the middle of the exposure; that of a shutter which does not roll is as stated."""
        speed = float(np.linalg.norm(self.velocity[3:]))
        if not rolling or not self.later:
            return self.stated
        turn = geometry.rotation_about(self.velocity[3:], speed * self.later) if speed > 0 else np.eye(3)
        return geometry.rigid(self.stated[:3, :3] @ turn, self.stated[:3, 3] + self.velocity[:3] * self.later)


class _BoxTable(NamedTuple):
    """All boxes of a segment, ``time`` (B,) in microseconds; the rest as in ``Boxes``, velocity (B,3) in the world's
    axes."""

    time: Ints
    centre: Doubles
    size: Doubles
    yaw: Doubles
    label: Ints
    track: Ints
    velocity: Doubles
    points: Ints
    difficulty: Ints


def _read_boxes(found: Component) -> _BoxTable:
    def columns(name: str, axes: str = "xyz") -> Doubles:
        return np.stack([found.numbers(f"{name}.{axis}") for axis in axes], axis=1)

    times = found.times()
    centre, size, yaw = columns("box.center"), columns("box.size"), found.numbers("box.heading")
    kind = found.numbers("type")
    if not (plausible(centre) and plausible(size) and plausible(yaw)) or (size <= 0).any():
        raise DataError(f"{found.file} holds a box without place or size", FETCH_AGAIN)
    if not np.isin(kind, np.arange(len(BOXES))).all():
        raise DataError(f"{found.file} holds a box of unknown type", f"known: 0 to {len(BOXES) - 1}")
    objects, track = np.unique(found.texts("laser_object_id"), return_inverse=True)
    if len(np.unique(times.astype(np.int64) * (len(objects) + 1) + track)) != len(times):
        raise DataError(f"{found.file} holds an object twice in a frame", FETCH_AGAIN)
    velocity = columns("speed") if found.has("speed.x") else np.full((len(times), 3), np.nan)
    velocity[~(np.abs(velocity) < 1e3)] = np.nan
    return _BoxTable(
        times,
        centre,
        size,
        yaw,
        kind.astype(np.int64),
        track.astype(np.int64).reshape(-1),
        velocity,
        _counts(found, "num_lidar_points_in_box", -1),
        _counts(found, "difficulty_level.detection", 0),
    )


def _counts(found: Component, column: str, unknown: int) -> Ints:
    """(rows,) a column of whole numbers that may be absent, in part or as a whole."""
    if not found.has(column):
        return np.full(len(found.times()), unknown, dtype=np.int64)
    values = found.numbers(column)
    values = np.where(np.isfinite(values), values, unknown)
    if not plausible(values) or (values != np.floor(values)).any() or (values < unknown).any():
        raise DataError(f"{found.file}: '{column}' holds what is no count", FETCH_AGAIN)
    return values.astype(np.int64)


def _angles(values: Sequence[float] | None, file: Path) -> Doubles | None:
    if not values:
        return None
    angles = np.array(values, dtype=np.float64)
    if not plausible(angles):
        raise DataError(f"{file} holds a beam without angle", FETCH_AGAIN)
    return angles


def _rigid(row: Doubles, file: Path) -> Doubles:
    """A transform stored as 16 numbers, row after row; written in float32 its rotation is none in float64 yet."""
    found = row.reshape(4, 4)
    rotation = found[:3, :3]
    off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not off < 1e-3 or np.linalg.det(rotation) < 0 or np.abs(found[3] - (0, 0, 0, 1)).max() > 1e-6:
        raise DataError(f"{file} holds a transform that is not rigid", FETCH_AGAIN)
    left, _, right = np.linalg.svd(rotation)
    return geometry.rigid(left @ right, found[:3, 3])


def _picture(component: Component, row: int, lane: int, width: int, height: int) -> Image:
    content = component.content(row, "image", lane)
    return decode_image(content, f"{component.file}: picture in row {row}", width, height)
