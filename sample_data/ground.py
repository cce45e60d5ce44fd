"""The ground as triangles: carriageway, a real kerb step, sidewalks and land on the slope, and the far country."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sample_data.materials import Material
from sample_data.meshes import Mesh, from_faces
from sample_data.roads import KERB, STEP, Roads
from xmodal_core.types import Bools, Doubles

_FACE = 0.02  # the kerb's front leans by this much, metres


def height(roads: Roads, x: ArrayLike, y: ArrayLike) -> Doubles:
    """Metres of the ground's surface at places: the land's slope, raised by the kerb beside the carriageway."""
    px, py = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return np.asarray(roads.land.height(px, py) + KERB * (roads.outside(px, py) > _FACE / 2))


def ground_mesh(roads: Roads, bounds: tuple[float, float, float, float]) -> Mesh:
    """The ground within ``bounds`` (x0, y0, x1, y1), and a coarse skirt of country half a kilometre around it."""
    from scipy.spatial import Delaunay

    lower, upper = _kerb_lines(roads, bounds)
    x0, y0, x1, y1 = bounds
    gx, gy = np.meshgrid(np.arange(x0, x1 + 1, 4.0), np.arange(y0, y1 + 1, 4.0))
    grid = np.c_[gx.ravel(), gy.ravel()]
    outside = roads.outside(grid[:, 0], grid[:, 1])
    grid, outside = grid[np.abs(outside) > 1.3], outside[np.abs(outside) > 1.3]
    far = _far_points(bounds)
    plane = np.concatenate([lower, upper, grid, far])
    raised = np.r_[np.zeros(len(lower)), np.ones(len(upper)), outside > 0, np.ones(len(far))]
    faces = Delaunay(plane).simplices
    faces = _counter_clockwise(plane, faces)
    z = roads.land.height(plane[:, 0], plane[:, 1]) + KERB * raised
    z[-len(far) :] = roads.land.height(np.clip(far[:, 0], x0, x1), np.clip(far[:, 1], y0, y1))
    vertices = np.c_[plane, z]
    return from_faces(vertices, faces, Material.GROUND, (0.2, 0.2, 0.2), smooth=25.0)


def median_mesh(roads: Roads) -> Mesh:
    """The raised strip between the directions, in pieces between the junctions; nothing where there is none."""
    from sample_data.meshes import empty, join, loft

    wide = roads.style.median / 2
    if wide <= 0:
        return empty()
    s = np.arange(0.0, roads.length, 2.0)
    open_ = roads.near_side(s, margin=9.5) > 0
    pieces = []
    for run in np.split(np.arange(len(s)), np.flatnonzero(np.diff(open_)) + 1):
        if open_[run[0]] or len(run) < 3:
            continue
        rows = []
        for place in s[run]:
            profile = ((-wide, -0.05), (-wide, KERB), (0.0, KERB + 0.06), (wide, KERB), (wide, -0.05))
            at = [roads.at(place, t) for t, _ in profile]
            base = [float(roads.land.height(a[0], a[1])) for a in at]
            rows.append([(a[0], a[1], b + h) for a, b, (_, h) in zip(at, base, profile, strict=True)][::-1])
        pieces.append(loft(np.array(rows), Material.GROUND, (0.2, 0.2, 0.2), smooth=30.0))
    return join(pieces)


def _kerb_lines(roads: Roads, bounds: tuple[float, float, float, float]) -> tuple[Doubles, Doubles]:
    # Points each metre along the foot and the top edge of every kerb.
    from contourpy import contour_generator

    x0, y0, x1, y1 = bounds
    xs, ys = np.arange(x0, x1 + 0.5, 0.5), np.arange(y0, y1 + 0.5, 0.5)
    gx, gy = np.meshgrid(xs, ys)
    lines = contour_generator(xs, ys, roads.outside(gx, gy)).lines(0.0)
    foot = np.concatenate([_resampled(np.asarray(line)) for line in lines])
    d = 0.05
    slope = np.stack(
        [
            roads.outside(foot[:, 0] + d, foot[:, 1]) - roads.outside(foot[:, 0] - d, foot[:, 1]),
            roads.outside(foot[:, 0], foot[:, 1] + d) - roads.outside(foot[:, 0], foot[:, 1] - d),
        ],
        axis=1,
    )
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    return foot, np.asarray(foot + _FACE * slope)


def _resampled(line: Doubles) -> Doubles:
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    count = max(round(float(along[-1]) / (2 * STEP)), 2)
    even = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(even, along, line[:, 0]), np.interp(even, along, line[:, 1])], axis=1)


def _far_points(bounds: tuple[float, float, float, float]) -> Doubles:
    x0, y0, x1, y1 = bounds
    rings = []
    for reach in (60.0, 180.0, 450.0):
        across = np.linspace(x0 - reach, x1 + reach, 9)
        up = np.linspace(y0 - reach, y1 + reach, 7)
        rings += [np.c_[across, np.full(9, y0 - reach)], np.c_[across, np.full(9, y1 + reach)]]
        rings += [np.c_[np.full(5, x0 - reach), up[1:-1]], np.c_[np.full(5, x1 + reach), up[1:-1]]]
    return np.concatenate(rings)


def _counter_clockwise(plane: Doubles, faces: ArrayLike) -> Doubles:
    face = np.asarray(faces)
    a, b, c = plane[face[:, 0]], plane[face[:, 1]], plane[face[:, 2]]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    turned: Bools = area < 0
    face = face.copy()
    face[turned] = face[turned][:, ::-1]
    return np.asarray(face)
