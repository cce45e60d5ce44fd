"""Pointcept: a state_dict for weight=, backbone names, with the part of the config that fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from xmodal_core.errors import InputError
from xmodal_core.exporters._minkowski import SMALL, input_scales, minkunet_rows, planes
from xmodal_core.exporters._pointcept_spunet import spunet_arguments, spunet_rows
from xmodal_core.exporters._python_config import as_python
from xmodal_core.exporters._table import Row
from xmodal_core.exporters.base import Difference, Exporter, Step
from xmodal_core.points.base import NetworkSettings

if TYPE_CHECKING:
    from xmodal_core.points.minkunet import MinkUNetConfig
    from xmodal_core.points.spunet import SpUNetConfig

NOTES = """\
# Parts of a Pointcept config that begins with _base_ = ["the config to fine-tune by"].
# 'grid_sample' and 'collect' go in place of the transforms of these types; of test_cfg in place of their counterparts.
# GridSample keeps one point of each voxel; pre-training fed the mean of a voxel's points.
# 'strength' must be the intensity times {scale:g}.
# Pre-training took points with x, y, z from {low} to {high} alone.
"""
CLASS_NOTES = """\
# No class of Pointcept's mink_unet.py has these: derive one with LAYERS = {layers} and PLANES = {planes}.
"""
SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "MinkUNet14A": ((1,) * 8, (32, 64, 128, 256, 128, 128, 96, 96)),
    "MinkUNet18A": ((2,) * 8, (32, 64, 128, 256, 128, 128, 96, 96)),
    "MinkUNet34C": ((2, 3, 4, 6, 2, 2, 2, 2), (32, 64, 128, 256, 256, 128, 96, 96)),
}
"""LAYERS and PLANES of classes in pointcept/models/sparse_unet/mink_unet.py."""

STRENGTHS = {"nuscenes": 1 / 255, "semantic_kitti": 1.0, "waymo": 1.0}
"""What Pointcept multiplies the intensity of our data sets by: pointcept/datasets/nuscenes.py and semantic_kitti.py;
of Waymo its preprocess_waymo.py stores the tanh of it, as our data set gives it."""


class Pointcept(Exporter):
    """A ``.pth`` with ``state_dict`` in the names of Pointcept's SpUNet, or of its MinkUNet on MinkowskiEngine.

    ``final``, its classifier, is left out: a tensor of another shape makes Pointcept's loader raise. Intensity comes
    scaled by Pointcept's data sets already, so ``intensity_scale`` is not in the weights.
    """

    networks = ("spunet", "minkunet")
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = {"minkunet": {"preset": "minkunet34c_pointcept", **SMALL}}
    as_stored = False

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        if network == "spunet":
            return list(spunet_rows(cast("SpUNetConfig", settings)))
        config = cast("MinkUNetConfig", settings)
        if config.inputs != ("xyz", "channels") or config.coordinates != "cartesian" or config.stem_kernel != 5:
            raise InputError(
                "Pointcept's MinkUNet takes cartesian voxels with x, y, z and the channels, by a first kernel of 5",
                "pre-train with network.preset=minkunet34c_pointcept",
            )
        return list(minkunet_rows(config, "backbone.", as_stored=False))

    def differences(self, network: str, settings: NetworkSettings) -> Sequence[Difference]:
        found = []
        if settings.channels != ("intensity",):
            fed = ", ".join(settings.channels) or "none"
            found.append(
                Difference(
                    f"Pointcept's LiDAR data sets have the channel 'strength' alone, this network takes {fed}",
                    'pre-train with network.channels=["intensity"]',
                )
            )
        if getattr(settings, "origin", "cloud") != "cloud":
            found.append(
                Difference(
                    "Pointcept counts larger voxels from each cloud's own first ones, this network from the sensor",
                    "pre-train with network.origin=cloud, which the preset minkunet34c_pointcept has",
                )
            )
        return found

    def differences_on(self, dataset: str | None, settings: NetworkSettings) -> Sequence[Difference]:
        if dataset is None or "intensity" not in settings.channels:
            return ()
        ours = settings.intensity_scale
        theirs = STRENGTHS.get(dataset, ours)
        if not math.isclose(ours, theirs, rel_tol=1e-3):
            return (
                Difference(
                    f"Pointcept's '{dataset}' multiplies intensity by {theirs:g}, this network took it times {ours:g}",
                    f"pre-train with network.intensity_scale={theirs:g}",
                ),
            )
        return ()

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        config = cast("SpUNetConfig | MinkUNetConfig", settings)
        notes = NOTES.format(scale=config.intensity_scale, low=list(config.range[:3]), high=list(config.range[3:]))
        if network == "spunet":
            backbone = spunet_arguments(cast("SpUNetConfig", settings))
        else:
            backbone, more = _minkunet_arguments(cast("MinkUNetConfig", settings))
            notes += more
        values = {
            "model": {"backbone": backbone},
            "grid_sample": {
                "type": "GridSample",
                "grid_size": config.voxel_size,
                "hash_type": "fnv",
                "mode": "train",
                "return_grid_coord": True,
            },
            "collect": {
                "type": "Collect",
                "keys": ("coord", "grid_coord", "segment"),
                "feat_keys": ("coord", "strength"),
            },
        }
        return ".py", as_python(notes, values)

    def usage(self, file: Path) -> tuple[Step, ...]:
        return (
            Step(f"put 'model' of {file.stem}.py into your config, 'grid_sample' and 'collect' among its transforms"),
            Step("add to it", (f'weight = "{file}"',)),
            Step("read the log: only tensors of backbone.final should be missing"),
        )


def _minkunet_arguments(config: MinkUNetConfig) -> tuple[dict[str, Any], str]:
    """What builds the original's class, but for ``out_channels``, and what to say of it."""
    layers, widths = sizes = planes(config)
    known = next((name for name, of in SIZES.items() if of == sizes), None)
    notes = "" if known else CLASS_NOTES.format(layers=layers, planes=widths)
    return {"type": known or "YourMinkUNet", "in_channels": len(input_scales(config))}, notes
