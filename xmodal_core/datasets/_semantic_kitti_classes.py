"""SemanticKITTI's labels: which of the benchmark's nineteen classes each number in a .label file stands for.

Source: semantic-kitti-api, config/semantic-kitti.yaml (``learning_map``, ``learning_map_inv``).
"""

from __future__ import annotations

import numpy as np

from xmodal_core.types import Ints

SEGMENTATION = (
    "ignore",
    "car",
    "bicycle",
    "motorcycle",
    "truck",
    "other-vehicle",
    "person",
    "bicyclist",
    "motorcyclist",
    "road",
    "parking",
    "sidewalk",
    "other-ground",
    "building",
    "fence",
    "vegetation",
    "trunk",
    "terrain",
    "pole",
    "traffic-sign",
)
"""The classes of the single-scan benchmark in its own numbering; 0 does not count."""

FILE_LABEL = (0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81)
"""What a submission writes for each of ``SEGMENTATION``."""

ALSO = {
    "ignore": (1, 52, 99),
    "car": (252,),
    "truck": (258,),
    "other-vehicle": (13, 16, 256, 257, 259),
    "person": (254,),
    "bicyclist": (253,),
    "motorcyclist": (255,),
    "road": (60,),
}
"""Further numbers of a class in .label files: what moves, and what is too rare for a class of its own."""


def class_of_label() -> Ints:
    """(65536,) the class of each number that the low 16 bits of a label can hold; -1 where the data set has none."""
    lookup = np.full(1 << 16, -1, dtype=np.int64)
    lookup[list(FILE_LABEL)] = np.arange(len(FILE_LABEL))
    for name, numbers in ALSO.items():
        lookup[list(numbers)] = SEGMENTATION.index(name)
    return lookup
