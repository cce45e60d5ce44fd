"""Pointcept: a state_dict for weight=, backbone names, with the part of the config that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from xmodal_core.errors import InputError
from xmodal_core.exporters._minkowski import SMALL, input_scales, minkunet_rows, planes
from xmodal_core.exporters._python_config import as_python
from xmodal_core.exporters.base import Exporter, Row
from xmodal_core.points.base import NetworkSettings

if TYPE_CHECKING:
    from xmodal_core.points.minkunet import MinkUNetConfig

NOTES = """\
# Parts of a Pointcept config. Its grid_coord starts at the cloud's own least coordinates; for the voxels of
# pre-training count cells from the sensor, or from a multiple of {stride} cells.
# GridSample keeps one point of each voxel; pre-training fed the mean of a voxel's points.
# The first kernel expects 'strength' as the data set stores intensity: intensity_scale {scale:g} is in it. Where the
# data set's class divides already (Pointcept's nuScenes by 255), undo that.
# The backbone's class must have LAYERS = {layers} and PLANES = {planes}, and a first kernel of
# {kernel} (MinkUNet34C: 2,3,4,6,2,2,2,2; 32,64,128,256,256,128,96,96; 5).
"""


class Pointcept(Exporter):
    """A ``.pth`` with ``state_dict`` in the names of Pointcept's MinkUNet34C on MinkowskiEngine.

    ``final``, its classifier, is left out: a tensor of another shape makes Pointcept's loader raise.
    """

    networks = ("minkunet",)
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = {"minkunet": {"preset": "minkunet34c_pointcept", **SMALL}}

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        config = cast("MinkUNetConfig", settings)
        if config.inputs != ("xyz", "channels") or config.coordinates != "cartesian":
            raise InputError(
                "Pointcept's MinkUNet takes cartesian voxels with x, y, z and the channels",
                "pre-train with network.preset=minkunet34c_pointcept",
            )
        return list(minkunet_rows(config, "backbone."))

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        config = cast("MinkUNetConfig", settings)
        layers, widths = planes(config)
        notes = NOTES.format(
            stride=2 ** len(config.encoder),
            scale=config.intensity_scale,
            layers=",".join(map(str, layers)),
            planes=",".join(map(str, widths)),
            kernel=config.stem_kernel,
        )
        return ".py", as_python(
            notes,
            {
                "grid_size": config.voxel_size,
                "feat_keys": ("coord", "strength"),
                "point_cloud_range": config.range,
                "backbone": {"type": "MinkUNet34C", "in_channels": len(input_scales(config))},
            },
        )

    def usage(self, file: Path) -> tuple[str, ...]:
        return (
            f"put what {file.stem}.py says into the config, then add",
            f'weight = "{file.name}"',
            "the log should name as missing only backbone.final",
        )
