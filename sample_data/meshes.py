"""Triangles, and the solids that things are put together from.

A mesh is a soup of triangles: each carries its three corners, normals and texture coordinates, its material and its
colour, so that joining meshes is joining arrays and a ray's hit needs only the triangle's number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sample_data.compiled import exact, fast
from sample_data.materials import Material
from xmodal_core.types import Doubles, Floats, Ints

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Mesh:
    """A soup of F triangles.

    Args:
        corners, normals, local: (F,3,3) float32: position (metres), unit normal and texture coordinates (metres,
            unless a material says otherwise) of each corner.
        colour: (F,3) float32 linear albedo.
        material: (F,) uint8.
    """

    corners: Floats
    normals: Floats
    local: Floats
    colour: Floats
    material: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.corners)

    def moved(self, rotation: ArrayLike, translation: ArrayLike = (0.0, 0.0, 0.0)) -> Mesh:
        """Turned by a 3x3 ``rotation``, then shifted; texture coordinates stay with the triangles."""
        turn = np.asarray(rotation, dtype=np.float32)
        shift = np.asarray(translation, dtype=np.float32)
        corners, normals = np.empty_like(self.corners), np.empty_like(self.normals)
        _turn(self.corners.reshape(-1, 3), turn, shift, corners.reshape(-1, 3))
        _turn(self.normals.reshape(-1, 3), turn, np.zeros(3, dtype=np.float32), normals.reshape(-1, 3))
        return replace(self, corners=corners, normals=normals)

    def shifted(self, x: float, y: float, z: float) -> Mesh:
        return replace(self, corners=self.corners + np.array([x, y, z], dtype=np.float32))

    def placed_in_texture(self) -> Mesh:
        """With the corners as they are now as texture coordinates."""
        return replace(self, local=self.corners.copy())

    def painted(self, material: Material, colour: Colour) -> Mesh:
        """All of one material and colour."""
        return replace(
            self,
            material=np.full(len(self), material, dtype=np.uint8),
            colour=np.tile(np.array(colour, dtype=np.float32), (len(self), 1)),
        )


@fast
def _turn(vectors, turn, shift, out):  # type: ignore[no-untyped-def]
    # Many small meshes are moved for every picture, which NumPy's product of small matrices is slow at.
    for n in range(vectors.shape[0]):
        x, y, z = vectors[n, 0], vectors[n, 1], vectors[n, 2]
        for axis in range(3):
            out[n, axis] = turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2] * z + shift[axis]


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles of ``meshes``, in their order."""
    if not meshes:
        return empty()
    return Mesh(
        np.concatenate([mesh.corners for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.local for mesh in meshes]),
        np.concatenate([mesh.colour for mesh in meshes]),
        np.concatenate([mesh.material for mesh in meshes]),
    )


def empty() -> Mesh:
    """No triangle."""
    none = np.zeros((0, 3, 3), dtype=np.float32)
    return Mesh(none, none, none, np.zeros((0, 3), np.float32), np.zeros(0, np.uint8))


def from_faces(
    vertices: ArrayLike,
    faces: ArrayLike,
    material: Material,
    colour: Colour,
    *,
    smooth: float = 0.0,
    normals: ArrayLike | None = None,
    local: ArrayLike | None = None,
) -> Mesh:
    """A mesh from indexed triangles.

    Args:
        vertices: (V,3) metres.
        faces: (F,3) vertex numbers, counter-clockwise from outside.
        material, colour: of all triangles.
        smooth: degrees: faces that meet at less than this share a rounded normal; 0 gives flat faces.
        normals: (V,3) normals to use instead.
        local: (V,3) texture coordinates; the position itself where not given.
    """
    vertex = np.ascontiguousarray(vertices, dtype=np.float32)
    face = np.ascontiguousarray(faces, dtype=np.int64)
    corners, corner_normals = np.empty((2, len(face), 3, 3), dtype=np.float32)
    kept = _corners(vertex, face, np.cos(np.radians(smooth)) if smooth > 0 else np.inf, corners, corner_normals)
    if len(kept) < len(face):
        face, corners, corner_normals = face[kept], corners[kept], corner_normals[kept]
    if normals is not None:
        corner_normals = np.asarray(normals, dtype=np.float32)[face]
    return Mesh(
        corners,
        corner_normals,
        corners.copy() if local is None else np.asarray(local, dtype=np.float32)[face],
        np.full((len(face), 3), colour, dtype=np.float32),
        np.full(len(face), material, dtype=np.uint8),
    )


