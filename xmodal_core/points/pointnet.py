"""PointNet++ with several scales, as PointRCNN has it: few points see their surroundings, all get features of them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points._neighbours import (
    Cloud,
    Nearest,
    balls,
    farthest_points,
    first_rows,
    gathered,
    shuffled,
    stable_order,
    three_nearest,
)
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points._stages import GROUPING, LAYERS, READ, SAMPLING, stage
from xmodal_core.points.base import NetworkSettings, PointFeatures, PointNetwork

Widths = tuple[int, ...]


class PointNetConfig(NetworkSettings):
    """Options of ``pointnet``; ``pointrcnn`` is the backbone of OpenPCDet's ``kitti_models/pointrcnn``."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            "channels": ("intensity",),
            "range": (-80.0, -80.0, -5.0, 80.0, 80.0, 3.0),
            "sample": 8192,
            "centres": (1024, 256, 64),
            "radii": ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0)),
            "neighbours": ((8, 16), (8, 16), (8, 16)),
            "scales": (((16, 16), (16, 32)), ((32, 32), (32, 64)), ((64, 64), (64, 128))),
            "propagation": ((64, 64), (64, 64), (128, 64)),
        },
        "pointrcnn": {
            "channels": ("intensity",),
            "range": (0.0, -40.0, -3.0, 70.4, 40.0, 1.0),
            "sample": 16384,
            "centres": (4096, 1024, 256, 64),
            "radii": ((0.1, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 4.0)),
            "neighbours": ((16, 32), (16, 32), (16, 32), (16, 32)),
            "scales": (
                ((16, 16, 32), (32, 32, 64)),
                ((64, 64, 128), (64, 96, 128)),
                ((128, 196, 256), (128, 196, 256)),
                ((256, 256, 512), (256, 384, 512)),
            ),
            "propagation": ((128, 128), (256, 256), (512, 512), (512, 512)),
        },
    }

    preset: Literal["tiny", "pointrcnn"] = setting(
        "tiny", "which network; 'tiny' trains on a CPU, 'pointrcnn' is the backbone of OpenPCDet's PointRCNN for KITTI"
    )
    range: tuple[float, float, float, float, float, float] = setting(
        (-80.0, -80.0, -5.0, 80.0, 80.0, 3.0),
        "where points are looked at: x, y, z from, x, y, z to; points outside get zeros",
        unit="m",
    )
    sample: int = setting(
        8192,
        "points of a frame that the levels are made from, drawn by lot; all others get features by propagation",
        unit="points",
        ge=1,
        le=1_000_000,
    )
    keep_beyond: float = setting(
        40.0, "points farther off than this are drawn first, as OpenPCDet does", unit="m", ge=0.0, le=1000.0
    )
    centres: Widths = setting((1024, 256, 64), "points of a frame that each level keeps", unit="points")
    radii: tuple[tuple[float, ...], ...] = setting(
        ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0)), "of each level, the radius of the neighbourhood at each scale", unit="m"
    )
    neighbours: tuple[Widths, ...] = setting(
        ((8, 16), (8, 16), (8, 16)), "of each level, the most points of a neighbourhood at each scale", unit="points"
    )
    scales: tuple[tuple[Widths, ...], ...] = setting(
        (((16, 16), (16, 32)), ((32, 32), (32, 64)), ((64, 64), (64, 128))),
        "of each level and scale, the features after each layer",
        unit="features",
    )
    propagation: tuple[Widths, ...] = setting(
        ((64, 64), (64, 64), (128, 64)),
        "on the way back to each level, that of all points first, the features after each layer",
        unit="features",
    )

    @model_validator(mode="after")
    def _check(self) -> PointNetConfig:
        levels = {len(part) for part in (self.centres, self.radii, self.neighbours, self.scales, self.propagation)}
        if len(levels) != 1 or not self.centres:
            raise ValueError("centres, radii, neighbours, scales and propagation must have as many entries each")
        for parts in zip(self.radii, self.neighbours, self.scales, strict=True):
            if len({len(part) for part in parts}) != 1 or not parts[0]:
                raise ValueError("radii, neighbours and scales must have as many entries each within a level")
            if min(parts[0]) <= 0 or min(parts[1]) < 1:
                raise ValueError("radii and neighbours must be above zero")
        if any(not layers or min(layers) < 1 for layers in [*self.propagation, *sum(self.scales, ())]):
            raise ValueError("scales and propagation need a layer at least, and widths above zero")
        if min(self.centres) < 1 or list(self.centres) != sorted(self.centres, reverse=True):
            raise ValueError("centres must not grow from level to level")
        if any(low >= high for low, high in zip(self.range[:3], self.range[3:], strict=True)):
            raise ValueError("range: each of the first three numbers must be below its partner of the last three")
        return self


