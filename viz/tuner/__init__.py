"""The tuner: look at a frame, move a slider, see the units change, save the settings. A Dash app on this machine."""

from __future__ import annotations

from viz.tuner.server import serve

__all__ = ["serve"]
