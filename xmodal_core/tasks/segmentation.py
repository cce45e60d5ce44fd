"""A class for each point: a linear head on the network's point features, cross entropy and Lovász-softmax.

The recipe of SLidR's fine-tuning (valeoai/SLidR, downstream/ and config/semseg_*.yaml). Data without classes of points
can be learnt from too: a point's class is then that of the smallest labelled box that it lies in, or background.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xmodal_core import plugins
from xmodal_core.config import Settings, setting
from xmodal_core.datasets._nuscenes_classes import OTHER
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.methods.base import Outcome
from xmodal_core.metrics import Protocol, Result, SegmentationProtocol, open_protocol
from xmodal_core.metrics._confusion import Tally
from xmodal_core.metrics.base import LabelledPoints
from xmodal_core.objectives.lovasz import lovasz_softmax
from xmodal_core.points.base import PointNetwork
from xmodal_core.tasks.base import Judged, LabelledBatch, Task
from xmodal_core.types import Floats, Frame, Ints
from xmodal_core.units.labels import FrameLabels

IGNORE = -1
"""The label of a point that teaches nothing."""
BACKGROUND = "background"
UNCOUNTED = frozenset({*OTHER, "Misc"})
"""Classes of boxes that benchmarks do not count: their points teach nothing."""

PROTOCOLS = {"nuscenes": "nuscenes_lidarseg", "semantic_kitti": "semantickitti_segmentation"}
"""The official judges of data sets, where points have classes."""
PLAIN = "segmentation"

RANGES = {"[0, 20)": (0.0, 20.0), "[20, 40)": (20.0, 40.0), "[40, inf)": (40.0, np.inf)}
"""Metres along the ground from the sensor, by their names."""


class SegmentationConfig(Settings):
    """Options of ``segmentation``."""

    source: Literal["auto", "points", "boxes"] = setting(
        "auto", "whether classes are those of points or those of boxes and background; 'auto': of points if there are"
    )
    classes: tuple[str, ...] = setting(
        (), "which classes are learnt, beside the background of boxes; points of others teach nothing; empty: all"
    )
    cross_entropy: float = setting(1.0, "weight of the cross entropy", ge=0, le=100)
    lovasz: float = setting(1.0, "weight of the Lovász-softmax loss", ge=0, le=100)


class Segmentation(Task):
    """Learns and predicts a class for each point; see the module.

    Labels are (N,) int64 numbers into ``classes``, -1 where a point teaches nothing; predictions as well, but never -1.
    """

    Config: ClassVar[type[Settings]] = SegmentationConfig
    config: SegmentationConfig

    def __init__(self, config: SegmentationConfig, network: PointNetwork, classes: tuple[str, ...]) -> None:
        super().__init__(config, network, classes)
        if not config.cross_entropy and not config.lovasz:
            raise InputError("task.cross_entropy and task.lovasz are both 0", "give one of them a weight")
        self.head = nn.Linear(network.width, len(classes))

    @classmethod
    def defaults(cls, dataset: str, *, pretrained: bool) -> Mapping[str, Mapping[str, Any]]:
        """See ``Task``: turns and mirrors as SLidR has them, and no change of size; of Waymo the segmented frames."""
        augment = {"rotation": 180.0, "scale_min": 1.0, "scale_max": 1.0}
        more = {"dataset": {"segmented": True}} if dataset == "waymo" else {}
        return {"augment": augment, **more}

    @classmethod
    def classes_of(cls, dataset: Dataset, config: SegmentationConfig) -> tuple[str, ...]:
        """See ``Task``: the data's own classes of points, or background and those of its boxes; of them
        ``config.classes``, in the data's order."""
        known = dataset.label_classes()
        if "semantic" in known and config.source != "boxes":
            return _chosen(tuple(known["semantic"][1:]), config.classes)
        if "boxes" in known and config.source != "points":
            return (BACKGROUND, *_chosen(tuple(known["boxes"]), config.classes, UNCOUNTED))
        what = {"auto": "labels", "points": "classes of points", "boxes": "boxes"}[config.source]
        raise DataError(
            f"{dataset.root} has no {what} to learn a segmentation from", "choose another split, or data with labels"
        )

    @classmethod
    def label(cls, frame: Frame, classes: tuple[str, ...], config: SegmentationConfig) -> Ints | None:
        """See ``Task``: (N,) int64."""
        number = {name: place for place, name in enumerate(classes)}
        if BACKGROUND in number and config.source != "points" and (frame.semantic is None or config.source == "boxes"):
            return _labels_of_boxes(frame, number)
        if frame.semantic is None:
            return None
        lookup = [number.get(name, IGNORE) for name in frame.semantic.classes]
        return np.array([IGNORE, *lookup[1:]], dtype=np.int64)[frame.semantic.label]

    @classmethod
    def collate(cls, labels: Sequence[Ints]) -> Tensor:
        """See ``Task``: (N,) int64, all frames one after the other."""
        return torch.from_numpy(np.concatenate(labels))

    def forward(self, batch: LabelledBatch) -> Outcome:
        """See ``Task``."""
        taught = batch.labels != IGNORE
        logits, labels = self._logits(batch)[taught], batch.labels[taught]
        # Half precision has too few digits to sum over so many points.
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            right = (logits.argmax(dim=1) == labels).float().mean() if len(labels) else logits.new_tensor(0.0)
            entropy = F.cross_entropy(logits, labels) if len(labels) else logits.sum() * 0.0
            overlap = lovasz_softmax(logits.softmax(dim=1), labels)
        loss = self.config.cross_entropy * entropy + self.config.lovasz * overlap
        measures = {"cross_entropy": entropy.detach(), "lovasz": overlap.detach(), "accuracy": right}
        return Outcome(loss, measures)

    def _logits(self, batch: LabelledBatch) -> Tensor:
        """(N,C)."""
        logits: Tensor = self.head(self.trunk(batch).features)
        return logits

    def predict(self, batch: LabelledBatch) -> list[Ints]:
        """See ``Task``: (N,) int64 numbers into ``classes`` for each frame."""
        best = self._logits(batch).argmax(dim=1).cpu().numpy()
        return [best[first:last] for first, last in pairwise(batch.offsets.tolist())]

    def protocol(self, dataset: Dataset) -> Protocol:
        """See ``Task``."""
        official = PROTOCOLS.get(plugins.name_of(dataset))
        if official is not None:
            protocol = open_protocol(official)
            if tuple(protocol.classes[1:]) == self.classes:
                return protocol
        return open_protocol(PLAIN, {"classes": self.classes})

    def judge(self, protocol: Protocol, dataset: Dataset, judged: Iterable[Judged], split: str) -> Result:
        """See ``Task``; the parts are IoU by class, then mean IoU by range, then by class and range."""
        assert isinstance(protocol, SegmentationProtocol)
        whole = Tally(len(protocol.classes), protocol.least)
        bands = {name: Tally(len(protocol.classes), protocol.least) for name in RANGES}
        numbers = self._numbers(protocol)
        for one in judged:
            points = LabelledPoints(one.frame.name, numbers[one.prediction], numbers[self._true(one.frame)])
            whole.add(points)
            away = np.linalg.norm(one.frame.points[:, :2], axis=1)
            for name, (low, high) in RANGES.items():
                within = (away >= low) & (away < high)
                bands[name].add(LabelledPoints(points.name, points.predicted[within], points.true[within]))
        result = protocol.score(whole.counts(), split)
        scored = {name: protocol.score(tally.counts(), split) for name, tally in bands.items() if tally.any_labelled}
        by_range = {name: {"mIoU": of.main} for name, of in scored.items()}
        by_both = {f"{part} {name}": figures for name, of in scored.items() for part, figures in of.parts.items()}
        return replace(result, parts={**result.parts, **by_range, **by_both})

    def _numbers(self, protocol: SegmentationProtocol) -> Ints:
        """(C+1,) what ``protocol`` calls each of ``classes``, and last what it calls what does not count."""
        place = {name: number for number, name in enumerate(protocol.classes)}
        return np.array([*(place[name] for name in self.classes), 0], dtype=np.int64)

    def _true(self, frame: Frame) -> Ints:
        labels = self.label(frame, self.classes, self.config)
        if labels is None:
            raise DataError(f"the points of frame '{frame.name}' have no labels", "choose a split that has labels")
        return labels

    def submit(self, protocol: Protocol, dataset: Dataset, judged: Iterable[Judged], out: Path, split: str) -> None:
        """See ``Task``: one class for every return of each sweep's file."""
        assert isinstance(protocol, SegmentationProtocol)
        numbers = self._numbers(protocol)

        def frames() -> Iterator[tuple[str, Ints]]:
            for one in judged:
                yield protocol.submission_name(dataset, one.number), for_file(one.frame, numbers[one.prediction])

        protocol.write_submission(frames(), out, split)


