"""What can be told to ``detection``: its settings, the presets of data sets, and the groups that classes come to.

The presets of nuScenes and Waymo follow tianweiy/CenterPoint (configs/nusc, configs/waymo), ONCE's open-mmlab/OpenPCDet
(tools/cfgs/once_models/centerpoint.yaml).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import model_validator

from xmodal_core.config import Settings, setting
from xmodal_core.datasets._nuscenes_classes import DETECTION
from xmodal_core.tasks._objects import ObjectsConfig

NETWORK = "pillars"
"""What detection trains where no network was chosen: it needs one with a bird's-eye map."""

PRESETS = {
    "nuscenes": "nuscenes",
    "sample": "sample",
    "waymo": "waymo",
    "once": "once",
    "kitti_object": "kitti",
    "kitti_raw": "kitti",
    "kitti_tracking": "kitti",
}
"""Of which data set which preset is; of the others it is ``plain``."""

_NUSCENES_GROUPS = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)
_NUSCENES_COUNTS = {
    "car": 2, "truck": 3, "construction_vehicle": 7, "bus": 4, "trailer": 6, "barrier": 2, "motorcycle": 6,
    "bicycle": 6, "pedestrian": 2, "traffic_cone": 2,
}  # fmt: skip
_NUSCENES = {
    "classes": DETECTION,
    "groups": _NUSCENES_GROUPS,
    "velocity": True,
    "box_weight": 0.25,
    "nms_before": 1000,
    "nms_after": 83,
    # The roots of the squared distances in the authors' circular_nms configuration.
    "nms_radius": (2.0, 3.46, 3.16, 1.0, 0.92, 0.42),
    "objects": {"counts": _NUSCENES_COUNTS},
}


class PartWeights(Settings):
    """How much an error of each part of a box counts, beside one another."""

    offset: float = setting(1.0, "of the centre along the ground, in cells of the map", ge=0, le=100)
    z: float = setting(1.0, "of the centre's height, in m", ge=0, le=100)
    size: float = setting(1.0, "of the logarithms of length, width and height", ge=0, le=100)
    turn: float = setting(1.0, "of sine and cosine of the heading", ge=0, le=100)
    velocity: float = setting(0.2, "of the velocity, in m/s, where it is learnt", ge=0, le=100)


