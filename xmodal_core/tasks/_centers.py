"""CenterPoint's targets, losses and decoding on a bird's-eye map (Yin 2021; CenterNet, Zhou 2019).

An object is a peak of its class's heat map in the cell that its centre lies in; the other maps say the rest of its box
in that cell. Everything is computed where the tensors lie. Compared with: tianweiy/CenterPoint
det3d/datasets/pipelines/preprocess.py (AssignLabel), det3d/models/bbox_heads/center_head.py, and open-mmlab/OpenPCDet
pcdet/models/dense_heads/center_head.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from xmodal_core.points.base import BevGrid

PARTS = {"offset": 2, "z": 1, "size": 3, "turn": 2, "velocity": 2}
"""What is said of a box in its cell: where in the cell its centre lies (cells), its height (m), the logarithms of
length, width and height (m), sine and cosine of its heading, and its velocity (m/s)."""

ALPHA, BETA = 2, 4
"""Powers of the focal loss: by how much what is known already, and what lies near a peak, counts less."""


class Objects(NamedTuple):
    """Boxes of a batch's frames.

    Args:
        frame: (M,) int64, which frame of the batch.
        label: (M,) int64, class.
        box: (M,7) float32: centre x, y, z, length, width, height in metres, yaw in radians.
        velocity: (M,2) float32 metres a second, NaN unknown.
    """

    frame: Tensor
    label: Tensor
    box: Tensor
    velocity: Tensor

    def where(self, keep: Tensor) -> Objects:
        """Those that ``keep`` (M,) says, a mask or numbers."""
        return Objects(*(column[keep] for column in self))


class Targets(NamedTuple):
    """What the maps should be.

    Args:
        heat: (B,C,ny,nx) float32, 0..1, 1 just in the cells of objects.
        frame: (M,) int64, which frame of the batch an object is in.
        cell: (M,) int64, the cell iy * nx + ix of its centre.
        values: by the names of ``PARTS``, (M,width) float32, NaN where unknown.
    """

    heat: Tensor
    frame: Tensor
    cell: Tensor
    values: Mapping[str, Tensor]


def assign(
    objects: Objects, classes: int, grid: BevGrid, frames: int, *, overlap: float, min_radius: int, most: int
) -> Targets:
    """The targets of ``objects``, whose labels are below ``classes``, in ``frames`` frames.

    Objects whose centre lies outside the map, and those beyond the first ``most`` of a frame, are left out.

    Args:
        overlap, min_radius: see ``gaussian_radius``; ``min_radius`` in cells.
        most: objects a frame.
    """
    low = objects.box.new_tensor(grid.low)
    place = (objects.box[:, :2] - low) / grid.cell
    inside = ((place >= 0) & (place < place.new_tensor([grid.nx, grid.ny]))).all(1)
    inside &= (objects.box[:, 3:6] > 0).all(1)
    objects, place = objects.where(inside), place[inside]
    first = _first_of_each(objects.frame, frames, most)
    objects, place = objects.where(first), place[first]
    index = place.long()
    radius = gaussian_radius(objects.box[:, 3:5] / grid.cell, overlap).long().clamp(min=min_radius)
    heat = objects.box.new_zeros(frames, classes, grid.ny, grid.nx)
    _draw(heat, objects, index, radius)
    yaw = objects.box[:, 6]
    values = {
        "offset": place - index,
        "z": objects.box[:, 2:3],
        "size": objects.box[:, 3:6].log(),
        "turn": torch.stack([yaw.sin(), yaw.cos()], dim=1),
        "velocity": objects.velocity,
    }
    return Targets(heat, objects.frame, index[:, 1] * grid.nx + index[:, 0], values)


def _first_of_each(frame: Tensor, frames: int, most: int) -> Tensor:
    """(K,) the rows of the first ``most`` objects of each frame, in their order."""
    order = torch.argsort(frame, stable=True)
    counts = torch.bincount(frame, minlength=frames)
    rank = torch.arange(len(frame), device=frame.device) - (counts.cumsum(0) - counts)[frame[order]]
    return order[rank < most].sort().values


def gaussian_radius(size: Tensor, overlap: float) -> Tensor:
    """(M,) how far corners of a box of ``size`` (M,2) may move so that the new box's IoU with the old one is still
    ``overlap``: the least of three cases (CornerNet, Law 2018), with the roots as CornerNet's code takes them, which is
    what every CenterPoint was trained with."""
    total, area = size.sum(1), size.prod(1)

    def root(a: float, b: Tensor, c: Tensor) -> Tensor:
        return (b + (b * b - 4 * a * c).clamp(min=0).sqrt()) / 2

    apart = root(1.0, total, area * (1 - overlap) / (1 + overlap))
    within = root(4.0, 2 * total, area * (1 - overlap))
    around = root(4 * overlap, -2 * overlap * total, area * (overlap - 1))
    return torch.stack([apart, within, around]).amin(0)


def _draw(heat: Tensor, objects: Objects, index: Tensor, radius: Tensor) -> None:
    """Lay a bell of ``radius`` (M,) cells around ``index`` (M,2) over each object's own map, highest wins."""
    if not len(index):
        return
    _, classes, ny, nx = heat.shape
    reach = int(radius.max())
    step = torch.arange(-reach, reach + 1, device=heat.device)
    sigma = (2 * radius + 1).to(heat.dtype) / 6
    bell = torch.exp(-(step**2) / (2 * sigma[:, None] ** 2))
    bell = torch.where(step.abs() <= radius[:, None], bell, 0.0)
    x, y = index[:, :1] + step, index[:, 1:] + step
    inside = ((y >= 0) & (y < ny))[:, :, None] & ((x >= 0) & (x < nx))[:, None, :]
    layer = objects.frame * classes + objects.label
    cell = (layer[:, None, None] * ny + y[:, :, None]) * nx + x[:, None, :]
    value = bell[:, :, None] * bell[:, None, :]
    heat.view(-1).scatter_reduce_(0, cell[inside], value[inside], "amax")


