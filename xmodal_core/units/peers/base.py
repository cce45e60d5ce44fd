"""What a peer is: a frame in, the units that another system would contrast in it out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from xmodal_core.config import Settings
from xmodal_core.types import Frame, Ints, Pooling


class Peer(ABC):
    """Another system's units, with its own published settings as defaults.

    A plugin gives ``Config`` (its options), ``system`` (whose units these are) and ``source`` (where the settings are
    from), both for tables.

    Args:
        config: the plugin's own settings.
    """

    Config: ClassVar[type[Settings]]
    system: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, config: Settings) -> None:
        self.config = config

    @abstractmethod
    def __call__(self, frame: Frame, seed: int = 0) -> Pooling:
        """The units of ``frame`` as a pooling matrix (U x N), rows summing to 1; no rows where there are none.

        The same frame and ``seed`` give the same units.

        Raises:
            DataError: a picture of the frame is missing or damaged.
            RunError: a library that the peer needs cannot be loaded.
        """


def averages(unit: Ints, point: Ints, points: int) -> Pooling:
    """The pooling matrix in which each unit averages its points.

    Args:
        unit, point: (K,) the members, point ``point[k]`` in unit ``unit[k]``, no pair twice. Units that have members
            become rows in the order of their numbers; numbers without members are passed over.
        points: how many there are in the frame.
    """
    _, row, count = np.unique(unit, return_inverse=True, return_counts=True)
    order = np.lexsort((point, row))
    weight = (1.0 / count[row]).astype(np.float32)
    return Pooling(row[order].astype(np.int64), point[order].astype(np.int64), weight[order], (len(count), points))
