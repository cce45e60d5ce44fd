"""Boxes around objects: CenterPoint's centre head on the network's bird's-eye map.

Yin et al., "Center-based 3D object detection and tracking", CVPR 2021; settings of tianweiy/CenterPoint (configs/nusc,
configs/waymo) and open-mmlab/OpenPCDet (tools/cfgs/once_models/centerpoint.yaml).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core import plugins
from xmodal_core.config import Settings, setting
from xmodal_core.datasets._nuscenes_classes import DETECTION
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import keep_apart, keep_distant, points_in_boxes
from xmodal_core.methods.base import Outcome
from xmodal_core.metrics import DetectionProtocol, Detections, Protocol, Result, open_protocol
from xmodal_core.metrics.nuscenes_detection import NuScenesDetection, with_attributes
from xmodal_core.points import load_network
from xmodal_core.points.base import BevGrid, PointNetwork
from xmodal_core.tasks._centers import PARTS, Found, Objects, assign, box_losses, decode, focal_loss
from xmodal_core.tasks._objects import COLUMNS, Cut, Labelled, ObjectsConfig, ObjectStore, open_store, put_in, rows_of
from xmodal_core.tasks.base import Judged, LabelledBatch, LabelledExample, Task
from xmodal_core.train.augment import Motion
from xmodal_core.train.batch import stack_channels
from xmodal_core.types import Boxes, Doubles, Frame, Ints

HEAT_BIAS = -2.19
"""Where heat maps start: about 0.1 everywhere."""

PROTOCOLS = {
    "nuscenes": "nuscenes_detection",
    "waymo": "waymo_detection",
    "once": "once_detection",
    "kitti_object": "kitti_detection",
}
"""The official judges of data sets."""
PLAIN = "centre_distance"
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


class _Group(NamedTuple):
    """Classes that share a head: their ``numbers`` among all, and the radius of their circle."""

    numbers: tuple[int, ...]
    radius: float


class Detection(Task):
    """Learns and predicts upright boxes; see the module.

    Labels are ``Labelled``, in a batch ``Objects``; predictions are ``Detections`` in the frame's LiDAR coordinates. Of
    the labelled boxes those are learnt whose class is told apart, which have points, and whose centre lies on the map;
    what is where the others are counts as empty.
    """

    Config: ClassVar[type[Settings]] = DetectionConfig
    config: DetectionConfig

    def __init__(self, config: DetectionConfig, network: PointNetwork, classes: tuple[str, ...]) -> None:
        super().__init__(config, network, classes)
        self.grid = _grid_of(network)
        self.groups = _grouped(classes, config)
        self.parts = [name for name in PARTS if name != "velocity" or config.velocity]
        width = config.features
        self.shared = _convolution(self.grid.width, width)
        self.heads = nn.ModuleList(
            nn.ModuleDict(
                {
                    "heat": _head(width, len(group.numbers), HEAT_BIAS),
                    **{name: _head(width, PARTS[name], 0.0) for name in self.parts},
                }
            )
            for group in self.groups
        )

    @classmethod
    def defaults(cls, dataset: str, *, pretrained: bool) -> Mapping[str, Mapping[str, Any]]:
        """See ``Task``: a network with a map; the preset of the data set, its augmentation, its rate, its epochs."""
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

    @classmethod
    def classes_of(cls, dataset: Dataset, config: DetectionConfig) -> tuple[str, ...]:
        """See ``Task``: those of ``config.classes`` that the data has, in that order, or all of its own."""
        labelled = (dataset.boxes(index) for index in range(len(dataset)))
        boxes = next((boxes for boxes in labelled if boxes is not None), None)
        if boxes is None:
            raise DataError(
                f"{dataset.root} has no labelled boxes in this split", "choose another split, or data with boxes"
            )
        known = tuple(dict.fromkeys(config.merge.get(name, name) for name in boxes.classes))
        found = tuple(name for name in config.classes if name in known) if config.classes else known
        if not found:
            raise InputError(
                f"none of task.classes ({', '.join(config.classes)}) is labelled in {dataset.root}",
                f"it has: {', '.join(boxes.classes)}",
            )
        return found

    @classmethod
    def label(cls, frame: Frame, classes: tuple[str, ...], config: DetectionConfig) -> Labelled | None:
        """See ``Task``."""
        boxes = frame.boxes
        if boxes is None:
            return None
        number = {name: place for place, name in enumerate(classes)}
        names = [config.merge.get(name, name) for name in boxes.classes]
        label = np.array([number.get(name, -1) for name in names], dtype=np.int64)[boxes.label]
        rows = rows_of(boxes)
        points = np.bincount(points_in_boxes(frame.points, rows).box, minlength=len(boxes))
        kept = (label >= 0) & (points >= config.min_points)
        columns = {name: getattr(boxes, name)[kept] for name in COLUMNS if name != "label"}
        return Labelled(Boxes(**columns, label=label[kept], classes=classes), rows[~kept])

    @classmethod
    def prepare(
        cls,
        frames: Iterable[Frame],
        channels: tuple[str, ...],
        classes: tuple[str, ...],
        config: DetectionConfig,
        folder: Path,
    ) -> ObjectStore | None:
        """See ``Task``: the database of the objects of ``frames``, in ``folder/objects``."""
        if not config.objects.enabled:
            return None

        def cut() -> Iterable[Cut]:
            for frame in frames:
                labels = cls.label(frame, classes, config)
                if labels is not None:
                    yield Cut(labels, np.column_stack([frame.points, stack_channels(frame, channels)]))

        return open_store(folder / "objects", cut(), classes, channels, config.objects.min_points)

    @classmethod
    def enrich(
        cls,
        example: LabelledExample,
        store: ObjectStore | None,
        classes: tuple[str, ...],
        config: DetectionConfig,
        random: np.random.Generator,
        epochs_left: int,
    ) -> LabelledExample:
        """See ``Task``: with objects of other frames, but in the last epochs if they fade."""
        if store is None or epochs_left <= config.objects.fade:
            return example
        return put_in(example, store, config.objects, random)

    @classmethod
    def move(cls, labels: Labelled, motion: Motion) -> Labelled:
        """See ``Task``; ``others`` have done their service by then, and stay."""
        return labels._replace(boxes=motion.boxes(labels.boxes))

    @classmethod
    def collate(cls, labels: Sequence[Labelled]) -> Objects:
        """See ``Task``."""
        boxes = [one.boxes for one in labels]
        return Objects(
            frame=torch.from_numpy(np.repeat(np.arange(len(boxes)), [len(one) for one in boxes])),
            label=torch.from_numpy(np.concatenate([one.label for one in boxes])),
            box=torch.from_numpy(np.concatenate([rows_of(one) for one in boxes]).astype(np.float32)),
            velocity=torch.from_numpy(np.concatenate([one.velocity for one in boxes])),
        )

    def forward(self, batch: LabelledBatch) -> Outcome:
        """See ``Task``."""
        objects: Objects = batch.labels
        said = self._maps(batch)
        sums: dict[str, Tensor] = {}
        with torch.autocast(batch.points.device.type, enabled=False):  # half precision has too few digits to sum over
            for group, maps in zip(self.groups, said, strict=True):
                for name, loss in self._losses(maps, self._of(objects, group), group, len(batch.names)).items():
                    sums[name] = sums[name] + loss if name in sums else loss
            weights = self.config.weights
            boxes = torch.stack([getattr(weights, name) * sums[name] for name in self.parts]).sum()
            loss = sums["heat"] + self.config.box_weight * boxes
        return Outcome(loss, {name: value.detach() for name, value in sums.items()})

    def _maps(self, batch: LabelledBatch) -> list[dict[str, Tensor]]:
        """What each group's head makes of the map: ``heat``, as logits, and the parts of boxes."""
        bev = self.trunk(batch).bev
        assert bev is not None  # of a network with a grid
        shared = self.shared(bev)
        return [{name: layers(shared) for name, layers in head.items()} for head in self.heads]  # type: ignore[operator]

    def _of(self, objects: Objects, group: _Group) -> Objects:
        """The objects of a group, labelled by their place in it."""
        number = objects.label.new_full((len(self.classes),), -1)
        number[list(group.numbers)] = torch.arange(len(group.numbers), device=number.device)
        label = number[objects.label]
        return objects._replace(label=label).where(label >= 0)

    def _losses(self, maps: Mapping[str, Tensor], objects: Objects, group: _Group, frames: int) -> dict[str, Tensor]:
        config = self.config
        targets = assign(
            objects,
            len(group.numbers),
            self.grid,
            frames,
            overlap=config.overlap,
            min_radius=config.min_radius,
            most=config.max_objects,
        )
        parts = {name: maps[name].float() for name in self.parts}
        return {"heat": focal_loss(maps["heat"].float(), targets.heat), **box_losses(parts, targets)}

    def predict(self, batch: LabelledBatch) -> list[Detections]:
        """See ``Task``."""
        return self.boxes_of(self._maps(batch), len(batch.names))

    def boxes_of(self, maps: Sequence[Mapping[str, Tensor]], frames: int) -> list[Detections]:
        """The boxes that each group's ``maps`` stand for, after suppression: one ``Detections`` a frame."""
        found = [
            decode(one["heat"], {name: one[name] for name in self.parts}, self.grid, self.config.nms_before,
                   peaks=self.config.peaks)
            for one in maps
        ]  # fmt: skip
        found = [one.cpu() for one in found]
        return [
            _joined([self._left(one, frame, group) for one, group in zip(found, self.groups, strict=True)])
            for frame in range(frames)
        ]

    def _left(self, found: Found, frame: int, group: _Group) -> Detections:
        """The boxes of one group and frame that are sure enough, on the map, and not taken away by surer ones."""
        score = found.score[frame].double().numpy()
        box = found.box[frame].double().numpy()
        label = np.array(group.numbers, dtype=np.int64)[found.label[frame].numpy()]
        velocity = None if found.velocity is None else found.velocity[frame].double().numpy()
        good = np.flatnonzero((score > 0) & (score >= self.config.score) & self._on_the_map(box))
        kept = good[self._apart(box[good], label[good], group)]
        return Detections(
            centre=box[kept, :3],
            size=box[kept, 3:6],
            yaw=box[kept, 6],
            label=label[kept],
            classes=self.classes,
            velocity=None if velocity is None else velocity[kept],
            score=score[kept],
        )

    def _on_the_map(self, box: Doubles) -> Any:
        return self.grid.holds(box, self.config.margin) & np.isfinite(box).all(axis=1) & (box[:, 3:6] > 0).all(axis=1)

    def _apart(self, box: Doubles, label: Ints, group: _Group) -> Ints:
        """The rows of ``box``, surest first, that are left."""
        config = self.config
        if config.nms_within == "class" and len(group.numbers) > 1:
            alone = [_Group((number,), group.radius) for number in group.numbers]
            rows = [np.flatnonzero(label == one.numbers[0]) for one in alone]
            left = [these[self._apart(box[these], label[these], one)] for these, one in zip(rows, alone, strict=True)]
            return np.sort(np.concatenate(left))[: config.nms_after]
        if config.nms == "none":
            return np.arange(min(len(box), config.nms_after))
        if config.nms == "circle":
            return keep_distant(box, group.radius, config.nms_after)
        return keep_apart(box, config.nms_overlap, config.nms_after)

    def protocol(self, dataset: Dataset) -> Protocol:
        """See ``Task``."""
        official = PROTOCOLS.get(plugins.name_of(dataset))
        if official is not None:
            protocol = open_protocol(official)
            moved = dataset.rig.common_frame and getattr(protocol, "coordinates", None) == "camera"
            if set(self.classes) <= set(protocol.classes) and not moved:
                return protocol
        return open_protocol(PLAIN, {"classes": self.classes})

    def judge(self, protocol: Protocol, dataset: Dataset, judged: Iterable[Judged], split: str) -> Result:
        """See ``Task``."""
        assert isinstance(protocol, DetectionProtocol)
        predictions, truth = {}, {}
        for one in judged:
            labels = protocol.truth_of(dataset, one.number, one.frame)
            if protocol.name == PLAIN:
                labels = replace(labels, classes=tuple(self.config.merge.get(name, name) for name in labels.classes))
            truth[one.frame.name] = labels
            predictions[one.frame.name] = _for_protocol(protocol, dataset, one)
        return protocol.evaluate(predictions, truth, split)

    def submit(self, protocol: Protocol, dataset: Dataset, judged: Iterable[Judged], out: Path, split: str) -> None:
        """See ``Task``."""
        assert isinstance(protocol, DetectionProtocol)
        found = {one.frame.name: _for_protocol(protocol, dataset, one) for one in judged}
        protocol.write_submission(found, out)