@exact
def _corners(vertex, face, least, corners, normals):  # type: ignore[no-untyped-def]
    # Fills in the (F,3,3) corners of triangles and their normals; gives the numbers of those that have an area.
    # A corner's normal is the area-weighted mean of all its triangles where that leans from the triangle's own by a
    # cosine above `least`. A street has some 20 000 small meshes, for which NumPy's set-up is most of the work.
    cross = np.empty((len(face), 3), dtype=np.float32)
    kept = np.empty(len(face), dtype=np.int64)
    count = 0
    for f in range(len(face)):
        for corner in range(3):
            corners[f, corner] = vertex[face[f, corner]]
        o, a, b = corners[f]
        x, y, z = a[0] - o[0], a[1] - o[1], a[2] - o[2]
        u, v, w = b[0] - o[0], b[1] - o[1], b[2] - o[2]
        cross[f, 0], cross[f, 1], cross[f, 2] = y * w - z * v, z * u - x * w, x * v - y * u
        c = cross[f]
        area = np.sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2])
        if area > np.float32(1e-10):
            kept[count] = f
            count += 1
            for corner in range(3):
                for axis in range(3):
                    normals[f, corner, axis] = c[axis] / area
    if np.isfinite(least):
        _round_off(len(vertex), face, kept[:count], cross, least, normals)
    return kept[:count]


@exact
def _round_off(count, face, kept, cross, least, normals):  # type: ignore[no-untyped-def]
    mean = np.zeros((count, 3))
    for corner in range(3):
        for f in kept:
            for axis in range(3):
                mean[face[f, corner], axis] += cross[f, axis]
    for n in range(count):
        m = mean[n]
        m /= max(math.sqrt(m[0] * m[0] + m[1] * m[1] + m[2] * m[2]), 1e-12)
    for f in kept:
        flat = normals[f, 0].copy()
        for corner in range(3):
            m = mean[face[f, corner]]
            if m[0] * flat[0] + m[2] * flat[2] + m[1] * flat[1] > least:
                for axis in range(3):
                    normals[f, corner, axis] = m[axis]


def _crossed(a: Any, b: Any) -> Any:
    # np.cross, for the many small meshes without its set-up.
    result = np.empty_like(a)
    for axis in range(3):
        j, k = (axis + 1) % 3, (axis + 2) % 3
        result[:, axis] = a[:, j] * b[:, k] - a[:, k] * b[:, j]
    return result


def box(centre: Sequence[float], size: Sequence[float], material: Material, colour: Colour) -> Mesh:
    """A box with its edges along the axes; ``size`` is its full extent in x, y, z."""
    corners = _CUBE * np.asarray(size, dtype=np.float32) + np.asarray(centre, dtype=np.float32)
    return Mesh(
        corners,
        _CUBE_NORMALS,
        corners,
        np.tile(np.array(colour, dtype=np.float32), (12, 1)),
        np.full(12, material, dtype=np.uint8),
    )


