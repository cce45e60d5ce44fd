"""The settings of unit discovery, one class a step. Light to import: the help and the tuner read it."""

from __future__ import annotations

from typing import Literal

from xmodal_core.config import Settings, setting


class GroundConfig(Settings):
    """Ground removal: Himmelsbach 2010 line fit (IROS 2024 paper, section III-B)."""


class SeedsConfig(Settings):
    """Farthest point sampling with height ignored, among points that are not ground and that a camera sees."""

    count: int = setting(2048, "how many seeds farthest point sampling chooses", unit="points", ge=16, le=8192, step=16)


class ContextConfig(Settings):
    """The points around a seed whose features are averaged."""

    kind: Literal["neighbours", "pillar"] = setting(
        "neighbours", "average a seed's nearest neighbours, or all points of the pillar around it"
    )


class InstancesConfig(Settings):
    """Klasing's radially bounded nearest neighbours and the filters on what it finds."""

    enabled: bool = setting(True, "find instances and merge their seeds; off: every seed stays a unit of its own")


class UnitsConfig(Settings):
    """All settings of ``units.discover``, in the order of its steps."""

    ground: GroundConfig = GroundConfig()
    seeds: SeedsConfig = SeedsConfig()
    context: ContextConfig = ContextConfig()
    instances: InstancesConfig = InstancesConfig()
