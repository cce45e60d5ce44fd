"""What other pre-training systems take as units, to be compared with ours on the same frames; one module a system.

``names()`` are the plugins' names, ``load(name)(frame, seed)`` is the pooling matrix of one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.units.peers.base import Peer


def names() -> list[str]:
    """The peers there are, sorted; imports none of them."""
    return plugins.names(plugins.PEER)


def load(name: str, options: Mapping[str, Any] | None = None) -> Peer:
    """The peer ``name``, ready to be called.

    Args:
        name: as ``names`` gives it.
        options: its settings, e.g. from a YAML file; None for those of the system that it stands for.

    Raises:
        InputError: the name or an option is unknown, or a value is out of bounds.
    """
    from xmodal_core.config import validate

    kind = plugins.load(plugins.PEER, name)
    peer: Peer = kind(validate(kind.Config, dict(options or {}), "peer", name))
    return peer
