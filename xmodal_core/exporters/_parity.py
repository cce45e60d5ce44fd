"""What a network is fed with and what it gives, so that the proof of an export can be repeated in the target."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmodal_core.files import whole_file
from xmodal_core.points import load_network, restore_network
from xmodal_core.points._cells import Cells, find_cells, on_grid
from xmodal_core.points.base import PointNetwork
from xmodal_core.train.backbone import Backbone
from xmodal_core.types import Floats

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Sweep:
    """Points to record a network on.

    Args:
        points: (N,3) float32 metres.
        channels: (N,C) float32, the network's channels as the data set stores them.
        origin: where they are from, in words.
    """

    points: Floats
    channels: Floats
    origin: str


def made_up_sweep(settings: Any, seed: int = 0, count: int = 20_000) -> Sweep:
    """A seeded sweep within the network's range: a ring-like floor and boxes that stand on it, channels from 0 to 1.

    Args:
        settings: of the network; its ``range`` and ``channels`` are read.
        seed: of everything random.
        count: of points.
    """
    draw = np.random.default_rng(seed)
    low, high = np.array(getattr(settings, "range", (-50, -50, -3, 50, 50, 3)), dtype=np.float64).reshape(2, 3)
    middle, reach = np.clip(0, low[:2], high[:2]), np.abs(np.stack([low[:2], high[:2]])).max()
    distance = reach * draw.random(count) ** 2
    angle = draw.uniform(-np.pi, np.pi, count)
    flat = middle + np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)
    floor = low[2] + 0.3 * (high[2] - low[2])
    box = draw.random(count) < 0.5
    centre = flat[draw.integers(count, size=count) // 500]
    flat = np.where(box[:, None], centre + draw.normal(scale=0.7, size=(count, 2)), flat)
    height = floor + np.where(box, draw.uniform(0, 1.6, count), draw.normal(scale=0.03, size=count))
    points = np.concatenate([flat, height[:, None]], axis=1)
    inside = ((points >= low) & (points < high)).all(axis=1)
    values = draw.random((count, len(settings.channels)))
    return Sweep(
        points[inside].astype(np.float32), values[inside].astype(np.float32), f"a made-up sweep of seed {seed}"
    )


def write_parity(file: Path, backbone: Backbone, sweep: Sweep, *, as_stored: bool, canvas: bool = False) -> Arrays:
    """Write what ``record`` gives to ``file``, an ``.npz`` with one more entry, ``about``: a line of JSON.

    Raises:
        InputError: the sweep lacks points within the network's range, or ``file`` cannot be written.
    """
    found = record(backbone, sweep, as_stored=as_stored, canvas=canvas)
    about = {"network": backbone.network, "input": sweep.origin, "as_stored": as_stored, "mode": "eval, CPU, float32"}
    with whole_file(file) as unfinished, unfinished.open("wb") as opened:
        np.savez_compressed(opened, about=np.array(json.dumps(about)), **found)  # type: ignore[arg-type]
    return found


def record(backbone: Backbone, sweep: Sweep, *, as_stored: bool, canvas: bool = False) -> Arrays:
    """The network's input and output on ``sweep``, in eval mode on the CPU.

    Args:
        backbone: the network.
        sweep: N points.
        as_stored: record the input as it is without ``intensity_scale``, which the target has in its first weights.
        canvas: record ``canvas`` (1,F,rows,columns) too, the map that the 2D part is given.

    Returns:
        ``points`` (N,3+C) x, y, z and the channels, of a network that draws points those drawn alone, in the order of
        their lots, since the target's loader draws before its network; of a network on voxels ``voxel_features``
        (V,F) and ``voxel_coords`` (V,4) int32, the frame (0) and the place on the grid in the order of the network's
        axes; of hard pillars ``voxels`` (V,P,3+C) their points with zeros behind them, ``voxel_num_points`` (V,) and
        ``voxel_coords``, z before y before x; then what is expected: ``bev`` (1,W,ny,nx), the map of a network that
        has one, else ``voxel_output`` (V,W), a feature a voxel, where points are read from voxels, or ``point_output``
        (N,W).
    """
    network = restore_network(backbone).eval()
    sweep = _drawn(network, sweep)
    batch = (
        torch.from_numpy(sweep.points),
        torch.from_numpy(sweep.channels),
        torch.tensor([0, len(sweep.points)]),
    )
    unscaled = {**backbone.card["network_settings"], "intensity_scale": 1.0}
    fed = load_network(backbone.network, unscaled).eval() if as_stored else network
    with torch.no_grad(), _first_voxels(fed) as voxels:
        fed(*batch)
    with torch.no_grad(), _canvas_of(network) as maps:
        output = network(*batch)
    found: dict[str, Tensor] = {"points": torch.cat(batch[:2], dim=1), **voxels, **(maps if canvas else {})}
    if backbone.network in _CELLS:
        found |= _CELLS[backbone.network](network.config, found["points"])
    if output.bev is not None:
        found["bev"] = output.bev
    elif (grid := getattr(network, "grid", None)) is not None:
        found["voxel_output"] = _of_voxels(output.features, grid.cells(batch[0], batch[2]))
    else:
        found["point_output"] = output.features
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def _drawn(network: PointNetwork, sweep: Sweep) -> Sweep:
    """What ``network`` draws of ``sweep``; all of it where it draws nothing."""
    draw: Callable[[Tensor, Tensor], Tensor] | None = getattr(network, "drawn", None)
    if draw is None:
        return sweep
    rows = draw(torch.from_numpy(sweep.points), torch.tensor([0, len(sweep.points)])).numpy()
    return replace(sweep, points=sweep.points[rows], channels=sweep.channels[rows])


def _pillars_of(config: Any, points: Tensor) -> dict[str, Tensor]:
    """The hard pillars of one frame; nothing for dynamic ones, which the target makes of the points itself."""
    if config.points_per_pillar is None:
        return {}
    shape, height = (*config.cells, 1), config.range[5] - config.range[2]
    size = (config.pillar_size, config.pillar_size, height)
    place, inside = on_grid(points[:, :3], config.range[:3], size, shape)
    most = None if config.max_pillars is None else config.max_pillars[1]
    cells = find_cells(place, inside, _one_frame(points), shape).limited(config.points_per_pillar, most)
    return {
        "voxels": cells.slots(points[cells.point], config.points_per_pillar),
        "voxel_num_points": cells.count,
        "voxel_coords": cells.index[:, [0, 3, 2, 1]],
    }


def _voxels_of(config: Any, points: Tensor) -> dict[str, Tensor]:
    """The voxels of one frame at their places on the whole grid, each the mean of its points."""
    nx, ny, nz = config.grid
    place, inside = on_grid(points[:, :3], config.range[:3], config.voxel_size, (nx, ny, nz))
    most = None if config.max_voxels is None else config.max_voxels[1]
    cells = find_cells(place.flip(1), inside, _one_frame(points), (nz, ny, nx))
    cells = cells.limited(config.points_per_voxel, most)
    return {"voxel_features": cells.mean(points[cells.point]), "voxel_coords": cells.index}


def _one_frame(points: Tensor) -> Tensor:
    return torch.tensor([0, len(points)])


_CELLS: dict[str, Callable[[Any, Tensor], dict[str, Tensor]]] = {"pillars": _pillars_of, "voxels": _voxels_of}
"""How networks take points in that do so before their first sparse convolution sees anything, or elsewhere on a CPU."""


def _of_voxels(features: Tensor, cells: Cells) -> Tensor:
    """(V,W) the feature of each voxel: that of its first point."""
    first = torch.cumsum(cells.count, 0) - cells.count
    return features[cells.point[first]]


@contextmanager
def _canvas_of(network: PointNetwork) -> Iterator[dict[str, Tensor]]:
    """Within it, the map that the 2D part of ``network`` is given is noted down, where there is one."""
    found: dict[str, Tensor] = {}
    levels = getattr(network, "levels", None)
    if levels is None:
        yield found
        return
    tap = levels[0].register_forward_pre_hook(lambda module, inputs: found.update(canvas=inputs[0]))
    try:
        yield found
    finally:
        tap.remove()


@contextmanager
def _first_voxels(network: PointNetwork) -> Iterator[dict[str, Tensor]]:
    """Within it, the voxels that the first sparse convolution of ``network`` is given are noted down."""
    from xmodal_core.points._sparse import spconv

    found: dict[str, Tensor] = {}

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not found:
            found.update(voxel_features=inputs[0].features, voxel_coords=inputs[0].indices)

    kinds: tuple[type[nn.Module], ...] = (spconv.SparseModule,)
    taps = [module.register_forward_pre_hook(note) for module in network.modules() if isinstance(module, kinds)]
    try:
        yield found
    finally:
        for tap in taps:
            tap.remove()
