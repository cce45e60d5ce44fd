"""The map of a scene as nuScenes has it: a picture of where roads and sidewalks are, ten texels a metre."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sample_data.roads import Roads
from sample_data.seeds import token
from xmodal_core.geometry import invert, rigid, rotation_z
from xmodal_core.types import Doubles, Floats

RESOLUTION = 0.1
"""Metres a texel, which nuScenes' devkit takes for granted, as it does the rest: the picture's lower left corner lies
at the map's origin, white is road or sidewalk."""
_MARGIN = 40.0  # metres of empty map around a scene
_GRID = 1.0  # metres between the places where the distance to the road is worked out


def filename(seed: int, scene: int) -> str:
    """Where a scene's mask lies in the drive's folder."""
    return f"maps/{token(seed, 'map', scene)}.png"


def place(bounds: tuple[float, float, float, float], heading: float) -> Doubles:
    """(4,4) from a scene's coordinates to its map's: turned by ``heading``, and all of ``bounds`` (x0, y0, x1, y1) at
    positive coordinates, for a mask has no others."""
    turn = rotation_z(heading)
    corners = np.array([(x, y, 0.0) for x in bounds[::2] for y in bounds[1::2]]) @ turn.T
    return rigid(turn, (*(_MARGIN - corners[:, :2].min(axis=0)), 0.0))


def draw(roads: Roads, bounds: tuple[float, float, float, float], to_map: Doubles, path: Path) -> None:
    """Write the mask of ``roads`` within ``bounds`` (x0, y0, x1, y1), placed by ``to_map`` (4,4), as a PNG."""
    from PIL import Image

    outside = Image.fromarray(_outside(roads, bounds, to_map))
    scale = round(_GRID / RESOLUTION)
    fine = outside.resize((outside.width * scale, outside.height * scale), Image.Resampling.BILINEAR)
    mask = np.asarray(fine) < roads.style.walk_to - roads.style.half
    Image.fromarray(np.where(mask[::-1], np.uint8(255), np.uint8(0))).save(path, compress_level=3)


def _outside(roads: Roads, bounds: tuple[float, float, float, float], to_map: Doubles) -> Floats:
    # Metres outside of the carriageway in the middle of each square of the map; far out beyond the bounds.
    corners = np.array([(x, y, 0.0, 1.0) for x in bounds[::2] for y in bounds[1::2]]) @ to_map.T
    across, up = (np.arange(0.0, top, _GRID) + _GRID / 2 for top in corners[:, :2].max(axis=0) + _MARGIN)
    gx, gy = np.meshgrid(across, up)
    back = invert(to_map)
    x = back[0, 0] * gx + back[0, 1] * gy + back[0, 3]
    y = back[1, 0] * gx + back[1, 1] * gy + back[1, 3]
    within = (x > bounds[0]) & (x < bounds[2]) & (y > bounds[1]) & (y < bounds[3])
    result = np.full(gx.shape, 99.0, dtype=np.float32)
    result[within] = roads.outside(x[within], y[within])
    return result
