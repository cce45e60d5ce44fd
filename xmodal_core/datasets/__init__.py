"""Data sets: each module but ``base`` is a reader; all give the same ``Frame``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.datasets.base import Dataset
from xmodal_core.rig import RigConfig

__all__ = ["Dataset", "open_dataset"]


def open_dataset(
    name: str, root: Path | str | None = None, options: Mapping[str, Any] | None = None, rig: RigConfig | None = None
) -> Dataset:
    """The data set ``name`` at ``root``; ``options`` are its own settings (``split`` …), ``rig`` makes the calibration
    of its cameras wrong.

    Raises:
        InputError: the name, an option or the split is unknown, or no root was given where one is needed.
        DataError: the folder does not hold this data set.
    """
    kind = plugins.load(plugins.DATASET, name)
    config = validate(kind.Config, dict(options or {}), "dataset", name)
    dataset: Dataset = kind.open(None if root is None else Path(root), config)
    dataset.rig = rig or RigConfig()
    return dataset
