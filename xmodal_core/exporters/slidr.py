"""SLidR: model_points for --pretraining_path, with the keys of its YAML that must agree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import yaml
from torch import Tensor

from xmodal_core.errors import InputError
from xmodal_core.exporters._minkowski import SMALL, minkunet_rows, planes
from xmodal_core.exporters._table import Row
from xmodal_core.exporters.base import Difference, Exporter, Step
from xmodal_core.points.base import NetworkSettings

if TYPE_CHECKING:
    from xmodal_core.points.minkunet import MinkUNetConfig

NOTES = """\
# Keys of SLidR's config/semseg_*.yaml; its loader refuses weights where the first two differ.
# SLidR keeps one point of each voxel, drawn by chance; pre-training fed the mean of a voxel's points.
# SLidR feeds intensity as the data set stores it; intensity_scale {scale:g} is in the first kernel.
"""
CLASS_NOTES = """\
# model/res16unet.py has no such class: give Res16UNet34C LAYERS = {layers} and PLANES = {planes},
# INIT_DIM = {stem}; else its loader leaves tensors out and says so only in 'Not loading weights'.
"""
PUBLISHED = ((2, 3, 4, 6, 2, 2, 2, 2), (32, 64, 128, 256, 256, 128, 96, 96))
"""LAYERS and PLANES of Res16UNet34C, the one class that SLidR's make_model builds."""


class Slidr(Exporter):
    """A ``.pt`` with ``model_points`` in the names of SLidR's MinkUNet, and ``config``, which its loader compares.

    SLidR feeds intensity alone, as the data set stores it, so ``intensity_scale`` is multiplied into the first kernel.
    """

    networks = ("minkunet",)
    suffix = ".pt"
    wrapper = "model_points"
    others = ("state_dict",)
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = {"minkunet": {"preset": "minkunet34c", **SMALL}}

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        config = cast("MinkUNetConfig", settings)
        if config.origin != "sensor":
            raise InputError(
                "SLidR counts larger voxels from the sensor, this network from each cloud's own first ones",
                "pre-train with network.origin=sensor",
            )
        if config.inputs != ("channels",):
            raise InputError("SLidR's MinkUNet takes intensity alone", "pre-train with network.preset=minkunet34c")
        if config.coordinates == "cylindrical" and config.voxel_angle != 1:
            raise InputError(
                f"SLidR's cylindrical voxels are 1 degree wide, these {config.voxel_angle:g}",
                "pre-train with network.voxel_angle=1",
            )
        return list(minkunet_rows(config))

    def differences(self, network: str, settings: NetworkSettings) -> Sequence[Difference]:
        if settings.channels == ("intensity",):
            return ()
        fed = ", ".join(settings.channels)
        return (
            Difference(
                f"SLidR feeds intensity alone, this network takes {fed}",
                'pre-train with network.channels=["intensity"]',
            ),
        )

    def differences_on(self, dataset: str | None, settings: NetworkSettings) -> Sequence[Difference]:
        if dataset is None or not dataset.startswith(("semantic_kitti", "kitti")):
            return ()
        return (
            Difference(
                "SLidR's loader of SemanticKITTI adds 1 to the intensity, which no weights can undo where voxels are "
                "missing around one",
                "take '+ 1.' off 'unique_feats' in SLidR's downstream/dataloader_kitti.py, then write with --inexact",
            ),
        )

    def wrapped(self, tensors: Mapping[str, Tensor], card: str) -> dict[str, Any]:
        return {"model_points": dict(tensors), "config": _compared(json.loads(card)["network_settings"]), "card": card}

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        config = cast("MinkUNetConfig", settings)
        keys = {
            **_compared(config.model_dump()),
            "use_intensity": True,
            "kernel_size": config.stem_kernel,
            "normalize_features": False,
        }
        notes = NOTES.format(scale=config.intensity_scale)
        layers, widths = sizes = planes(config)
        if sizes != PUBLISHED or config.stem != PUBLISHED[1][0]:
            notes += CLASS_NOTES.format(layers=layers, planes=widths, stem=config.stem)
        return ".yaml", notes + yaml.safe_dump(keys, sort_keys=False)

    def usage(self, file: Path) -> tuple[Step, ...]:
        return (
            Step(f"put the keys of {file.stem}.yaml into CFG.yaml, a copy of config/semseg_nuscenes.yaml"),
            Step("start from the file", (f"python downstream.py --cfg_file CFG.yaml --pretraining_path {file}",)),
            Step("read what it prints: 'Not loading weights:' should name nothing"),
        )


def _compared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What SLidR's loader compares with the config of the fine-tuning."""
    return {
        "voxel_size": settings["voxel_size"],
        "cylindrical_coordinates": settings["coordinates"] == "cylindrical",
    }
