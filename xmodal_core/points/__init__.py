"""LiDAR networks: each module but ``base`` is one; points in, a feature for every point out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.points.base import PointNetwork

__all__ = ["PointNetwork", "load_network"]


def load_network(name: str, settings: Mapping[str, Any] | None = None) -> PointNetwork:
    """The network ``name`` with fresh weights; ``settings`` are its own options (``preset``, ``channels`` …).

    Raises:
        InputError: the name or an option is unknown, or a value is out of bounds.
    """
    kind = plugins.load(plugins.NETWORK, name)
    config = validate(kind.Config, dict(settings or {}), "network", name)
    network: PointNetwork = kind(config)
    return network
