"""What is kept of teachers' views, recipe by recipe, and how room is made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from xmodal_core.cache import cache_folder

RECIPE = "recipe.json"
"""The file of a recipe's folder that says what it is; its time is when the recipe was last used."""
IN_USE = 3600.0
"""Seconds since a recipe was last used in which it is not forgotten to make room."""


class Kept(NamedTuple):
    """A recipe that is kept: its folder, what it says, how many frames, how many bytes, when it was last used (seconds
    since 1970)."""

    folder: Path
    recipe: Mapping[str, Any]
    frames: int
    bytes: int
    used: float


def memories() -> Path:
    """The folder of all recipes where no other is named."""
    return cache_folder("teacher")


def kept_in(folder: Path) -> list[Kept]:
    """The recipes in ``folder``, the one used last first."""
    found = []
    for place in _recipes(folder):
        try:
            recipe = json.loads((place / RECIPE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            recipe = {}
        frames = sum(1 for _ in place.glob("*/[!.]*.npz"))
        found.append(Kept(place, recipe, frames, bytes_in(place), _used(place)))
    return sorted(found, key=lambda kept: -kept.used)


def forget(kept: Kept) -> None:
    """Delete a recipe with all its files."""
    shutil.rmtree(kept.folder, ignore_errors=True)


def bytes_in(folder: Path) -> int:
    """The bytes of all files below ``folder``; those that vanish meanwhile do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def forgettable(folder: Path) -> list[Path]:
    """The recipes in ``folder`` that nobody uses, the one used longest ago first."""
    return sorted((place for place in _recipes(folder) if time() - _used(place) > IN_USE), key=_used)


def _recipes(folder: Path) -> list[Path]:
    return [place.parent for place in folder.glob(f"*/{RECIPE}")]


def _used(place: Path) -> float:
    try:
        return (place / RECIPE).stat().st_mtime
    except OSError:
        return 0.0
