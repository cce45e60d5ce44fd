"""CenterPoint's pillar network: pillars, a 2D backbone and neck, features read back from the bird's-eye map."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points._bev import NORM_EPS, BevNetwork, BevSettings
from xmodal_core.points._cells import Cells, find_cells, on_grid
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points._stages import LAYERS, VOXELISE, stage

_FULL: dict[str, Any] = {
    "centre_offsets": "xyz",
    "pillar_features": (64, 64),
    "blocks": (3, 5, 5),
    "strides": (2, 2, 2),
    "features": (64, 128, 256),
    "up_strides": (1, 2, 4),
    "up_features": (128, 128, 128),
    "norm_momentum": 0.01,
}
_NUSCENES = {
    **_FULL,
    "channels": ("intensity", "time_lag"),
    "range": (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
    "pillar_size": 0.2,
    "up_strides": (0.5, 1, 2),
}
_WAYMO = {
    **_FULL,
    "channels": ("intensity", "elongation"),
    "range": (-74.88, -74.88, -2.0, 74.88, 74.88, 4.0),
    "pillar_size": 0.32,
    "strides": (1, 2, 2),
}
_KITTI = {
    **_FULL,
    "channels": ("intensity",),
    "range": (0.0, -39.68, -3.0, 69.12, 39.68, 1.0),
    "pillar_size": 0.16,
    "pillar_features": (64,),
}
_DYNAMIC: dict[str, Any] = {"points_per_pillar": None, "max_pillars": None}


def _hard(points: int, pillars: tuple[int, int]) -> dict[str, Any]:
    return {"points_per_pillar": points, "max_pillars": pillars}


class PillarsConfig(BevSettings):
    """Options of ``pillars``. Its presets are the networks of these files, to be fine-tuned with them:

    ==================  =========================================================================  ==========
    preset              file                                                                       parameters
    ==================  =========================================================================  ==========
    ``nuscenes``        OpenPCDet nuscenes_models/cbgs_dyn_pp_centerpoint                          4,393,248
    ``nuscenes_det3d``  CenterPoint nusc_centerpoint_pp_02voxel_two_pfn_10sweep                    4,393,216
    ``waymo``           OpenPCDet waymo_models/centerpoint_dyn_pillar_1x                           4,811,040
    ``waymo_hard``      OpenPCDet waymo_models/centerpoint_pillar_1x                               4,811,040
    ``waymo_det3d``     CenterPoint waymo_centerpoint_pp_two_pfn_stride1_3x                        4,811,008
    ``kitti``           OpenPCDet kitti_models/pointpillar with ``DynPillarVFE``                   4,807,168
    ``kitti_hard``      OpenPCDet kitti_models/pointpillar                                         4,807,168
    ==================  =========================================================================  ==========
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            # A map of 128 x 128: of nuScenes' extent, and six times cheaper than one of 80 m with pillars of 0.25 m.
            "channels": ("intensity",),
            "range": (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
            "pillar_size": 0.4,
            **_DYNAMIC,
            "centre_offsets": "xyz",
            "pillar_features": (32,),
            "blocks": (1, 1, 1),
            "strides": (2, 2, 2),
            "features": (32, 64, 64),
            "up_strides": (1, 2, 4),
            "up_features": (32, 32, 32),
            "norm_momentum": 0.1,
        },
        "nuscenes": {**_NUSCENES, **_DYNAMIC},
        "nuscenes_det3d": {**_NUSCENES, **_hard(20, (30_000, 60_000)), "centre_offsets": "xy"},
        "waymo": {**_WAYMO, **_DYNAMIC},
        "waymo_hard": {**_WAYMO, **_hard(20, (150_000, 150_000))},
        "waymo_det3d": {**_WAYMO, **_hard(20, (32_000, 60_000)), "centre_offsets": "xy"},
        "kitti": {**_KITTI, **_DYNAMIC},
        "kitti_hard": {**_KITTI, **_hard(32, (16_000, 40_000))},
    }

    preset: Literal[
        "tiny", "nuscenes", "nuscenes_det3d", "waymo", "waymo_hard", "waymo_det3d", "kitti", "kitti_hard"
    ] = setting(
        "tiny",
        "which network; 'tiny' trains on a CPU, the others are those of OpenPCDet for that data set, with dynamic "
        "pillars or as '_hard', or CenterPoint's own, '_det3d'; each has 4.4 to 4.8 million parameters",
    )
    pillar_size: float = setting(0.4, "edge of a pillar", unit="m", ge=0.05, le=2.0, step=0.01)
    points_per_pillar: int | None = setting(
        None,
        "a pillar sees its first so many points, and its empty places take part ('hard' pillars); empty: all its "
        "points and nothing else ('dynamic')",
        unit="points",
        ge=1,
        le=1000,
    )
    max_pillars: tuple[int, int] | None = setting(
        None,
        "of hard pillars, a frame's first so many are taken, in training and otherwise; empty: all",
        unit="pillars",
    )
    centre_offsets: Literal["xyz", "xy"] = setting(
        "xyz", "a point's offsets from its pillar's centre that it is fed with; CenterPoint's own code takes no z"
    )
    pillar_features: tuple[int, ...] = setting(
        (32,), "features of a pillar after each layer of the pillar network", unit="features"
    )

    @property
    def cell(self) -> float:
        return self.pillar_size

    @property
    def cells(self) -> tuple[int, int]:
        x, y = (round((self.range[axis + 3] - self.range[axis]) / self.pillar_size) for axis in (0, 1))
        return x, y

    @property
    def point_width(self) -> int:
        """Numbers that a point is fed with: x, y, z, channels, offsets from the points' mean and from the centre."""
        return 3 + len(self.channels) + 3 + len(self.centre_offsets)

    @model_validator(mode="after")
    def _check(self) -> PillarsConfig:
        self.check_levels()
        if not self.pillar_features or min(self.pillar_features) < 1:
            raise ValueError("every width must be above zero, and there must be a pillar layer")
        if any(width % 2 for width in self.pillar_features[:-1]):
            raise ValueError("pillar_features: all but the last must be even, since half of each is the pillar's own")
        if self.max_pillars is not None and self.points_per_pillar is None:
            raise ValueError("max_pillars is a limit of hard pillars: give points_per_pillar too")
        if self.max_pillars is not None and min(self.max_pillars) < 1:
            raise ValueError("max_pillars must be 1 or more")
        self.check_range(self.pillar_size, 1, "pillars")
        return self


