"""The generated drive: procedural streets in nuScenes' format, made into the user's cache on first use.

What it holds and how it is made: ``sample_data``.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from xmodal_core.config import Settings, setting
from xmodal_core.datasets.base import Dataset
from xmodal_core.datasets.nuscenes import NuScenes, NuScenesConfig
from xmodal_core.errors import InputError

VERSION = "v1.0-sample"


class SampleConfig(NuScenesConfig):
    """Options of ``sample``."""

    split: str = setting("all", "'all', or a split of the drive's splits.json")
    version: str = setting(VERSION, "Folder of the tables")


class Sample(NuScenes):
    """Keyframes of the generated drive; see ``NuScenes``, whose format it has."""

    Config: ClassVar[type[Settings]] = SampleConfig
    layout: ClassVar[tuple[str, ...]] = ("v1.0-sample/*.json           the tables", *NuScenes.layout[1:])

    @classmethod
    def open(cls, root: Path | None, config: Settings) -> Dataset:
        """The drive at ``root``; without one the cached drive, which is made first if it is not there (minutes)."""
        if not isinstance(config, SampleConfig):
            raise InputError(f"'sample' cannot be opened with {type(config).__name__}", "use SampleConfig")
        if root is None:
            from sample_data import ensure_drive

            root = ensure_drive()
        return cls(root, config)


def example(root: Path, frames: int = 2) -> Path:
    """One scene of ``frames`` keyframes with small pictures."""
    from sample_data import ensure_drive
    from sample_data.settings import DriveSettings

    return ensure_drive(root, DriveSettings(scenes=1, frames=frames, image_width=160, image_height=90))
