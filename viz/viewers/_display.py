"""Whether there is a display to open a window on."""

from __future__ import annotations

import os
import sys


def no_display() -> str | None:
    """None where there is a display, else why not, in words."""
    if sys.platform in ("win32", "darwin"):
        return None
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return None
    return "no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
