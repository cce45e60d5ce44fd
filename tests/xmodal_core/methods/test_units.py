"""The paper's method against a loop over frames and units."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xmodal_core.config import Settings, validate
from xmodal_core.errors import InputError
from xmodal_core.images import Teacher
from xmodal_core.images.base import TeacherConfig
from xmodal_core.methods.base import Outcome
from xmodal_core.methods.units import UnitContrast, UnitsMethodConfig
from xmodal_core.points.base import PointFeatures, PointNetwork
from xmodal_core.train.batch import Batch, Example, SparseMatrix, collate
from xmodal_core.types import Pixels, Pooling


class Shallow(PointNetwork):
    Config = Settings
    width = 5

    def __init__(self) -> None:
        super().__init__(Settings())
        self.layer = nn.Linear(4, 5)

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        return PointFeatures(self.layer(torch.cat([points, channels], dim=1)), None)


class Colours(Teacher):
    """Mean colours and mean squares of colours of squares of four pixels."""

    Config = TeacherConfig
    channels = (6,)
    strides = (4,)

    def __init__(self) -> None:
        super().__init__(TeacherConfig())
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(torch.cat([images, images**2], dim=1) * self.scale, 4)]


def pooling(random: np.random.Generator, rows: int, columns: int) -> Pooling:
    """Rows of two to four columns, no two alike, weights summing to 1."""
    chosen = [np.sort(random.choice(columns, random.integers(2, 5), replace=False)) for _ in range(rows)]
    row = np.repeat(np.arange(rows), [len(each) for each in chosen])
    weight = random.uniform(0.5, 1, len(row))
    weight = (weight / np.bincount(row, weight)[row]).astype(np.float32)
    return Pooling(row, np.concatenate(chosen), weight, (rows, columns))


def example(seed: int, units: int) -> Example:
    random = np.random.default_rng(seed)
    pixels = Pixels(
        np.arange(20),
        random.integers(0, 2, 20),
        random.uniform(1, 30, 20).astype(np.float32),
        random.uniform(1, 14, 20).astype(np.float32),
    )
    return Example(
        name=f"frame {seed}",
        points=random.standard_normal((30, 3)).astype(np.float32),
        channels=random.standard_normal((30, 1)).astype(np.float32),
        pooling=pooling(random, units, 30),
        image_pooling=pooling(random, units, 20),
        pixels=pixels,
        images=tuple(random.integers(0, 256, (16, 32, 3)).astype(np.uint8) for _ in range(2)),
    )


BATCH = collate([example(0, 9), example(1, 6), example(2, 2)])


def make(**settings: Any) -> UnitContrast:
    torch.manual_seed(0)
    config = validate(UnitsMethodConfig, {"hidden": 16, "projection": 8, **settings})
    return UnitContrast(config, Shallow(), Colours())


def dense(matrix: SparseMatrix) -> Tensor:
    result = torch.zeros(matrix.shape)
    result[matrix.row, matrix.column] = matrix.weight
    return result


def seen(batch: Batch) -> Tensor:
    """The units' image features: every pixel by grid_sample, then averaged."""
    maps = Colours()(batch.images.float() / 255)[0]
    size = torch.tensor([batch.images.shape[3], batch.images.shape[2]])
    grid = (batch.pixel_uv + 0.5) / size * 2 - 1
    each = [
        F.grid_sample(maps[image : image + 1], place[None, None, None], padding_mode="border", align_corners=False)
        for image, place in zip(batch.pixel_image.tolist(), grid, strict=True)
    ]
    return dense(batch.image_pooling) @ torch.cat(each).flatten(1)


def standard(features: Tensor) -> Tensor:
    return (features - features.mean(0)) / (features.var(0, correction=0) + 1e-5).sqrt()


