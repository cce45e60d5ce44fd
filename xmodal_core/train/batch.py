"""Frames as the networks take them: points concatenated with offsets, units with shifted indices, images, pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmodal_core.errors import InputError
from xmodal_core.pictures import shrink
from xmodal_core.types import Camera, Floats, Frame, Image, Ints, Pixels, Pooling, Units
from xmodal_core.units.pool import image_pooling


@dataclass(frozen=True)
class SparseMatrix:
    """A ``Pooling`` as tensors: ``matrix @ dense`` is its product with ``dense``, differentiable in ``dense``.

    Args:
        row, column: (K,) int64.
        weight: (K,) float32.
        shape: (rows, columns).
    """

    row: Tensor
    column: Tensor
    weight: Tensor
    shape: tuple[int, int]

    def __matmul__(self, dense: Tensor) -> Tensor:
        """(rows, D) from ``dense`` (columns, D), in the type of ``dense``."""
        # A sum of picked rows runs on every device and in half precision, where sparse products do not.
        terms = dense[self.column] * self.weight.to(dense.dtype)[:, None]
        return torch.zeros(self.shape[0], dense.shape[1], dtype=dense.dtype, device=dense.device).index_add(
            0, self.row, terms
        )

    def to(self, device: torch.device | str) -> SparseMatrix:
        """The same matrix on ``device``."""
        row, column, weight = (_moved(tensor, device) for tensor in (self.row, self.column, self.weight))
        return SparseMatrix(row, column, weight, self.shape)

    def pin_memory(self) -> SparseMatrix:
        """The same matrix in memory that a GPU copies from while the CPU goes on."""
        row, column, weight = (tensor.pin_memory() for tensor in (self.row, self.column, self.weight))
        return SparseMatrix(row, column, weight, self.shape)


def _moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    # Only copies to a GPU are waited for by what uses them; one from a GPU could be read before it is there.
    return tensor.to(device, non_blocking=torch.device(device).type == "cuda")


class ToKeep(NamedTuple):
    """What is worth keeping of a frame once a teacher has looked at its pictures; see ``train.remember``.

    Args:
        entry: the name under which it is kept.
        variant: which of ``variants`` the example's units are.
        units: (U,) int64, which units of that variant the example has: it may lack some.
        variants: W and W' of each set of units that is to be kept.
    """

    entry: str
    variant: int
    units: Ints
    variants: tuple[tuple[Pooling, Pooling], ...]


@dataclass(frozen=True)
class Example:
    """One frame ready to be put into a batch.

    Args:
        name: the frame's name.
        points: (N,3) float32 metres.
        channels: (N,C) float32.
        pooling: W, (U x N).
        image_pooling: W', (U x R), over the rows of ``pixels``.
        pixels: in pixels of ``images``.
        images: (h,w,3) uint8 RGB, one a camera.
        seen: (U,D) float16 or float32, what the teacher sees of each unit, where that is known: then there are neither
            ``images`` nor ``pixels``.
        to_keep: what is to be kept once it is known.
    """

    name: str
    points: Floats
    channels: Floats
    pooling: Pooling
    image_pooling: Pooling
    pixels: Pixels
    images: tuple[Image, ...]
    seen: NDArray[Any] | None = None
    to_keep: ToKeep | None = None


class Part(NamedTuple):
    """Where a frame lies in a batch: its units, its terms of W', its pixels, its images, and their height and width."""

    units: slice
    terms: slice
    pixels: slice
    images: slice
    size: tuple[int, int]


class View(NamedTuple):
    """What of a batch's frame a teacher looks at: ``images`` (I,3,h,w) uint8, W', and the ``pixel_image`` and
    ``pixel_uv`` that its columns are, as in ``Batch``."""

    images: Tensor
    pooling: SparseMatrix
    pixel_image: Tensor
    pixel_uv: Tensor


