"""Contrastive units: found in a sweep in the paper's order, one module a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmodal_core.units.config import UnitsConfig

if TYPE_CHECKING:
    from xmodal_core.units.discovery import discover

__all__ = ["UnitsConfig", "discover"]


def __getattr__(name: str) -> Any:
    # The settings are read by every command's help; only who calls ``discover`` pays for loading numba.
    if name == "discover":
        from xmodal_core.units.discovery import discover

        return discover
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
