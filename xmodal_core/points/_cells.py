"""Points into the cells of a grid and back: which points share a cell, means and maxima in it, features read back.

Everything runs on the device of the points. Sums go through points sorted by cell rather than through atomic adds, so
that forward and backward give the same bits every time, on a GPU too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xmodal_core.points._stages import READ, VOXELISE, stage


@dataclass(frozen=True)
class Cells:
    """The V cells that hold points.

    Args:
        index: (V,4) int32: frame, then the place on the grid's three axes; ascending.
        point: (P,) int64, the points within the grid, those of a cell one after the other, cells as in ``index``.
        cell: (P,) int64, the row of ``index`` that each of them lies in.
        count: (V,) int64, how many points each cell holds.
        points: N, the number of all points, those outside the grid too.
    """

    index: Tensor
    point: Tensor
    cell: Tensor
    count: Tensor
    points: int

    def __len__(self) -> int:
        return len(self.count)

    @stage(VOXELISE)
    def mean(self, values: Tensor) -> Tensor:
        """(V,C) means of ``values`` (P,C), which are in the order of ``point``."""
        total: Tensor = torch.segment_reduce(values, "sum", lengths=self.count, unsafe=True)
        return total / self.count[:, None]

    def max(self, values: Tensor) -> Tensor:
        """(V,C) maxima of ``values`` (P,C), which are in the order of ``point``."""
        highest: Tensor = torch.segment_reduce(values, "max", lengths=self.count, unsafe=True)
        return highest

    def spread(self, values: Tensor) -> Tensor:
        """(P,C): to each point in the order of ``point`` the row of its cell in ``values`` (V,C)."""
        spread: Tensor = _Spread.apply(values, self.cell, self.count)
        return spread

    @property
    def slot(self) -> Tensor:
        """(P,) int64: how many points of its own cell come before each, in the order of ``point``."""
        first = self.count.cumsum(0) - self.count
        return torch.arange(len(self.cell), device=self.cell.device) - first[self.cell]

    @stage(VOXELISE)
    def limited(self, per_cell: int | None, most: int | None) -> Cells:
        """What is left within limits, first come, first served in the order of the points: spconv's ``PointToVoxel``.

        Args:
            per_cell: a cell keeps its first so many points.
            most: a frame keeps so many cells, those whose first points come first; the points of others are left out.
        """
        if not self._exceeds(per_cell, most):
            return self
        kept = torch.ones_like(self.count, dtype=torch.bool)
        if most is not None:
            first = self.point[self.count.cumsum(0) - self.count]
            order = torch.argsort(first)  # frames stay one after the other, since their points do
            frame = self.index[order, 0].long()
            before = torch.bincount(frame, minlength=1).cumsum(0) - torch.bincount(frame, minlength=1)
            kept[order] = torch.arange(len(order), device=order.device) - before[frame] < most
        taken = kept[self.cell]
        if per_cell is not None:
            taken &= self.slot < per_cell
        number = kept.cumsum(0) - 1
        count = self.count[kept] if per_cell is None else self.count[kept].clamp(max=per_cell)
        return Cells(self.index[kept], self.point[taken], number[self.cell[taken]], count, self.points)

    def _exceeds(self, per_cell: int | None, most: int | None) -> bool:
        over = torch.zeros((), dtype=torch.bool, device=self.count.device)
        if per_cell is not None:
            over = over | (self.count > per_cell).any()
        if most is not None:
            over = over | (torch.bincount(self.index[:, 0].long(), minlength=1) > most).any()
        return bool(over)  # the one wait for the device; with limits met there are more

    @stage(VOXELISE)
    def slots(self, values: Tensor, size: int) -> Tensor:
        """(V,size,C): ``values`` (P,C), which are in the order of ``point``, cell by cell; zeros in slots left over.

        No cell may have more than ``size`` points.
        """
        empty = values.new_zeros(len(self) * size, values.shape[1])
        return empty.index_copy(0, self.cell * size + self.slot, values).view(len(self), size, -1)

    @stage(READ)
    def to_points(self, values: Tensor) -> Tensor:
        """(N,C): to every point the row of its cell in ``values`` (V,C); zeros to points outside the grid."""
        return values.new_zeros(self.points, values.shape[1]).index_copy(0, self.point, self.spread(values))


class _Spread(torch.autograd.Function):
    """Rows picked by ascending numbers; the gradient is summed segment by segment."""

    @staticmethod
    def forward(context: Any, values: Tensor, cell: Tensor, count: Tensor) -> Tensor:
        context.save_for_backward(count)
        return values.index_select(0, cell)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (count,) = context.saved_tensors
        return torch.segment_reduce(gradients[0].contiguous(), "sum", lengths=count, unsafe=True), None, None


@stage(VOXELISE)
def on_grid(points: Tensor, low: Sequence[float], size: Sequence[float], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """On which cell of a grid each point is, and whether it is on the grid at all.

    It is so by its cell, which rounding can carry off the grid just below its upper end, and in the precision of the
    points: spconv's, det3d's and OpenPCDet's rule.

    Args:
        points: (N,D) metres.
        low: D coordinates of the grid's corner, metres.
        size: D edges of a cell, metres.
        shape: D numbers of cells.

    Returns:
        (N,D) int64, anything where the point is not on the grid; (N,) bool.
    """
    place = torch.floor((points - points.new_tensor(low)) / points.new_tensor(size))
    inside = ((place >= 0) & (place < place.new_tensor(shape))).all(1)
    return torch.where(inside[:, None], place, 0.0).long(), inside


@stage(VOXELISE)
def find_cells(place: Tensor, inside: Tensor, offsets: Tensor, shape: tuple[int, int, int]) -> Cells:
    """Group points by frame and grid cell.

    Args:
        place: (N,3) int64, each point's place on the grid's axes; anything where ``inside`` is False.
        inside: (N,) bool, whether the point lies on the grid.
        offsets: (B+1,) int64, frame b is rows offsets[b]:offsets[b+1].
        shape: cells along each axis.
    """
    frame = torch.repeat_interleave(offsets.diff(), output_size=len(place))  # 0 0 0 1 1 ...
    point = inside.nonzero()[:, 0]
    first, second, third = place[point].unbind(1)
    key = ((frame[point] * shape[0] + first) * shape[1] + second) * shape[2] + third
    key, order = torch.sort(key, stable=True)
    key, cell, count = torch.unique_consecutive(key, return_inverse=True, return_counts=True)
    index = torch.stack(
        [
            key // (shape[0] * shape[1] * shape[2]),
            key // (shape[1] * shape[2]) % shape[0],
            key // shape[2] % shape[1],
            key % shape[2],
        ],
        dim=1,
    )
    return Cells(index.int(), point[order], cell, count, len(place))
