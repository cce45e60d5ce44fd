"""Points into the cells of a grid and back: which points share a cell, means and maxima in it, features read back.

Everything runs on the device of the points. Sums go through points sorted by cell rather than through atomic adds, so
that forward and backward give the same bits every time, on a GPU too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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
