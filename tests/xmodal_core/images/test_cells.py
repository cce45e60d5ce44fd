"""Where a cell of a transformer's map looks: at the pixels that it is read at, as ``images.base`` says."""

from __future__ import annotations

import pytest
import torch

from xmodal_core.images import load_teacher
from xmodal_core.images._timm import TimmTeacher


@pytest.mark.parametrize(("name", "strides"), [("dinov2_small", [14]), ("swin_tiny", [4, 8, 16])])
def test_the_squared_gradient_is_centred_where_the_cell_is_read(name: str, strides: list[int]) -> None:
    teacher = load_teacher(name, {"weights": "random", "strides": strides})
    assert isinstance(teacher, TimmTeacher)
    images = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0)).requires_grad_()
    pixels = torch.arange(112.0)
    for level, stride in zip(teacher._maps(images), strides, strict=True):  # the forward pass keeps no graph
        row, column = level.shape[2] // 2, level.shape[3] // 2 - 1
        along = torch.randn(level.shape[1], generator=torch.Generator().manual_seed(1))
        (gradient,) = torch.autograd.grad(level[0, :, row, column] @ along, images, retain_graph=True)
        share = gradient.square().sum((0, 1)) / gradient.square().sum()
        down, across = float(share.sum(1) @ pixels), float(share.sum(0) @ pixels)
        assert abs(down - (stride * (row + 0.5) - 0.5)) < 0.15 * stride
        assert abs(across - (stride * (column + 0.5) - 0.5)) < 0.15 * stride