class Pillars(BevNetwork):
    """PointPillars' encoder, backbone and neck as CenterPoint uses them (Lang 2019, Yin 2021).

    Pillars come in two forms with the same weights, which do not compute the same:

    *Dynamic*, without ``points_per_pillar``: every point counts, and points above or below the range are kept: its z
    part only says where a pillar's centre lies. So does OpenPCDet's ``DynPillarVFE``.

    *Hard*, with it: OpenPCDet's ``PillarVFE``, det3d's and mmdetection3d's ``PillarFeatureNet`` (``legacy=False``).
    A pillar keeps its first points, a frame its first pillars, and points above or below the range are left out and get
    zeros. A pillar is filled up with zeros, which are rows of the batch norms in training and take part in the maximum:
    after the first layer they are no zeros any more. Those frameworks' loaders shuffle the points in training, so that
    "first" means any; here it means first in the frame's own order.
    """

    Config = PillarsConfig
    config: PillarsConfig

    def __init__(self, config: PillarsConfig) -> None:
        super().__init__(config)
        self.pillar_layers = nn.ModuleList()
        width = config.point_width
        for number, out in enumerate(config.pillar_features, start=1):
            last = number == len(config.pillar_features)
            self.pillar_layers.append(_PillarLayer(width, out if last else out // 2, config.norm_momentum))
            width = out
        self.add_map(width)

    def canvas(self, points: Tensor, channels: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """See ``BevNetwork``: the features of pillars at their places."""
        channels = self.scaled_channels(points, channels, offsets)
        cells, inside = self._cells(points, offsets)
        own = self._point_inputs(points, channels, cells)
        pillars = self._dynamic(own, cells) if self.config.points_per_pillar is None else self._hard(own, cells)
        return self._scatter(pillars, cells, len(offsets) - 1), inside

    def _cells(self, points: Tensor, offsets: Tensor) -> tuple[Cells, Tensor]:
        """The pillars that hold points, and (N,) whether a point is in range."""
        config = self.config
        shape = (*config.cells, 1)
        size = (config.pillar_size, config.pillar_size, config.range[5] - config.range[2])
        if config.points_per_pillar is None:
            place, inside = on_grid(points[:, :2], config.range[:2], size[:2], shape[:2])
            inside &= torch.isfinite(points[:, 2])
            return find_cells(nn.functional.pad(place, (0, 1)), inside, offsets, shape), inside
        place, inside = on_grid(points, config.range[:3], size, shape)
        most = None if config.max_pillars is None else config.max_pillars[0 if self.training else 1]
        return find_cells(place, inside, offsets, shape).limited(config.points_per_pillar, most), inside

    @stage(VOXELISE)
    def _point_inputs(self, points: Tensor, channels: Tensor, cells: Cells) -> Tensor:
        """(P,point_width) what points are fed with, in the order of ``cells.point``."""
        points, channels = points[cells.point], channels[cells.point]
        from_mean = points - cells.spread(cells.mean(points))
        from_centre = (points - cells.spread(self._centres(cells, points)))[:, : len(self.config.centre_offsets)]
        return torch.cat([points, channels, from_mean, from_centre], dim=1).to(self.dtype)

    def _centres(self, cells: Cells, like: Tensor) -> Tensor:
        """(V,3) centres of the pillars in metres."""
        low, high = self.config.range[:3], self.config.range[3:]
        size = like.new_tensor([self.config.pillar_size, self.config.pillar_size, high[2] - low[2]])
        return (cells.index[:, 1:].to(like.dtype) + 0.5) * size + like.new_tensor(low)

    @stage(LAYERS)
    def _dynamic(self, features: Tensor, cells: Cells) -> Tensor:
        """(V,F) one feature a pillar, of all its points."""
        for number, layer in enumerate(self.pillar_layers, start=1):
            features = layer(features)
            highest = cells.max(features)
            if number < len(self.pillar_layers):
                features = torch.cat([features, cells.spread(highest)], dim=1)
        return highest

    @stage(LAYERS)
    def _hard(self, features: Tensor, cells: Cells) -> Tensor:
        """(V,F) one feature a pillar, of ``points_per_pillar`` slots, full or not."""
        assert self.config.points_per_pillar is not None
        slots = cells.slots(features, self.config.points_per_pillar)
        for number, layer in enumerate(self.pillar_layers, start=1):
            slots = layer(slots.flatten(0, 1)).unflatten(0, slots.shape[:2])
            highest = slots.max(dim=1, keepdim=True).values
            if number < len(self.pillar_layers):
                slots = torch.cat([slots, highest.expand_as(slots)], dim=2)
        pillars: Tensor = highest[:, 0]
        return pillars

    @stage(VOXELISE)
    def _scatter(self, pillars: Tensor, cells: Cells, frames: int) -> Tensor:
        """(B,F,ny,nx) with the pillars at their places and zeros elsewhere."""
        nx, ny = self.config.cells
        frame, x, y, _ = cells.index.long().unbind(1)
        canvas = pillars.new_zeros(frames, pillars.shape[1], ny, nx)
        canvas[frame, :, y, x] = pillars
        return canvas


class _PillarLayer(nn.Module):
    """A matrix, batch norm over all points, ReLU."""

    def __init__(self, width: int, out: int, momentum: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)
        self.norm = BatchNorm(out, eps=NORM_EPS, momentum=momentum)

    def forward(self, rows: Tensor) -> Tensor:
        return torch.relu(self.norm(self.linear(rows)))
