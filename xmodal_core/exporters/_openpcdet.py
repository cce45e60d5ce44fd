"""What the tables of all networks in OpenPCDet's format share."""

from __future__ import annotations

from xmodal_core.points.base import NetworkSettings

FEATURE_NAMES = {"time_lag": "timestamp"}
"""OpenPCDet's names of per-point channels, where they are not ours."""


def feature_names(config: NetworkSettings) -> list[str]:
    """x, y, z and the network's channels, as OpenPCDet's ``used_feature_list`` calls them."""
    return ["x", "y", "z", *(FEATURE_NAMES.get(name, name) for name in config.channels)]


def scale_of(config: NetworkSettings) -> list[float]:
    """What the network multiplies each channel by, so that it can go into the first weights instead."""
    return [config.intensity_scale if name == "intensity" else 1.0 for name in config.channels]
