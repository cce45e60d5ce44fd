"""One segment of Waymo, 20 seconds: its calibration, poses, pictures and labels, each read when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets._files import FETCH_AGAIN, plausible
from xmodal_core.datasets._waymo_boxes import BoxTable, read_boxes
from xmodal_core.datasets._waymo_cameras import Model, Moment, read_models, read_moments
from xmodal_core.datasets._waymo_classes import CAMERAS, LIDARS, SEGMENTATION
from xmodal_core.datasets._waymo_parquet import Component, Rows
from xmodal_core.datasets._waymo_range_image import Returns, at_frame_time, azimuths, beam_angles, find_returns
from xmodal_core.errors import DataError
from xmodal_core.types import Boxes, Camera, Doubles, Floats, Ints

TOP = 1
"""The number of the LiDAR on the roof: the only one that turns while the vehicle moves on, and that is segmented."""
CHANNELS = 4
"""Of a range image: range, intensity, elongation, whether it lies in a zone that nobody labelled (1, else -1)."""

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
        return dict(zip(found.times().tolist(), found.transforms("world_from_vehicle.transform"), strict=True))

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
        to_vehicle = found.transforms("extrinsic.transform")
        low, high = found.numbers("beam_inclination.min"), found.numbers("beam_inclination.max")
        values = found.lists("beam_inclination.values")
        return {
            int(number): _Lidar(to_vehicle[row], float(low[row]), float(high[row]), _angles(values[row], found.file))
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
    def _cameras(self) -> dict[int, Model]:
        return read_models(self._component("camera_calibration"))

    @cached_property
    def _moments(self) -> list[Moment] | None:
        return read_moments(self._images.component)

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
        model = self._cameras.get(number)
        if model is None:
            raise DataError(f"{self.file('camera_calibration')} lacks camera {CAMERAS[number - 1]}", FETCH_AGAIN)
        moved = np.eye(4)
        if self._moments is not None and vehicle_to_world is not None:
            moved = geometry.invert(self._moments[row].pose(model.rolling)) @ vehicle_to_world
        return model.camera(number, moved, self._images.component, row, self._images.lane(number))

    @cached_property
    def _boxes(self) -> BoxTable | None:
        found = self._optional("lidar_box")
        return None if found is None else read_boxes(found)

    def boxes(self, time: int, vehicle_to_world: Doubles | None) -> Boxes | None:
        """The labelled boxes of a frame, arguments as of ``BoxTable.at``; None where the component was not fetched."""
        return None if self._boxes is None else self._boxes.at(time, vehicle_to_world)


class _Lidar(NamedTuple):
    """``low`` and ``high`` ends of the field of view in radians, ``values`` the angles of its beams, rising."""

    to_vehicle: Doubles
    low: float
    high: float
    values: Doubles | None


def _angles(values: Sequence[float] | None, file: Path) -> Doubles | None:
    if not values:
        return None
    angles = np.array(values, dtype=np.float64)
    if not plausible(angles):
        raise DataError(f"{file} holds a beam without angle", FETCH_AGAIN)
    return angles