def naive(method: UnitContrast, batch: Batch) -> dict[str, float]:
    """Loss and measures, one unit after the other."""
    config = method.config
    frames = list(pairwise(batch.unit_offsets.tolist()))
    features = seen(batch)
    if config.standardise == "frame":
        features = torch.cat([standard(features[a:b]) for a, b in frames])
    elif config.standardise == "batch":
        features = standard(features)
    image, lidar = (
        method.image_head(features),
        method.point_head(dense(batch.pooling) @ method.network(batch.points, batch.channels, batch.offsets).features),
    )
    z, p = (F.normalize(view, dim=1).detach().double().numpy() for view in (image, lidar))
    alike = z if config.similarity == "projected" else F.normalize(features, dim=1).double().numpy()
    losses, hits, kept = [], [], 0
    for begin, end in frames if config.scope == "frame" else [(0, frames[-1][1])]:
        terms, found = [], []
        for i in range(begin, end):
            others = [j for j in range(begin, end) if j != i]
            by_similarity = sorted(others, key=lambda j: alike[i] @ alike[j])
            count = round(config.negatives * len(others)) if config.negatives < 1 else int(config.negatives)
            count = min(max(count, 1), len(others))
            negatives = by_similarity[: count - 1 if config.literal else count]
            kept += len(negatives)
            for anchors, candidates in ((z, p), (p, z))[: 2 if config.symmetric else 1]:
                values = [anchors[i] @ candidates[j] / config.temperature for j in [i, *negatives]]
                if negatives:
                    terms.append(math.log(sum(math.exp(value - values[0]) for value in values)))
                    found.append(values[0] > max(values[1:]))
        losses.append(np.mean(terms) if terms else 0.0)
        hits.append(np.mean(found) if found else 1.0)
    alignments = [np.mean([z[i] @ p[i] for i in range(a, b)]) for a, b in frames]
    return {
        "loss": float(np.mean(losses)),
        "contrastive_accuracy": float(np.mean(hits)),
        "alignment": float(np.mean(alignments if config.scope == "frame" else (z * p).sum(1))),
        "units": len(z) / len(frames),
        "negatives": kept / len(z),
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"negatives": 0.25, "symmetric": False, "norm": False},
        {"negatives": 3, "literal": True, "temperature": 0.2},
        {"negatives": 1, "literal": True},
        {"negatives": 1000, "scope": "batch", "similarity": "teacher"},
        {"similarity": "teacher", "standardise": "batch"},
        {"similarity": "teacher", "standardise": "none", "scope": "batch", "negatives": 4},
    ],
)
def test_it_is_the_paper_written_out(settings: dict[str, Any]) -> None:
    method = make(**settings)
    outcome: Outcome = method(BATCH)
    wanted = naive(method, BATCH)
    assert float(outcome.loss.detach()) == pytest.approx(wanted.pop("loss"), rel=1e-4, abs=1e-6)
    assert set(outcome.measures) == set(wanted)
    for name, value in wanted.items():
        assert float(outcome.measures[name]) == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_a_batch_costs_the_mean_of_its_frames() -> None:
    method = make().eval()  # while it is trained, batch norm looks at the whole batch
    alone = [float(method(collate([example(seed, units)])).loss.detach()) for seed, units in ((0, 9), (1, 6), (2, 2))]
    assert float(method(BATCH).loss.detach()) == pytest.approx(float(np.mean(alone)), rel=1e-4)


def test_frames_of_a_batch_are_negatives_only_if_asked() -> None:
    """With all others as negatives, the count of negatives tells whose they are."""
    own, all_of = (make(negatives=1000, scope=scope)(BATCH).measures["negatives"] for scope in ("frame", "batch"))
    assert float(own) == pytest.approx((9 * 8 + 6 * 5 + 2 * 1) / 17)
    assert float(all_of) == 16


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modality": "single"}, "modality"),
        ({"temperature": 0}, "temperature"),
        ({"negatives": -1}, "negatives"),
        ({"tau": 0.1}, "no setting 'tau'"),
    ],
)
def test_settings_out_of_bounds_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make(**settings)
