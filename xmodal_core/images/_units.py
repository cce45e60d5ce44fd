"""The image feature of every unit: a teacher's maps read bilinearly at pixels and pooled with W'."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xmodal_core.images.base import Teacher
from xmodal_core.types import Floats, Frame, Units

if TYPE_CHECKING:
    from xmodal_core.train.batch import Batch, SparseMatrix, View


Standardise = Literal["frame", "batch", "none"]


@torch.no_grad()
def unit_features(batch: Batch, teacher: Teacher, standardise: Standardise = "frame") -> Tensor:
    """(U, teacher.width) float32: what ``teacher`` sees of every unit of ``batch``, all levels side by side.

    Args:
        batch: on the teacher's device.
        teacher: whose maps are read.
        standardise: bring every channel to mean 0 and deviation 1 over the units of a frame or of the batch. Without,
            the channels of large values alone decide how alike two units are: on KITTI and nuScenes frames any two
            units of a random ResNet-50 have a cosine of 0.98 in the mean, of EfficientNet-Lite0 0.25 to 0.37; with it
            both have 0.
    """
    features = torch.cat([frame_features(batch, number, teacher) for number in range(len(batch.names))])
    if standardise == "none":
        return features
    if standardise == "batch":
        return _standard(features)
    return torch.cat([_standard(features[begin:end]) for begin, end in pairwise(batch.unit_offsets.tolist())])


def _standard(features: Tensor) -> Tensor:
    variance, mean = torch.var_mean(features, dim=0, correction=0)
    return (features - mean) * (variance + 1e-5).rsqrt()


@torch.no_grad()
def frame_features(batch: Batch, number: int, teacher: Teacher) -> Tensor:
    """(U, teacher.width) float32: what ``teacher`` sees of the units of frame ``number``, as it is; the frame alone is
    looked at, unless the batch knows, so that it makes no difference which other frames are in the batch."""
    known = batch.seen[number]
    if known is not None:
        return known.float()
    view = batch.view(number)
    return read_units(look(view, teacher), teacher, view)


def look(view: View, teacher: Teacher) -> list[Tensor]:
    """The maps of ``teacher`` of a frame's pictures."""
    maps: list[Tensor] = teacher(view.images.float() / 255)
    return maps


def read_units(maps: list[Tensor], teacher: Teacher, view: View) -> Tensor:
    """(U, teacher.width) float32: all levels of ``maps``, pooled over the units of ``view``."""
    levels = zip(maps, teacher.strides, strict=True)
    read = [pool_map(level.float(), stride, view.pooling, view.pixel_image, view.pixel_uv) for level, stride in levels]
    return torch.cat(read, dim=1)


class FrameFeatures:
    """The image features of a frame's units, made as pre-training makes them; ``teacher`` looks at its pictures once.

    Raises:
        DataError: a picture of ``frame`` is missing or damaged.
    """

    def __init__(self, frame: Frame, teacher: Teacher) -> None:
        from xmodal_core.train.batch import shrunk_images, stack_images

        self.frame, self.teacher = frame, teacher
        self._device = next(teacher.parameters()).device
        self._images = shrunk_images(frame, teacher.config.image_width)
        with torch.no_grad():
            self._maps = teacher(stack_images(self._images).to(self._device).float() / 255)

    @torch.no_grad()
    def of(self, units: Units, standardise: Standardise = "frame") -> Floats:
        """(U, teacher.width) float32 of ``units``, found in the frame; see ``unit_features``."""
        from xmodal_core.train.batch import collate, make_example

        if not units.count:
            return np.zeros((0, self.teacher.width), dtype=np.float32)
        example = make_example(self.frame, units, (), self.teacher.config.image_width, self._images)
        batch = collate([replace(example, images=())]).to(self._device)  # they have been looked at
        features = read_units(self._maps, self.teacher, batch.view(0))
        result: Floats = (features if standardise == "none" else _standard(features)).cpu().numpy()
        return result


def unit_image_features(frame: Frame, units: Units, teacher: Teacher, standardise: Standardise = "frame") -> Floats:
    """(U, teacher.width) float32: the image features of ``units``, made as pre-training makes them.

    Raises:
        DataError: a picture of ``frame`` is missing or damaged.
    """
    if not units.count:
        return np.zeros((0, teacher.width), dtype=np.float32)
    return FrameFeatures(frame, teacher).of(units, standardise)


def pool_map(level: Tensor, stride: int, pooling: SparseMatrix, image: Tensor, uv: Tensor) -> Tensor:
    """(U,C): ``pooling`` times ``level`` read bilinearly at pixels.

    The four cells of every pixel are folded into the sparse matrix, so that the pixels' own features, rows of
    ``pooling`` x C, never exist. Beyond the outermost cells' centres the map goes on as it ends.

    Args:
        level: (I,C,h,w) map of every image.
        stride: its cell (i, j) lies at pixel (stride (j + 0.5) - 0.5, stride (i + 0.5) - 0.5).
        pooling: (U x R), its rows in ascending order.
        image: (R,) int64, the image of every pixel.
        uv: (R,2) float32 pixels, centres at whole numbers.
    """
    images, channels, height, width = level.shape
    cells, shares = bilinear(uv, stride, height, width)
    cells = cells + (image * (height * width))[:, None]
    pixel, row = pooling.column, pooling.row
    first = torch.searchsorted(row, torch.arange(pooling.shape[0], device=row.device))
    return F.embedding_bag(
        cells[pixel].reshape(-1),
        level.permute(0, 2, 3, 1).reshape(images * height * width, channels),
        first * 4,
        mode="sum",
        per_sample_weights=(shares[pixel] * pooling.weight[:, None]).to(level.dtype).reshape(-1),
    )


def bilinear(uv: Tensor, stride: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The four cells around each pixel ``uv`` (R,2): their numbers (R,4) int64 in a ``height`` x ``width`` map, row by
    row, and their shares (R,4), which sum to 1."""
    size = torch.tensor([width, height], device=uv.device)
    place = ((uv + 0.5) / stride - 0.5).clamp(min=0).minimum((size - 1).to(uv.dtype))
    low = place.floor().long()
    high = (low + 1).minimum(size - 1)
    (right, down), (left, up) = (place - low).unbind(1), (1 - (place - low)).unbind(1)
    (x0, y0), (x1, y1) = low.unbind(1), high.unbind(1)
    cells = torch.stack([y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1], dim=1)
    return cells, torch.stack([up * left, up * right, down * left, down * right], dim=1)