def _cube() -> tuple[Floats, Floats]:
    corners: list[tuple[Doubles, Doubles, Doubles]] = []
    normals: list[tuple[Doubles, Doubles, Doubles]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal, u, v = np.zeros(3), np.zeros(3), np.zeros(3)
            normal[axis], u[(axis + 1) % 3], v[(axis + 2) % 3] = sign, sign, 1.0
            a, b, c, d = (normal - u - v, normal + u - v, normal + u + v, normal - u + v)
            corners += [(a, b, c), (a, c, d)]
            normals += [(normal,) * 3] * 2
    half = np.array(corners, dtype=np.float32) * np.float32(0.5)
    return half, np.array(normals, dtype=np.float32)


_CUBE, _CUBE_NORMALS = _cube()


def prism(outline: ArrayLike, low: float, high: float, material: Material, colour: Colour) -> Mesh:
    """A convex ``outline`` (P,2), counter-clockwise, raised from ``low`` to ``high``, closed above and below."""
    return frustum(outline, outline, low, high, material, colour)


def frustum(
    outline: ArrayLike, top: ArrayLike, low: float, high: float, material: Material, colour: Colour, smooth: float = 0.0
) -> Mesh:
    """As ``prism``, with another outline of as many points above."""
    bottom_xy, top_xy = np.asarray(outline, dtype=np.float64), np.asarray(top, dtype=np.float64)
    n = len(bottom_xy)
    vertices = np.concatenate([np.c_[bottom_xy, np.full(n, low)], np.c_[top_xy, np.full(n, high)]])
    i, j = np.arange(n), (np.arange(n) + 1) % n
    sides = np.concatenate([np.c_[i, j, n + j], np.c_[i, n + j, n + i]])
    fan = np.c_[np.zeros(n - 2, dtype=np.int64), np.arange(1, n - 1), np.arange(2, n)]
    wall = from_faces(vertices, sides, material, colour, smooth=smooth)
    caps = from_faces(vertices, np.concatenate([fan[:, ::-1], n + fan]), material, colour)
    return join([wall, caps])


def loft(rings: ArrayLike, material: Material, colour: Colour, *, closed: bool = True, smooth: float = 50.0) -> Mesh:
    """A skin over ``rings`` (R,P,3): rows of as many points each, counter-clockwise seen from the last ring's side.

    ``closed`` joins each ring's last point with its first. The two end rings are capped.
    """
    ring = np.asarray(rings, dtype=np.float64)
    rows, points, _ = ring.shape
    # The caps have corners of their own, so that the skin's normals do not lean towards them.
    ends = [ring[0], ring[0].mean(axis=0, keepdims=True), ring[-1], ring[-1].mean(axis=0, keepdims=True)]
    vertices = np.concatenate([ring.reshape(-1, 3), *ends])
    return from_faces(vertices, _loft_faces(rows, points, closed), material, colour, smooth=smooth)


@cache
def grid_faces(rows: int, points: int, closed: bool = True) -> Ints:
    """(F,3) vertex numbers of the skin over ``rows`` rings of ``points`` vertices each, numbered ring by ring."""
    number = np.arange(rows * points).reshape(rows, points)
    following = np.roll(number, -1, axis=1) if closed else number[:, 1:]
    first = number if closed else number[:, :-1]
    a, b, c, d = first[:-1].ravel(), following[:-1].ravel(), following[1:].ravel(), first[1:].ravel()
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


@cache
def _fan(points: int, outward: bool) -> Ints:
    i, j = np.arange(points), (np.arange(points) + 1) % points
    last = np.full(points, points)
    return np.stack([i, j, last] if outward else [j, i, last], axis=1)


@cache
def _loft_faces(rows: int, points: int, closed: bool) -> Ints:
    count = rows * points
    low, top = count + _fan(points, outward=False), count + points + 1 + _fan(points, outward=True)
    return np.concatenate([grid_faces(rows, points, closed), low, top])


def offset(place: ArrayLike, x: float, y: float, z: float) -> Doubles:
    """``place`` (3,), moved."""
    return np.asarray(np.asarray(place, dtype=np.float64) + np.array([x, y, z]))


def circle(radius: float, sides: int, x: float = 0.0, y: float = 0.0) -> Doubles:
    """(sides,2) points counter-clockwise on a circle."""
    unit = _unit_circle(sides)
    return np.stack([x + radius * unit[:, 0], y + radius * unit[:, 1]], axis=1)


@cache
def _unit_circle(sides: int) -> Doubles:
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def tube(
    path: ArrayLike, radii: Sequence[float], material: Material, colour: Colour, sides: int = 8, smooth: float = 80.0
) -> Mesh:
    """A round rod along ``path`` (P,3) with a radius at each of its points."""
    points = np.asarray(path, dtype=np.float64)
    along = np.empty_like(points)
    along[0], along[-1], along[1:-1] = points[1] - points[0], points[-1] - points[-2], points[2:] - points[:-2]
    along /= np.maximum(np.sqrt((along * along).sum(axis=1, keepdims=True)), 1e-9)
    helper = np.where(np.abs(along[:, 2:3]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    u = _crossed(helper, along)
    u /= np.sqrt((u * u).sum(axis=1, keepdims=True))
    v = _crossed(along, u)
    unit = _unit_circle(sides)
    round_ = unit[None, :, :1] * u[:, None] + unit[None, :, 1:] * v[:, None]
    return loft(points[:, None] + np.asarray(radii)[:, None, None] * round_, material, colour, smooth=smooth)


def cylinder(
    base: Sequence[float],
    height: float,
    radius: float,
    material: Material,
    colour: Colour,
    sides: int = 12,
    top: float = 1.0,
) -> Mesh:
    """An upright cylinder on ``base``; ``top`` is the upper radius as a share of the lower."""
    x, y, z = base
    return tube([(x, y, z), (x, y, z + height)], [radius, radius * top], material, colour, sides)


def ellipsoid(
    centre: ArrayLike, radii: ArrayLike, material: Material, colour: Colour, rows: int = 7, sides: int = 10
) -> Mesh:
    """An ellipsoid of ``rows`` x ``sides`` quads with round normals."""
    points = _unit_sphere(rows, sides)
    scale = np.asarray(radii, dtype=np.float64)
    normals = points / scale
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return from_faces(
        points * scale + np.asarray(centre), grid_faces(rows + 1, sides), material, colour, normals=normals
    )


@cache
def _unit_sphere(rows: int, sides: int) -> Doubles:
    # ((rows + 1) * sides, 3), ring by ring from below.
    polar = np.linspace(0, np.pi, rows + 1)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    unit = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(angle)[None],
            np.sin(polar)[:, None] * np.sin(angle)[None],
            np.repeat(-np.cos(polar)[:, None], sides, axis=1),
        ],
        axis=-1,
    )
    return unit.reshape(-1, 3)


def panel(
    origin: Sequence[float],
    across: Sequence[float],
    up: Sequence[float],
    material: Material,
    colour: Colour,
    texture: tuple[float, float, float] | None = None,
) -> Mesh:
    """A parallelogram from ``origin`` along ``across`` and ``up``, seen from the side of across x up.

    Its texture coordinates are metres along both edges, or with ``texture`` = (w, h, number) they run from 0 to w
    and 0 to h with a constant third one.
    """
    o, a, u = (np.asarray(vector, dtype=np.float64) for vector in (origin, across, up))
    width, height = float(np.linalg.norm(a)), float(np.linalg.norm(u))
    w, h, third = texture if texture is not None else (width, height, 0.0)
    local = [(0, 0, third), (w, 0, third), (w, h, third), (0, h, third)]
    return from_faces([o, o + a, o + a + u, o + u], [(0, 1, 2), (0, 2, 3)], material, colour, local=local)


def disc(
    centre: Sequence[float],
    normal_yaw: float,
    radius: float,
    sides: int,
    material: Material,
    colour: Colour,
    number: float,
) -> Mesh:
    """An upright flat polygon facing ``normal_yaw``; texture coordinates run from 0 to 1 over its bounding square."""
    turn = np.pi / sides
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + turn - np.pi / 2
    across = np.array([-np.sin(normal_yaw), np.cos(normal_yaw), 0.0])
    flat = np.c_[np.cos(angle), np.sin(angle)]
    vertices = np.asarray(centre) + radius * (flat[:, :1] * across + flat[:, 1:] * np.array([0.0, 0.0, 1.0]))
    fan = np.c_[np.zeros(sides - 2, dtype=np.int64), np.arange(1, sides - 1), np.arange(2, sides)]
    local = np.c_[flat * 0.5 + 0.5, np.full(sides, number)]
    return from_faces(vertices, fan, material, colour, local=local)


def turn_z(angle: float) -> Doubles:
    """The 3x3 rotation by ``angle`` radians about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def turn_y(angle: float) -> Doubles:
    """The 3x3 rotation by ``angle`` radians about y (positive: the x-axis dips)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def turn_x(angle: float) -> Doubles:
    """The 3x3 rotation by ``angle`` radians about x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
