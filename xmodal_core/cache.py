"""Where things that can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder(*parts: str) -> Path:
    """The user's cache folder of xmodal, or ``parts`` within it; ``XMODAL_CACHE`` overrides its place.

    It is only named here, not made.
    """
    base = os.environ.get("XMODAL_CACHE") or platformdirs.user_cache_dir("xmodal")
    return Path(base, *parts).expanduser()