class PointNet(PointNetwork):
    """PointNet++ with multi-scale grouping (Qi 2017), the layers of OpenPCDet's ``PointNet2MSG``.

    OpenPCDet draws 16,384 points of a sweep and shuffles them; what it draws differs every time. Here lots are drawn
    too, but by the points themselves (``shuffled``): a sweep gives the same features every time and in any order of
    its points. A frame with fewer points than ``sample`` or a level's ``centres`` has those, where OpenPCDet repeats
    some. The layers of ``propagation`` run for every point in range, drawn or not.
    """

    Config = PointNetConfig
    config: PointNetConfig

    def __init__(self, config: PointNetConfig) -> None:
        super().__init__(config)
        width = len(config.channels)
        widths = [width]
        self.levels, self.spreads = nn.ModuleList(), nn.ModuleList()
        for scales in config.scales:
            self.levels.append(nn.ModuleList(_Layers(3 + width, layers) for layers in scales))
            width = sum(layers[-1] for layers in scales)
            widths.append(width)
        for layers, own, deeper in zip(
            config.propagation, widths, [*(part[-1] for part in config.propagation[1:]), width], strict=False
        ):
            self.spreads.append(_Layers(deeper + own, layers))
        self.width = config.propagation[0][-1]

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        channels = self.scaled_channels(points, channels, offsets).to(self.dtype)
        rows, inside = self._in_range(points, offsets)
        features = points.new_zeros(len(points), self.width, dtype=self.dtype)
        if len(rows) == 0:
            return PointFeatures(features, None)
        everything = Cloud(points, offsets).rows(rows, inside)
        found = self._all_levels(everything, channels[rows])
        with stage(READ):
            return PointFeatures(features.to(found.dtype).index_copy(0, rows, found), None)

    def drawn(self, points: Tensor, offsets: Tensor) -> Tensor:
        """The rows of the points that are drawn, in the order of their lots: what the network sees is theirs alone."""
        rows, inside = self._in_range(points, offsets)
        return rows[self._draw(Cloud(points, offsets).rows(rows, inside))[0]]

    @stage(SAMPLING)
    def _in_range(self, points: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of the points within the range, in the order of their lots, and the offsets of those."""
        low, high = points.new_tensor(self.config.range[:3]), points.new_tensor(self.config.range[3:])
        rows = ((points >= low) & (points < high)).all(1).nonzero()[:, 0]
        frame = Cloud(points, offsets).frame[rows]
        order, sizes = _order(frame, shuffled(points.index_select(0, rows)), len(offsets) - 1)
        return rows[order], nn.functional.pad(sizes.cumsum(0), (1, 0))

    def _all_levels(self, everything: Cloud, channels: Tensor) -> Tensor:
        """(N,width) features of all points, from the drawn ones down to the fewest centres and back."""
        with stage(SAMPLING):
            drawn, offsets = self._draw(everything)
        clouds, features, reaches = [everything.rows(drawn, offsets)], [channels[drawn]], []
        for level in range(len(self.levels)):
            with stage(SAMPLING):
                sampled = farthest_points(clouds[-1], self.config.centres[level])
            centres = clouds[-1].rows(sampled.rows, sampled.offsets)
            features.append(self._neighbourhoods(level, clouds[-1], centres, features[-1]))
            clouds.append(centres)
            reaches.append(sampled.reach)
        clouds[0], features[0] = everything, channels
        spread = features.pop()
        for level in reversed(range(len(self.spreads))):
            with stage(GROUPING):
                nearest = three_nearest(clouds[level + 1], clouds[level], reaches[level])
            with stage(LAYERS):
                spread = cast("_Layers", self.spreads[level]).spread(spread, nearest, features[level])
        return spread

    def _draw(self, everything: Cloud) -> tuple[Tensor, Tensor]:
        """Rows of the drawn points, in the order of ``everything``, and their offsets.

        As OpenPCDet's ``sample_points``: those beyond ``keep_beyond`` first, unless they alone are too many.
        """
        frame, beyond = everything.frame, everything.points.norm(dim=1) >= self.config.keep_beyond
        frames = len(everything.offsets) - 1
        too_many = torch.bincount(frame[beyond], minlength=frames) >= self.config.sample
        order, _ = stable_order(2 * frame + (~beyond & ~too_many[frame]), 2 * frames)
        first, offsets = first_rows(everything.offsets, self.config.sample)
        return torch.sort(order[first])[0], offsets

    def _neighbourhoods(self, level: int, cloud: Cloud, centres: Cloud, features: Tensor) -> Tensor:
        """(M,C) what each of ``centres`` sees of ``cloud`` and its ``features``, scale after scale."""
        radii, sizes = self.config.radii[level], self.config.neighbours[level]
        with stage(GROUPING):
            members = balls(cloud, centres, radii, sizes)
        with stage(LAYERS):
            seen = [
                cast("_Layers", layers).highest(features, ball, cloud.points[ball] - centres.points[:, None])
                for layers, ball in zip(self.levels[level].children(), members, strict=True)
            ]
            return torch.cat(seen, dim=1)


def _order(frame: Tensor, key: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """What sorts by frame, then by ``key``, then as it was; how many are in each frame."""
    order = torch.argsort(key, stable=True)
    by_frame, sizes = stable_order(frame[order], frames)
    return order[by_frame], sizes


class _Layers(nn.Module):
    """Matrices, each followed by batch norm over all rows and ReLU.

    What comes in is two things side by side. The first matrix is taken apart accordingly, so that features are
    multiplied before they are copied to every neighbourhood; the numbers are the same.
    """

    def __init__(self, width: int, widths: Widths) -> None:
        super().__init__()
        self.linears, self.norms = nn.ModuleList(), nn.ModuleList()
        for out in widths:
            self.linears.append(nn.Linear(width, out, bias=False))
            self.norms.append(BatchNorm(out))
            width = out

    def highest(self, features: Tensor, members: Tensor, steps: Tensor) -> Tensor:
        """(M,C) maxima over each neighbourhood.

        Args:
            features: (N,F) of the cloud's points.
            members: (M,K) int64, which of them are in each neighbourhood.
            steps: (M,K,3) metres from the neighbourhood's centre to them.
        """
        step, feature = self._first(3)
        near = nn.functional.linear(steps.flatten(0, 1).to(step.dtype), step)
        own = nn.functional.linear(features, feature)
        rows = self._after_first(near + gathered(members, len(features)).rows(own))
        return rows.view(*members.shape, -1).amax(1)

    def spread(self, known: Tensor, nearest: Nearest, own: Tensor) -> Tensor:
        """(N,C) for every point, from the ``known`` (M,F) of the level below, interpolated, and its ``own`` (N,G)."""
        below, skip = self._first(known.shape[1])
        interpolated = nearest.interpolated(nn.functional.linear(known, below))
        return self._after_first(interpolated + nn.functional.linear(own, skip))

    def _first(self, columns: int) -> tuple[Tensor, Tensor]:
        """The first matrix: its first ``columns``, and the others."""
        matrix: Tensor = self.linears[0].weight  # type: ignore[assignment]
        return matrix[:, :columns], matrix[:, columns:]

    def _after_first(self, rows: Tensor) -> Tensor:
        rows = torch.relu(self.norms[0](rows))
        for number in range(1, len(self.linears)):
            rows = torch.relu(self.norms[number](self.linears[number](rows)))
        return rows