class DetectionConfig(Settings):
    """Options of ``detection``. The presets of nuScenes and Waymo are CenterPoint's own, ONCE's is OpenPCDet's; nobody
    published one for KITTI, and the generated drive's is nuScenes' with one narrow head, for a CPU."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "plain": {},
        "nuscenes": _NUSCENES,
        "sample": {**_NUSCENES, "groups": (), "nms_radius": (1.0,), "nms_after": 200, "features": 32},
        "waymo": {
            "classes": ("vehicle", "pedestrian", "cyclist"),
            "box_weight": 2.0,
            "nms_overlap": 0.7,
            "nms_before": 4096,
            "nms_after": 500,
            "objects": {"counts": {"vehicle": 15, "pedestrian": 10, "cyclist": 10}},
        },
        "once": {
            "classes": ("Car", "Pedestrian", "Cyclist"),
            "merge": {"Bus": "Car", "Truck": "Car"},
            "nms_overlap": 0.01,
            "nms_before": 4096,
            "nms_after": 500,
            "objects": {"counts": {"Car": 8, "Pedestrian": 2, "Cyclist": 2}, "top_up": True},
        },
        "kitti": {
            "classes": ("Car", "Pedestrian", "Cyclist"),
            "nms_overlap": 0.01,
            "nms_before": 4096,
            "nms_after": 500,
            "objects": {"counts": {"Car": 15, "Pedestrian": 10, "Cyclist": 10}},
        },
    }

    preset: Literal["plain", "nuscenes", "sample", "waymo", "once", "kitti"] = setting(
        "plain", "a set of defaults; nobody need choose it, it is that of the data set"
    )
    classes: tuple[str, ...] = setting((), "which classes of boxes are learnt; empty: all that the data has")
    merge: dict[str, str] = setting({}, "classes that are learnt as another one, e.g. {Bus: Car}")
    groups: tuple[tuple[str, ...], ...] = setting(
        (), "classes that share a head and compete in suppression; those that are in none are one more group"
    )
    min_points: int = setting(1, "boxes with fewer points of the frame in them are not learnt", unit="points", ge=0)
    velocity: bool = setting(False, "learn and predict velocity too")
    features: int = setting(64, "width of the head", unit="features", ge=8, le=1024)
    overlap: float = setting(0.1, "peaks are as wide as boxes may shift and still overlap by this", ge=0.01, le=0.99)
    min_radius: int = setting(2, "but at least this", unit="cells", ge=0, le=100)
    max_objects: int = setting(500, "boxes of a frame and group that are learnt", unit="boxes", ge=1, le=10_000)
    box_weight: float = setting(1.0, "weight of the loss of boxes beside that of heat maps", ge=0, le=100)
    weights: PartWeights = PartWeights()
    score: float = setting(0.1, "boxes with a lower score are not predicted", ge=0, le=1)
    peaks: bool = setting(False, "only places that are the highest of their 3 x 3 cells; the authors' code takes all")
    margin: float = setting(10.0, "boxes farther outside the map are not predicted", unit="m", ge=0, le=1000)
    nms: Literal["rotated", "circle", "none"] = setting(
        "rotated", "a box takes away less sure ones of its group that overlap it, or whose centre is near its own"
    )
    nms_overlap: float = setting(0.2, "rotated: the IoU seen from above that is still allowed", ge=0, le=1)
    nms_radius: tuple[float, ...] = setting((2.0,), "circle: how near, one for each group or one for all", unit="m")
    nms_within: Literal["group", "class"] = setting("group", "whether classes of a group compete, or each by itself")
    nms_before: int = setting(1000, "best boxes of a group that take part", unit="boxes", ge=1, le=100_000)
    nms_after: int = setting(100, "boxes of a group that are left at most", unit="boxes", ge=1, le=100_000)
    objects: ObjectsConfig = ObjectsConfig()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Whatever was not given has the preset's value, also in the group ``objects``."""
        if not isinstance(values, Mapping):
            return values
        preset = values.get("preset", "plain")
        known = dict(cls.presets.get(preset, {})) if isinstance(preset, str) else {}
        given = values.get("objects", {})
        if "objects" in known and isinstance(given, Mapping):
            known["objects"] = {**known["objects"], **given}
            values = {name: value for name, value in values.items() if name != "objects"}
        return {**known, **values}

    @model_validator(mode="after")
    def _check(self) -> DetectionConfig:
        grouped = [name for group in self.groups for name in group]
        if len(set(grouped)) < len(grouped):
            raise ValueError("groups: a class is in one group only")
        if not self.nms_radius or min(self.nms_radius) <= 0:
            raise ValueError("nms_radius: a radius is above 0")
        return self


def defaults_of(dataset: str) -> Mapping[str, Mapping[str, Any]]:
    """See ``Task.defaults``: a network with a map, the preset of ``dataset``, its augmentation, rate and epochs."""
    preset = PRESETS.get(dataset, "plain")
    turned = 22.5 if preset in ("nuscenes", "sample") else 45.0
    # KITTI is labelled ahead only: nothing of what lies behind is learnt.
    mirrored = {"flip_x": 0.0} if preset == "kitti" else {}
    train: dict[str, Any] = {"adam": {"lr": 1e-3}} if dataset == "nuscenes" else {}
    epochs = {"nuscenes": 20, "waymo": 30, "once": 80, "kitti_object": 80}.get(dataset)
    return {
        "task": {"preset": preset},
        "network": {"name": NETWORK},
        "augment": {**mirrored, "rotation": turned, "scale_min": 0.95, "scale_max": 1.05},
        "train": {**train, **({} if epochs is None else {"epochs": epochs})},
    }


class Group(NamedTuple):
    """Classes that share a head: their ``numbers`` among all, and the radius of their circle."""

    numbers: tuple[int, ...]
    radius: float


def grouped(classes: tuple[str, ...], config: DetectionConfig) -> list[Group]:
    """The groups of ``config`` as far as ``classes`` has them, and the rest."""
    radii = config.nms_radius
    groups = []
    for place, names in enumerate(config.groups):
        numbers = tuple(classes.index(name) for name in names if name in classes)
        if numbers:
            groups.append(Group(numbers, radii[min(place, len(radii) - 1)]))
    taken = {number for group in groups for number in group.numbers}
    rest = tuple(number for number in range(len(classes)) if number not in taken)
    return [*groups, Group(rest, radii[-1])] if rest else groups
