"""Trees, bushes and hedges: trunks with branches, crowns of many leaves around soft bodies."""

from __future__ import annotations

import numpy as np

from sample_data.materials import Material
from sample_data.meshes import Colour, Mesh, box, ellipsoid, from_faces, join, tube
from xmodal_core.types import Doubles

GREENS: tuple[Colour, ...] = (
    (0.085, 0.17, 0.03), (0.06, 0.135, 0.03), (0.12, 0.19, 0.035), (0.05, 0.115, 0.035), (0.15, 0.17, 0.03),
    (0.10, 0.15, 0.055),
)  # fmt: skip
BARK: Colour = (0.13, 0.10, 0.075)


def tree(rng: np.random.Generator, *, height: float | None = None, leaves: int = 900) -> Mesh:
    """A broad-leaved or, now and then, a conical tree on the origin; ``leaves`` triangles of foliage."""
    tall = height if height is not None else float(rng.uniform(5.5, 9.5))
    if rng.random() < 0.14:
        return _conifer(rng, tall, leaves)
    return _broad_leaved(rng, tall, tall * rng.uniform(0.28, 0.38), leaves)


def street_tree(rng: np.random.Generator, leaves: int = 900) -> Mesh:
    """A broad-leaved tree whose crown is cut high enough for people and lorries to pass beneath."""
    return _broad_leaved(rng, float(rng.uniform(8.0, 10.5)), float(rng.uniform(3.9, 4.3)), leaves)


def _broad_leaved(rng: np.random.Generator, tall: float, clear: float, leaves: int) -> Mesh:
    # `tall` metres high, the crown beginning `clear` metres above the ground.
    wide = tall * rng.uniform(0.26, 0.36)
    lean = rng.normal(0, 0.03, 2) * tall
    colour = _green(rng)
    thick = 0.022 * tall + 0.03
    foot, knee, fork = (0.0, 0.0, -0.2), (*(0.2 * lean), 0.5 * clear), (*(0.5 * lean), clear)
    path = np.array([foot, knee, fork, (*lean, 0.8 * tall)])
    parts = [tube(path, [thick * 1.35, thick, thick * 0.85, 0.03], Material.BARK, BARK, 9)]
    blobs = []
    for k in range(int(rng.integers(6, 10))):
        angle, level = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1)
        out = wide * rng.uniform(0.3, 0.75) * (1.0 - 0.45 * abs(level - 0.35))
        centre = np.array(
            [np.cos(angle) * out, np.sin(angle) * out, clear + 0.12 * tall + level * (tall * 0.8 - clear)]
        )
        centre[:2] += lean * 0.6
        size = wide * rng.uniform(0.38, 0.55)
        blobs.append((centre, np.array([size, size, size * rng.uniform(0.65, 0.85)])))
        if k < 5:
            start = np.array([lean[0] * 0.5, lean[1] * 0.5, clear * rng.uniform(0.9, 1.15)])
            parts.append(
                tube(
                    [start, (start + centre) / 2 + [0, 0, -0.1], centre],
                    [thick * 0.5, thick * 0.35, 0.02],
                    Material.BARK,
                    BARK,
                    5,
                )
            )
    blobs.append(
        (np.array([lean[0] * 0.7, lean[1] * 0.7, tall * 0.62]), np.array([wide * 0.62, wide * 0.62, tall * 0.26]))
    )
    parts.append(foliage(rng, blobs, leaves, 1.35 * tall / np.sqrt(leaves), colour))
    return join(parts)


def _green(rng: np.random.Generator) -> Colour:
    base = np.array(GREENS[int(rng.integers(len(GREENS)))]) * rng.uniform(0.85, 1.2)
    return float(base[0]), float(base[1]), float(base[2])


def _conifer(rng: np.random.Generator, tall: float, leaves: int) -> Mesh:
    parts = [tube([(0, 0, -0.2), (0, 0, tall * 0.9)], [0.14 + 0.012 * tall, 0.03], Material.BARK, BARK, 7)]
    blobs = []
    for level in np.linspace(0.18, 0.95, 8):
        wide = tall * 0.24 * (1.05 - level)
        blobs.append((np.array([0.0, 0.0, level * tall]), np.array([wide, wide, tall * 0.075])))
    dark = _green(rng)
    parts.append(
        foliage(rng, blobs, leaves, 1.3 * tall / np.sqrt(leaves), (dark[0] * 0.55, dark[1] * 0.75, dark[2] * 0.9))
    )
    return join(parts)


