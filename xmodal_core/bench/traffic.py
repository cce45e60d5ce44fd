"""Made-up labels and predictions that meet every rule of a detection benchmark: duplicates, misses, near misses, wrong
classes, turned headings, boxes on either side of a distance bin's edge, empty frames.

NumPy's RandomState draws the same numbers in every version of it, so that golden values stay true.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmodal_core.metrics.base import Detections, Truth


@dataclass(frozen=True)
class Kind:
    """A class of road users: its typical size in metres and how common it is."""

    name: str
    size: tuple[float, float, float]
    share: float


WAYMO = (
    Kind("vehicle", (4.5, 1.9, 1.6), 0.5),
    Kind("pedestrian", (0.7, 0.7, 1.7), 0.25),
    Kind("sign", (0.2, 0.7, 0.7), 0.05),
    Kind("cyclist", (1.8, 0.7, 1.7), 0.2),
)
ONCE = (
    Kind("Car", (4.5, 1.9, 1.6), 0.4),
    Kind("Bus", (11.0, 2.8, 3.2), 0.1),
    Kind("Truck", (8.0, 2.6, 3.0), 0.1),
    Kind("Pedestrian", (0.7, 0.7, 1.7), 0.2),
    Kind("Cyclist", (1.8, 0.7, 1.7), 0.2),
)
KITTI = (
    Kind("Car", (3.9, 1.6, 1.5), 0.4),
    Kind("Van", (5.0, 1.9, 2.2), 0.1),
    Kind("Pedestrian", (0.8, 0.6, 1.7), 0.2),
    Kind("Person_sitting", (0.8, 0.6, 1.3), 0.1),
    Kind("Cyclist", (1.8, 0.6, 1.7), 0.2),
)


def traffic(
    kinds: tuple[Kind, ...], *, frames: int, boxes: int, seed: int, name: str = "context/{}"
) -> tuple[dict[str, Detections], dict[str, Truth]]:
    """Predictions and labels of ``frames`` frames with up to twice ``boxes`` labels each.

    Args:
        kinds: the classes.
        frames: how many.
        boxes: labels a frame, on average.
        seed: of what is drawn.
        name: of a frame, with a place for its timestamp.
    """
    rng = np.random.RandomState(seed)
    predictions, truth = {}, {}
    for number in range(frames):
        labels = _labels(rng, kinds, int(rng.randint(0, 2 * boxes + 1)))
        key = name.format(1_600_000_000_000_000 + 100_000 * number)
        truth[key] = labels
        predictions[key] = _predictions(rng, kinds, labels)
    return predictions, truth


def as_found(labels: Truth) -> Detections:
    """Every label found exactly, with score 0.9."""
    return Detections(
        labels.centre, labels.size, labels.yaw, labels.label, labels.classes, score=np.full(len(labels), 0.9)
    )


def _labels(rng: np.random.RandomState, kinds: tuple[Kind, ...], count: int) -> Truth:
    label = rng.choice(len(kinds), count, p=[kind.share for kind in kinds])
    away, bearing = rng.uniform(3, 75, count), rng.uniform(-np.pi, np.pi, count)
    centre = np.column_stack([away * np.cos(bearing), away * np.sin(bearing), rng.normal(0, 0.3, count)])
    size = np.array([kind.size for kind in kinds])[label] * rng.uniform(0.8, 1.2, (count, 3))
    return Truth(
        centre=centre,
        size=size,
        yaw=rng.uniform(-np.pi, np.pi, count),
        label=label.astype(np.int64),
        classes=tuple(kind.name for kind in kinds),
        difficulty=rng.randint(1, 3, count).astype(np.int64),
    )


def _predictions(rng: np.random.RandomState, kinds: tuple[Kind, ...], labels: Truth) -> Detections:
    """Of most labels one to three predictions close by, some of another class or turned round, and some of nothing."""
    copies = rng.choice([0, 1, 2, 3], len(labels), p=[0.15, 0.55, 0.2, 0.1])
    of = np.repeat(np.arange(len(labels)), copies)
    near = rng.uniform(0.02, 0.25, len(of))[:, None]
    stray = int(rng.randint(0, 8))
    away, bearing = rng.uniform(3, 75, stray), rng.uniform(-np.pi, np.pi, stray)
    other = rng.choice(len(kinds), stray)
    centre = labels.centre[of] + labels.size[of] * near * rng.normal(0, 1, (len(of), 3)) / 2
    size = labels.size[of] * (1 + near * rng.normal(0, 0.4, (len(of), 3)))
    yaw = labels.yaw[of] + near[:, 0] * rng.normal(0, 0.6, len(of)) + np.pi * (rng.random_sample(len(of)) < 0.1)
    label = np.where(rng.random_sample(len(of)) < 0.05, rng.choice(len(kinds), len(of)), labels.label[of])
    score = np.clip(1 - 2 * near[:, 0] + rng.normal(0, 0.25, len(of)), 0, 1)
    score[rng.random_sample(len(of)) < 0.03] = 1.0
    count = len(of) + stray
    shuffled = rng.permutation(count)
    return Detections(
        centre=np.concatenate(
            [centre, np.column_stack([away * np.cos(bearing), away * np.sin(bearing), np.zeros(stray)])]
        )[shuffled],
        size=np.concatenate([np.maximum(size, 0.05), np.array([kind.size for kind in kinds])[other]])[shuffled],
        yaw=_wrapped(np.concatenate([yaw, rng.uniform(-np.pi, np.pi, stray)]))[shuffled],
        label=np.concatenate([label, other]).astype(np.int64)[shuffled],
        classes=tuple(kind.name for kind in kinds),
        score=np.concatenate([score, rng.uniform(0, 0.6, stray)])[shuffled].astype(np.float32).astype(np.float64),
        in_no_label_zone=rng.random_sample(count) < 0.05,
    )


def _wrapped(yaw: np.ndarray) -> np.ndarray:
    return (yaw + np.pi) % (2 * np.pi) - np.pi