def focal_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """CenterNet's loss of heat maps (B,C,ny,nx) as ``logits`` against ``heat``, over the number of peaks.

    From the logits' own logarithms: nothing need be clamped, and no cell is without a gradient.
    """
    p = logits.sigmoid()
    peak = heat == 1
    found = functional.logsigmoid(logits) * (1 - p) ** ALPHA
    empty = functional.logsigmoid(-logits) * p**ALPHA * (1 - heat) ** BETA
    return -torch.where(peak, found, empty).sum() / peak.sum().clamp(min=1)


def box_losses(maps: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """The absolute errors of each of the ``maps`` (B,width,ny,nx), named as in ``PARTS``, in the cells of objects:
    summed over its width, averaged over all objects; where a value is unknown its error is 0."""
    losses = {}
    for name, part in maps.items():
        found, wanted = at_cells(part, targets.frame, targets.cell), targets.values[name]
        known = ~wanted.isnan()
        error = torch.where(known, found - torch.where(known, wanted, 0.0), 0.0).abs()
        losses[name] = error.sum() / max(1, len(wanted))
    return losses


def at_cells(part: Tensor, frame: Tensor, cell: Tensor) -> Tensor:
    """(M,width) the map ``part`` (B,width,ny,nx) of ``frame`` (M,) in ``cell`` (M,)."""
    return part.flatten(2)[frame, :, cell]


class Found(NamedTuple):
    """The best cells of each frame, best first.

    Args:
        score: (B,K) float32, 0..1.
        label: (B,K) int64.
        box: (B,K,7) float32, as ``Objects.box``.
        velocity: (B,K,2) float32; None where no map says it.
    """

    score: Tensor
    label: Tensor
    box: Tensor
    velocity: Tensor | None

    def cpu(self) -> Found:
        """The same in the CPU's memory."""
        velocity = None if self.velocity is None else self.velocity.cpu()
        return Found(self.score.cpu(), self.label.cpu(), self.box.cpu(), velocity)


def decode(logits: Tensor, maps: Mapping[str, Tensor], grid: BevGrid, most: int, *, peaks: bool = False) -> Found:
    """The boxes that the ``most`` highest places of the heat maps ``logits`` (B,C,ny,nx) stand for.

    Args:
        maps: (B,width,ny,nx) by the names of ``PARTS``, with or without ``velocity``.
        peaks: only places that are the highest of the nine cells around them.
    """
    heat = logits.float().sigmoid()
    if peaks:
        heat = torch.where(functional.max_pool2d(heat, 3, 1, 1) == heat, heat, 0.0)
    frames, _, ny, nx = heat.shape
    score, place = heat.flatten(1).topk(min(most, heat[0].numel()), dim=1)
    cell = place % (ny * nx)
    frame = torch.arange(frames, device=cell.device)[:, None].expand_as(cell)
    said = {name: at_cells(part.float(), frame.flatten(), cell.flatten()) for name, part in maps.items()}
    index = torch.stack([cell % nx, cell // nx], dim=-1).view(-1, 2)
    centre = (index + said["offset"]) * grid.cell + said["offset"].new_tensor(grid.low)
    yaw = torch.atan2(said["turn"][:, :1], said["turn"][:, 1:])
    box = torch.cat([centre, said["z"], said["size"].exp(), yaw], dim=1)
    velocity = said["velocity"].view(*cell.shape, 2) if "velocity" in said else None
    return Found(score, place // (ny * nx), box.view(*cell.shape, 7), velocity)
