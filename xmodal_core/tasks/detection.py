"""Boxes around objects: CenterPoint's centre head on the network's bird's-eye map.

Yin et al., "Center-based 3D object detection and tracking", CVPR 2021. Settings and presets are in
``_detection_config``, targets, losses and decoding in ``_centers``, which boxes are left in ``_suppression``, and
objects of other frames in ``_objects``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from xmodal_core import plugins
from xmodal_core.config import Settings
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import points_in_boxes
from xmodal_core.methods.base import Outcome
from xmodal_core.metrics import DetectionProtocol, Detections, Protocol, Result, open_protocol
from xmodal_core.metrics.nuscenes_detection import NuScenesDetection, with_attributes
from xmodal_core.points import load_network
from xmodal_core.points.base import BevGrid, PointNetwork
from xmodal_core.tasks._centers import PARTS, Objects, assign, box_losses, decode, focal_loss
from xmodal_core.tasks._detection_config import DetectionConfig, Group, defaults_of, grouped
from xmodal_core.tasks._objects import COLUMNS, Cut, Labelled, ObjectStore, open_store, put_in, rows_of
from xmodal_core.tasks._suppression import predicted
from xmodal_core.tasks.base import Judged, LabelledBatch, LabelledExample, Task
from xmodal_core.train.augment import Motion
from xmodal_core.train.batch import stack_channels
from xmodal_core.types import Boxes, Frame

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
"""The judge of all others."""


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
        self.groups = grouped(classes, config)
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
        return defaults_of(dataset)

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
        shared = self.shared(self.bev(batch))
        return [{name: layers(shared) for name, layers in head.items()} for head in self.heads]  # type: ignore[operator]

    def _of(self, objects: Objects, group: Group) -> Objects:
        """The objects of a group, labelled by their place in it."""
        number = objects.label.new_full((len(self.classes),), -1)
        number[list(group.numbers)] = torch.arange(len(group.numbers), device=number.device)
        label = number[objects.label]
        return objects._replace(label=label).where(label >= 0)

    def _losses(self, maps: Mapping[str, Tensor], objects: Objects, group: Group, frames: int) -> dict[str, Tensor]:
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
        return self.boxes_of(self._maps(batch))

    def boxes_of(self, maps: Sequence[Mapping[str, Tensor]]) -> list[Detections]:
        """The boxes that each group's ``maps`` stand for, after suppression: one ``Detections`` a frame."""
        found = [
            decode(one["heat"], {name: one[name] for name in self.parts}, self.grid, self.config.nms_before,
                   peaks=self.config.peaks)
            for one in maps
        ]  # fmt: skip
        return predicted([one.cpu() for one in found], self.groups, self.classes, self.grid, self.config)

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
