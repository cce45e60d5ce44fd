"""LiDAR networks: each module but ``base`` is one; points in, a feature for every point out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.errors import DataError
from xmodal_core.points.base import PointNetwork
from xmodal_core.train.backbone import Backbone

__all__ = ["PointNetwork", "load_network", "restore_network"]


def load_network(name: str, settings: Mapping[str, Any] | None = None) -> PointNetwork:
    """The network ``name`` with fresh weights; ``settings`` are its own options (``preset``, ``channels`` …).

    Raises:
        InputError: the name or an option is unknown, or a value is out of bounds.
    """
    kind = plugins.load(plugins.NETWORK, name)
    config = validate(kind.Config, dict(settings or {}), "network", name)
    network: PointNetwork = kind(config)
    return network


def restore_network(backbone: Backbone) -> PointNetwork:
    """The network that ``backbone`` was saved from, with its settings and its weights.

    Raises:
        InputError: its card names a network or an option that is unknown here.
        DataError: a tensor is missing, unknown, or of another shape.
    """
    network = load_network(backbone.network, backbone.card["network_settings"])
    try:
        network.load_state_dict(dict(backbone.tensors))
    except RuntimeError as error:
        raise DataError(
            f"the tensors are not those of a '{backbone.network}' of the settings in the card: {_last_line(error)}",
            "use the file as it was written, by the version that wrote it",
        ) from None
    return network


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()
