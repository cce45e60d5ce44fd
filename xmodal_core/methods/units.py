"""The paper's method: a unit's LiDAR feature against its image feature, similarity-balanced negatives.

"Cross-Modal Self-Supervised Learning with Effective Contrastive Units for LiDAR Point Clouds", IROS 2024. What the
paper leaves open is a setting here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from xmodal_core.config import Settings, setting
from xmodal_core.errors import InputError
from xmodal_core.images import Teacher, unit_features
from xmodal_core.methods.base import Method, Outcome
from xmodal_core.objectives.balance import cosine_similarity, least_similar
from xmodal_core.objectives.info_nce import info_nce
from xmodal_core.points.base import PointNetwork
from xmodal_core.train.batch import Batch


class UnitsMethodConfig(Settings):
    """Options of ``units``."""

    modality: Literal["cross"] = setting("cross", "what is contrasted: image against LiDAR")
    standardise: Literal["frame", "batch", "none"] = setting(
        "frame", "over which units every channel of the teacher is brought to mean 0 and deviation 1; or not at all"
    )
    hidden: int = setting(256, "width of the hidden layer of both projection heads", ge=8, le=4096, step=8)
    norm: bool = setting(True, "batch norm behind the hidden layer")
    projection: int = setting(128, "length of projected features", ge=8, le=1024, step=8)
    similarity: Literal["projected", "teacher"] = setting(
        "projected",
        "which image features say how alike two units are: projected (the paper's formula) or the teacher's",
    )
    negatives: float = setting(
        0.5, "L, how many least similar units are negatives; below 1: a share of the others", ge=0, le=1e6, step=0.05
    )
    literal: bool = setting(False, "L - 1 negatives, as the paper's strict inequality has it")
    scope: Literal["frame", "batch"] = setting("frame", "whose units are negatives: the own frame's or the batch's")
    temperature: float = setting(0.07, "by which cosines are divided", ge=0.005, le=2, step=0.005)
    symmetric: bool = setting(True, "image finds LiDAR and LiDAR finds image; off: only the first")


class UnitContrast(Method):
    """Contrasts the image feature and the LiDAR feature of every unit; see the module."""

    Config: ClassVar[type[Settings]] = UnitsMethodConfig
    pools_teacher: ClassVar[bool] = True
    config: UnitsMethodConfig
    teacher: Teacher

    def __init__(self, config: UnitsMethodConfig, network: PointNetwork, teacher: Teacher | None) -> None:
        if teacher is None:
            raise InputError("method 'units' needs an image teacher", "choose one with --teacher")
        super().__init__(config, network, teacher)
        self.image_head = projection_head(teacher.width, config)
        self.point_head = projection_head(network.width, config)

    def forward(self, batch: Batch) -> Outcome:
        points = self.network(batch.points, batch.channels, batch.offsets).features
        lidar = self.point_head(batch.pooling @ points)
        seen = unit_features(batch, self.teacher, self.config.standardise)
        image = self.image_head(seen)
        # A cosine over a temperature of 0.07 needs more digits than half precision has.
        with torch.autocast(image.device.type, enabled=False):
            return self._contrast(image.float(), lidar.float(), seen, batch.unit_offsets.tolist())

    def _contrast(self, image: Tensor, lidar: Tensor, seen: Tensor, offsets: list[int]) -> Outcome:
        alike = (image if self.config.similarity == "projected" else seen).detach()
        ends = offsets if self.config.scope == "frame" else [0, offsets[-1]]
        blocks = [slice(begin, end) for begin, end in pairwise(ends)]
        negatives = [
            least_similar(cosine_similarity(alike[block]), self.config.negatives, literal=self.config.literal)
            for block in blocks
        ]
        contrasts = [
            info_nce(image[block], lidar[block], kept, self.config.temperature, symmetric=self.config.symmetric)
            for block, kept in zip(blocks, negatives, strict=True)
        ]
        loss, accuracy, alignment = (torch.stack(values).mean() for values in zip(*contrasts, strict=True))
        kept_in_all = torch.stack([kept.sum() for kept in negatives]).sum()
        measures = {
            "contrastive_accuracy": accuracy,
            "alignment": alignment,
            "units": loss.new_tensor(len(image) / (len(offsets) - 1)),
            "negatives": kept_in_all / len(image),
        }
        return Outcome(loss, measures)


def projection_head(width: int, config: UnitsMethodConfig) -> nn.Sequential:
    """The "lightweight MLP" that takes features of length ``width`` to the space in which they are compared."""
    return nn.Sequential(
        nn.Linear(width, config.hidden, bias=not config.norm),
        nn.BatchNorm1d(config.hidden) if config.norm else nn.Identity(),
        nn.ReLU(),
        nn.Linear(config.hidden, config.projection),
    )
