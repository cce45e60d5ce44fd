"""Metrics: each module but ``base`` is one official protocol; predictions go in by frame, a ``Result`` comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.metrics.base import DetectionProtocol, Detections, Protocol, Result, SegmentationProtocol, Truth

__all__ = [
    "DetectionProtocol",
    "Detections",
    "Protocol",
    "Result",
    "SegmentationProtocol",
    "Truth",
    "open_protocol",
]


def open_protocol(name: str, options: Mapping[str, Any] | None = None) -> Protocol:
    """The protocol ``name``; ``options`` are its own settings.

    Raises:
        InputError: the name or an option is unknown.
    """
    kind = plugins.load(plugins.PROTOCOL, name)
    protocol: Protocol = kind(validate(kind.Config, dict(options or {}), "protocol", name))
    return protocol