def _for_protocol(protocol: DetectionProtocol, dataset: Dataset, one: Judged) -> Detections:
    found: Detections = one.prediction
    if isinstance(protocol, NuScenesDetection):
        found = with_attributes(found)
    return protocol.found_of(dataset, one.number, one.frame, found)


def _grid_of(network: PointNetwork) -> BevGrid:
    if network.bev_grid is None:
        with torch.device("meta"):  # to look at, not to use
            able = [name for name in plugins.names(plugins.NETWORK) if load_network(name).bev_grid is not None]
        raise InputError(
            f"detection needs a bird's-eye map, which the network '{plugins.name_of(network)}' does not make",
            f"choose one that does: {', '.join(able)}",
        )
    return network.bev_grid


def _grouped(classes: tuple[str, ...], config: DetectionConfig) -> list[_Group]:
    """The groups of ``config`` as far as ``classes`` has them, and the rest."""
    radii = config.nms_radius
    groups = []
    for place, names in enumerate(config.groups):
        numbers = tuple(classes.index(name) for name in names if name in classes)
        if numbers:
            groups.append(_Group(numbers, radii[min(place, len(radii) - 1)]))
    taken = {number for group in groups for number in group.numbers}
    rest = tuple(number for number in range(len(classes)) if number not in taken)
    return [*groups, _Group(rest, radii[-1])] if rest else groups


def _convolution(width: int, out: int) -> nn.Sequential:
    layer = nn.Conv2d(width, out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(out), nn.ReLU())


def _head(width: int, out: int, bias: float) -> nn.Sequential:
    """Two convolutions, the second of which starts out saying ``bias``."""
    last = nn.Conv2d(width, out, 3, padding=1)
    assert last.bias is not None
    nn.init.constant_(last.bias, bias)
    return nn.Sequential(*_convolution(width, width), last)


def _joined(parts: Sequence[Detections]) -> Detections:
    """All of ``parts``, which have the same classes, by falling score."""
    score = np.concatenate([part.score for part in parts])
    order = np.argsort(-score, kind="stable")

    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    velocity = None if parts[0].velocity is None else column("velocity")
    return Detections(
        centre=column("centre"),
        size=column("size"),
        yaw=column("yaw"),
        label=column("label"),
        classes=parts[0].classes,
        velocity=velocity,
        score=score[order],
    )
