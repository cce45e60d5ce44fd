"""The car's sensors: the published nuScenes rig, six cameras around an HDL-32E on the roof.

Mounts, lenses and firing times are the numbers that the data set publishes for one of its cars (calibrated_sensor and
sample_data tables): metres and quaternions (w, x, y, z) from the sensor to the car, whose origin is on the ground under
the middle of the rear axle; lenses in pixels of a 1600 x 900 picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmodal_core.geometry import rigid, rotation_from_quaternion
from xmodal_core.types import Doubles

FULL_WIDTH, FULL_HEIGHT = 1600, 900


@dataclass(frozen=True)
class Mount:
    """One sensor.

    Args:
        channel: nuScenes name.
        translation: metres, in the car.
        rotation: (w, x, y, z), from the sensor to the car.
        focal, centre: pixels at full size; zero for the LiDAR.
        delay: seconds after the sweep's time stamp; a camera fires when the LiDAR's beam passes its middle.
    """

    channel: str
    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    focal: float = 0.0
    centre: tuple[float, float] = (0.0, 0.0)
    delay: float = 0.0

    @property
    def transform(self) -> Doubles:
        """(4,4) from the sensor to the car."""
        return rigid(rotation_from_quaternion(self.rotation), self.translation)

    def intrinsics(self, width: int, height: int) -> Doubles:
        """(3,3) for a picture of ``width`` x ``height`` pixels, pixel centres at whole numbers.

        The full picture is scaled in x and y alike and cropped from its middle, so that pixels stay square.
        """
        scale = max(width / FULL_WIDTH, height / FULL_HEIGHT)
        left = (FULL_WIDTH * scale - width) / 2
        top = (FULL_HEIGHT * scale - height) / 2
        u = (self.centre[0] + 0.5) * scale - 0.5 - left
        v = (self.centre[1] + 0.5) * scale - 0.5 - top
        focal = self.focal * scale
        return np.array([[focal, 0.0, u], [0.0, focal, v], [0.0, 0.0, 1.0]])


LIDAR = Mount(
    "LIDAR_TOP",
    (0.943713, 0.0, 1.84023),
    (0.7077955, -0.0064922, 0.0106462, -0.7063073),
)
CAMERAS = (
    Mount(
        "CAM_FRONT", (1.7007912, 0.0159456, 1.5109576), (-0.4998015, 0.5030316, -0.4997798, 0.4973708),
        1266.4172, (816.267, 491.5071), -0.035491,
    ),
    Mount(
        "CAM_FRONT_RIGHT", (1.5508478, -0.4934048, 1.495748), (0.2060348, -0.2026941, 0.6824508, -0.6713611),
        1260.8474, (807.9682, 495.3344), -0.027612,
    ),
    Mount(
        "CAM_BACK_RIGHT", (1.0148782, -0.4805682, 1.5623955), (-0.1228098, 0.1324008, 0.7004306, -0.690496),
        1259.5137, (807.2529, 501.1958), -0.020058,
    ),
    Mount(
        "CAM_BACK", (0.028326, 0.0034514, 1.5791035), (0.5037873, -0.4974025, -0.494185, 0.5045496),
        809.221, (829.2196, 481.7784), -0.010426,
    ),
    Mount(
        "CAM_BACK_LEFT", (1.035691, 0.484795, 1.590971), (-0.6924186, 0.7031619, 0.1164834, -0.1120332),
        1256.7415, (792.1126, 492.7757), -0.000528,
    ),
    Mount(
        "CAM_FRONT_LEFT", (1.5238780, 0.4946314, 1.5093282), (0.675726504, -0.6736266, 0.2121401, -0.2112283),
        1272.5979, (826.6155, 479.7517), -0.043107,
    ),
)  # fmt: skip
SENSORS = (LIDAR, *CAMERAS)