def foliage(
    rng: np.random.Generator, blobs: list[tuple[Doubles, Doubles]], leaves: int, size: float, colour: Colour
) -> Mesh:
    """Leaf triangles on and in ellipsoids, shaded as if they lay on the ellipsoids' surface, over darker bodies.

    Args:
        blobs: centres and radii, metres.
        leaves: how many triangles.
        size: of one clump of leaves, metres.
    """
    share = np.array([radii[0] * radii[1] for _, radii in blobs])
    count = np.maximum((leaves * share / share.sum()).astype(int), 6)
    normals, places = [], []
    parts = []
    middle = np.mean([centre for centre, _ in blobs], axis=0)
    for (centre, radii), n in zip(blobs, count, strict=True):
        direction = rng.normal(size=(n, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        depth = rng.uniform(0.74, 1.06, (n, 1))
        places.append(centre + direction * radii * depth)
        outward = direction / radii
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        crown = places[-1] - middle
        crown /= np.linalg.norm(crown, axis=1, keepdims=True) + 1e-9
        mixed = 0.55 * outward + 0.45 * crown
        normals.append(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))
        dark: Colour = (colour[0] * 0.62, colour[1] * 0.62, colour[2] * 0.62)
        parts.append(ellipsoid(centre, radii * 0.86, Material.LEAF, dark, 6, 10))
    place, normal = np.concatenate(places), np.concatenate(normals)
    parts.append(_cards(rng, place, normal, size, colour))
    return join(parts)


def _cards(rng: np.random.Generator, place: Doubles, normal: Doubles, size: float, colour: Colour) -> Mesh:
    n = len(place)
    facing = normal + 0.75 * rng.normal(size=(n, 3))
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    side = np.cross(facing, rng.normal(size=(n, 3)))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    up = np.cross(facing, side)
    length = size * rng.uniform(0.7, 1.3, (n, 1))
    corners = np.stack(
        [
            place - 0.6 * length * side - 0.4 * length * up,
            place + 0.6 * length * side - 0.4 * length * up,
            place + 0.9 * length * up,
        ],
        axis=1,
    )
    mesh = from_faces(
        corners.reshape(-1, 3),
        np.arange(3 * n).reshape(n, 3),
        Material.LEAF,
        colour,
        normals=np.repeat(normal, 3, axis=0),
        local=np.tile([[-0.5, 0, 0], [0.5, 0, 0], [0, 1, 0]], (n, 1)),
    )
    tone = rng.uniform(0.75, 1.25, (len(mesh), 1)).astype(np.float32)
    mesh.colour[:] = mesh.colour * tone
    return mesh


def bush(rng: np.random.Generator, size: float, leaves: int = 120) -> Mesh:
    """A round bush about ``size`` metres wide."""
    blobs = [
        (
            np.array([*rng.uniform(-0.25, 0.25, 2) * size, size * 0.32]),
            np.array([0.42, 0.42, 0.4]) * size * rng.uniform(0.8, 1.1),
        )
        for _ in range(3)
    ]
    mesh = foliage(rng, blobs, leaves, 0.13 * size + 0.04, _green(rng))
    if rng.random() < 0.3:
        bloom = rng.random(len(mesh)) < 0.16
        mesh.colour[bloom] = ((0.55, 0.08, 0.2), (0.6, 0.5, 0.1), (0.6, 0.55, 0.6))[int(rng.integers(3))]
    return mesh


def hedge(rng: np.random.Generator, length: float, height: float, colour: Colour | None = None) -> Mesh:
    """A clipped hedge along x from 0 to ``length``, half a metre deep."""
    green = colour or _green(rng)
    deep = 0.55
    dark: Colour = (green[0] * 0.6, green[1] * 0.6, green[2] * 0.6)
    core = box((length / 2, 0, height / 2 - 0.05), (length, deep * 0.8, height - 0.04), Material.LEAF, dark)
    n = int(length * (2 * height + deep) * 90)
    face = rng.choice(3, n, p=np.array([height, height, deep]) / (2 * height + deep))
    x, along = rng.uniform(0, length, n), rng.uniform(0, 1, n)
    place = np.stack(
        [
            x,
            np.where(face == 0, -deep / 2, np.where(face == 1, deep / 2, (along - 0.5) * deep)),
            np.where(face == 2, height, along * height),
        ],
        axis=1,
    ) + rng.normal(0, 0.025, (n, 3))
    normal = np.array([[0, -1.0, 0.25], [0, 1.0, 0.25], [0, 0, 1.0]])[face]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return join([core, _cards(rng, place, normal, 0.1, green)])
