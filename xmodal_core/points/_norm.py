"""Batch norm over rows, also over one row or none."""

from __future__ import annotations

from torch import Tensor, nn


class BatchNorm(nn.BatchNorm1d):
    """Batch norm over the rows of (V,C) that takes a batch with fewer than two rows by its running statistics.

    Deep levels of a nearly empty frame can have one voxel or none, which PyTorch's own refuses in training.
    """

    def forward(self, rows: Tensor) -> Tensor:
        if self.training and len(rows) < 2:
            return nn.functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(rows)