@dataclass(frozen=True)
class Batch:
    """Examples one after the other.

    Args:
        names: of the B frames.
        points: (N,3) float32 metres, all frames one after the other.
        channels: (N,C) float32, the values of the network's ``channels``.
        offsets: (B+1,) int64, frame b has rows offsets[b]:offsets[b+1] of ``points``.
        pooling: W of all frames as one block-diagonal matrix, (U x N).
        unit_offsets: (B+1,) int64, frame b has units unit_offsets[b]:unit_offsets[b+1].
        image_pooling: W', (U x R), over the rows of ``pixel_image`` and ``pixel_uv``.
        images: (I,3,H,W) uint8 RGB, all cameras of all frames; smaller pictures are padded with zeros at the right
            and at the bottom, so that pixel coordinates stay as they are.
        pixel_image: (R,) int64, the image that each row lies in.
        pixel_uv: (R,2) float32 pixels of ``images``, centres at whole numbers.
        parts: where each frame lies.
        seen: of each frame, where it is known, (U,D) float16 or float32, what the teacher sees of its units; there are
            no images of it then.
        to_keep: of each frame, what is to be kept once it is known.
    """

    names: tuple[str, ...]
    points: Tensor
    channels: Tensor
    offsets: Tensor
    pooling: SparseMatrix
    unit_offsets: Tensor
    image_pooling: SparseMatrix
    images: Tensor
    pixel_image: Tensor
    pixel_uv: Tensor
    parts: tuple[Part, ...]
    seen: tuple[Tensor | None, ...]
    to_keep: tuple[ToKeep | None, ...]

    def view(self, number: int) -> View:
        """Frame ``number`` as a teacher looks at it, without what other frames of the batch add."""
        part = self.parts[number]
        height, width = part.size
        pooling = self.image_pooling
        return View(
            images=self.images[part.images, :, :height, :width],
            pooling=SparseMatrix(
                pooling.row[part.terms] - part.units.start,
                pooling.column[part.terms] - part.pixels.start,
                pooling.weight[part.terms],
                (part.units.stop - part.units.start, part.pixels.stop - part.pixels.start),
            ),
            pixel_image=self.pixel_image[part.pixels] - part.images.start,
            pixel_uv=self.pixel_uv[part.pixels],
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``."""
        return self._each(lambda part: part.to(device) if isinstance(part, SparseMatrix) else _moved(part, device))

    def pin_memory(self) -> Batch:
        """The same batch in memory that a GPU copies from while the CPU goes on."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, change: Callable[[Any], Any]) -> Batch:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = {name: change(part) for name, part in parts.items() if not isinstance(part, tuple)}
        return replace(self, **changed, seen=tuple(None if each is None else change(each) for each in self.seen))


def make_example(
    frame: Frame, units: Units, channels: Sequence[str], image_width: int, images: tuple[Image, ...] | None = None
) -> Example:
    """``frame`` and its ``units`` with the per-point ``channels`` of a network and pictures of a teacher's size.

    Args:
        frame: its pictures are read now.
        units: as found in it.
        channels: names of the channels, in the order in which the network takes them.
        image_width: pictures wider than this are shrunk to it, their aspect kept.
        images: they, where they are at hand already.

    Raises:
        InputError: the frame lacks one of ``channels``.
        DataError: a picture is missing or damaged.
    """
    images = shrunk_images(frame, image_width) if images is None else images
    return Example(
        name=frame.name,
        points=frame.points,
        channels=stack_channels(frame, channels),
        pooling=units.pooling,
        image_pooling=image_pooling(units),
        pixels=scale_pixels(units.pixels, frame.cameras, images),
        images=images,
    )


def shrunk_images(frame: Frame, width: int) -> tuple[Image, ...]:
    """The cameras' pictures, read now, those wider than ``width`` shrunk to it."""
    return tuple(shrink(camera.image(), width) for camera in frame.cameras)


def scale_pixels(pixels: Pixels, cameras: Sequence[Camera], images: Sequence[Image]) -> Pixels:
    """``pixels`` of the cameras' pictures as pixels of ``images``, the same pictures in other sizes."""
    # Whole numbers of pixels: the scale down is not quite that across.
    sizes = [
        (image.shape[1] / camera.width, image.shape[0] / camera.height)
        for camera, image in zip(cameras, images, strict=True)
    ]
    across, down = np.array(sizes, dtype=np.float32).reshape(-1, 2)[pixels.camera].T
    return Pixels(
        pixels.point,
        pixels.camera,
        # Pixel centres are whole numbers, so the picture's corner is at -1/2 in any size.
        pixels.u * across + (across - 1) / 2,
        pixels.v * down + (down - 1) / 2,
    )


def stack_channels(frame: Frame, channels: Sequence[str]) -> Floats:
    """(N,C) float32: the named per-point channels of ``frame``.

    Raises:
        InputError: it lacks one of them.
    """
    for name in channels:
        if name not in frame.channels:
            raise InputError(
                f"the network wants the channel '{name}', which frame {frame.name} does not have",
                f"it has: {', '.join(frame.channels)}; choose with --set 'network.channels=[…]'",
            )
    values = [frame.channels[name] for name in channels]
    return np.stack(values, axis=1) if values else np.zeros((len(frame), 0), dtype=np.float32)


def collate(examples: Sequence[Example]) -> Batch:
    """The batch of ``examples`` (at least one), whose networks' channels are the same."""
    points = [len(example.points) for example in examples]
    units = [example.pooling.shape[0] for example in examples]
    rows = [len(example.pixels) for example in examples]
    images = [len(example.images) for example in examples]
    terms = [len(example.image_pooling.row) for example in examples]
    sizes = [_largest(example.images) for example in examples]
    first_image = np.cumsum([0, *images])
    pixel_image = [e.pixels.camera + first for e, first in zip(examples, first_image, strict=False)]
    uv = [np.stack([example.pixels.u, example.pixels.v], axis=1) for example in examples]
    return Batch(
        names=tuple(example.name for example in examples),
        points=torch.from_numpy(np.concatenate([example.points for example in examples])),
        channels=torch.from_numpy(np.concatenate([example.channels for example in examples])),
        offsets=_offsets(points),
        pooling=_block_diagonal([example.pooling for example in examples], units, points),
        unit_offsets=_offsets(units),
        image_pooling=_block_diagonal([example.image_pooling for example in examples], units, rows),
        images=stack_images([image for example in examples for image in example.images]),
        pixel_image=torch.from_numpy(np.concatenate(pixel_image)),
        pixel_uv=torch.from_numpy(np.concatenate(uv)),
        parts=tuple(map(Part, _slices(units), _slices(terms), _slices(rows), _slices(images), sizes)),
        seen=tuple(None if example.seen is None else torch.from_numpy(example.seen) for example in examples),
        to_keep=tuple(example.to_keep for example in examples),
    )


def to_sparse(pooling: Pooling) -> SparseMatrix:
    """``pooling`` as tensors."""
    return SparseMatrix(
        torch.from_numpy(pooling.row), torch.from_numpy(pooling.column), torch.from_numpy(pooling.weight), pooling.shape
    )


def _offsets(sizes: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.cumsum([0, *sizes], dtype=np.int64))


def _slices(sizes: Sequence[int]) -> list[slice]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(begin, end) for begin, end in pairwise(ends)]


def _largest(images: Sequence[Image]) -> tuple[int, int]:
    """The height and the width that all ``images`` fit into."""
    return max((image.shape[0] for image in images), default=1), max((image.shape[1] for image in images), default=1)


def _block_diagonal(blocks: Sequence[Pooling], rows: Sequence[int], columns: Sequence[int]) -> SparseMatrix:
    below, right = np.cumsum([0, *rows]), np.cumsum([0, *columns])
    return SparseMatrix(
        torch.from_numpy(np.concatenate([b.row + first for b, first in zip(blocks, below, strict=False)])),
        torch.from_numpy(np.concatenate([b.column + first for b, first in zip(blocks, right, strict=False)])),
        torch.from_numpy(np.concatenate([b.weight for b in blocks])),
        (int(below[-1]), int(right[-1])),
    )


def stack_images(images: Sequence[Image]) -> Tensor:
    """(I,3,H,W) uint8: the pictures in one tensor, smaller ones padded with zeros at the right and at the bottom."""
    height, width = _largest(images)
    stacked = torch.zeros(len(images), 3, height, width, dtype=torch.uint8)
    for number, image in enumerate(images):
        stacked[number, :, : image.shape[0], : image.shape[1]] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return stacked
