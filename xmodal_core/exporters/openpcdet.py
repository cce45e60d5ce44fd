"""OpenPCDet: encoder, 2D backbone and neck for --pretrained_model, with the part of the cfg that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from xmodal_core.exporters import _openpcdet_pillars, _openpcdet_pointnet, _openpcdet_voxels
from xmodal_core.exporters._sparse_encoder import SUITED
from xmodal_core.exporters._table import Row
from xmodal_core.exporters.base import Exporter, Step
from xmodal_core.points.base import NetworkSettings

TABLES = {"pillars": _openpcdet_pillars.TABLE, "voxels": _openpcdet_voxels.TABLE, "pointnet": _openpcdet_pointnet.TABLE}


class OpenPCDet(Exporter):
    """A ``.pth`` with ``model_state`` in the names and shapes of OpenPCDet 0.6, and a fragment of its cfg beside it.

    OpenPCDet feeds channels as the data set stores them, so the network's ``intensity_scale`` is multiplied into the
    first weights; every other tensor goes over as it is.
    """

    networks = tuple(TABLES)
    wrapper = "model_state"
    versions = (2, 1)
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = {"voxels": SUITED}

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        return list(TABLES[network].rows(settings, self.spconv))

    def wrapped(self, tensors: Mapping[str, Tensor], card: str) -> dict[str, Any]:
        return {
            "epoch": 0,
            "it": 0,
            "model_state": dict(tensors),
            "optimizer_state": None,
            "version": f"xmodal {version('xmodal')}",
            "card": card,
        }

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        return ".yaml", TABLES[network].fragment(settings)

    def usage(self, file: Path) -> tuple[Step, ...]:
        return (
            Step(f"put the keys of {file.stem}.yaml in place of the same keys of your cfg; the head stays yours"),
            Step("start from the file", (f"python train.py --cfg_file CFG.yaml --pretrained_model {file}",)),
            Step("read the log: 'Not updated weight' should be said of the head's tensors and global_step only"),
        )