def _chosen(known: tuple[str, ...], wanted: tuple[str, ...], unless: Container[str] = ()) -> tuple[str, ...]:
    """``wanted`` of the ``known`` classes, in the order of these; all but those in ``unless`` where none are wanted."""
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(f"task.classes: nothing is labelled '{unknown[0]}' here", known_names(known, unknown[0]))
    return tuple(name for name in known if (name in wanted if wanted else name not in unless))


def _labels_of_boxes(frame: Frame, number: Mapping[str, int]) -> Ints | None:
    """(N,) the class of the smallest box around each point, in none background, which teaches nothing where nobody drew
    boxes (``no_label_zone``); None where ``frame`` is not labelled."""
    if frame.boxes is None:
        return None
    owner = FrameLabels.of(frame).object
    of_box = [number.get(frame.boxes.classes[kind], IGNORE) for kind in frame.boxes.label]
    labels = np.array([*of_box, number[BACKGROUND]], dtype=np.int64)[owner]  # -1, in no box, is the last
    zone = frame.channels.get("no_label_zone")
    if zone is not None:
        labels[(owner < 0) & (zone > 0)] = IGNORE
    return labels


def for_file(frame: Frame, predicted: Ints) -> Ints:
    """(M,) one number for each return of the sweep's file.

    Points of earlier sweeps are none of its returns. Returns that the reader left out (not finite, or of the vehicle
    itself) have no prediction; they take the sweep's most frequent one, since every return has to have a class.
    """
    lag: Floats | None = frame.channels.get("time_lag")
    own = predicted if lag is None else predicted[lag == 0]
    if frame.stored is None:
        return own
    usual = int(np.bincount(own).argmax()) if len(own) else 1
    every = np.full(len(frame.stored), usual, dtype=np.int64)
    every[frame.stored] = own
    return every
