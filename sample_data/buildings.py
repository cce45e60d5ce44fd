"""Houses: walls with painted windows and real ledges, balconies, awnings, roofs, chimneys; halls and towers."""

from __future__ import annotations

import numpy as np

from sample_data.atlas import FIRST_SHOP, SHOPS
from sample_data.materials import Material
from sample_data.meshes import Colour, Mesh, box, from_faces, join, panel
from sample_data.models import Model
from sample_data.surface_buildings import BOARDS, BRICK, CORRUGATED, CURTAIN, PANELS, PLASTER

WALLS: dict[float, tuple[Colour, ...]] = {
    PLASTER: ((0.62, 0.54, 0.40), (0.66, 0.62, 0.54), (0.55, 0.36, 0.22),
              (0.50, 0.52, 0.50), (0.62, 0.45, 0.34), (0.42, 0.50, 0.54),
              (0.66, 0.58, 0.28)),
    BRICK: ((0.33, 0.12, 0.075), (0.28, 0.15, 0.10), (0.40, 0.22, 0.13), (0.42, 0.33, 0.22)),
    PANELS: ((0.50, 0.49, 0.46), (0.40, 0.41, 0.42), (0.56, 0.52, 0.46)),
    CURTAIN: ((0.10, 0.14, 0.17), (0.08, 0.12, 0.13), (0.12, 0.13, 0.15)),
    CORRUGATED: ((0.42, 0.44, 0.45), (0.16, 0.27, 0.36), (0.52, 0.50, 0.44), (0.24, 0.32, 0.24), (0.45, 0.16, 0.11)),
    BOARDS: ((0.64, 0.63, 0.58), (0.30, 0.38, 0.42), (0.44, 0.20, 0.13), (0.56, 0.50, 0.32)),
}  # fmt: skip
ROOFS: tuple[Colour, ...] = ((0.32, 0.11, 0.06), (0.22, 0.10, 0.07), (0.10, 0.10, 0.11), (0.16, 0.13, 0.11))
DOORS: tuple[Colour, ...] = (
    (0.28, 0.04, 0.04),
    (0.04, 0.12, 0.08),
    (0.05, 0.09, 0.22),
    (0.20, 0.11, 0.05),
    (0.03, 0.03, 0.035),
)
AWNINGS: tuple[Colour, ...] = ((0.50, 0.06, 0.05), (0.05, 0.26, 0.14), (0.06, 0.14, 0.38), (0.60, 0.44, 0.12))


def _pick(rng: np.random.Generator, choices: tuple[Colour, ...]) -> Colour:
    base = np.array(choices[int(rng.integers(len(choices)))]) * rng.uniform(0.9, 1.1)
    r, g, b = np.clip(base, 0.01, 0.75)
    return float(r), float(g), float(b)


def _walls(width: float, depth: float, height: float, colour: Colour) -> list[Mesh]:
    # Four walls whose texture coordinates are metres along and up, and the wall's length; they go 2 m into the
    # ground, for it slopes. The front, along x, faces -y.
    corners = [(0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth)]
    walls = []
    for k in range(4):
        (x0, y0), (x1, y1) = corners[k], corners[(k + 1) % 4]
        length = float(np.hypot(x1 - x0, y1 - y0))
        vertices = [(x0, y0, -2.0), (x1, y1, -2.0), (x1, y1, height), (x0, y0, height)]
        local = [(0, -2.0, length), (length, -2.0, length), (length, height, length), (0, height, length)]
        walls.append(from_faces(vertices, [(0, 1, 2), (0, 2, 3)], Material.FACADE, colour, local=local))
    return walls


def block(
    rng: np.random.Generator, width: float, depth: float, storeys: int, *, shop: bool, style: float | None = None
) -> Model:
    """A town house of ``storeys``, its front along x facing -y, its front left corner at the origin."""
    if style is None:
        style = float(rng.choice([PLASTER, PLASTER, BRICK, BRICK, PANELS, CURTAIN if storeys >= 4 else PLASTER]))
    colour = _pick(rng, WALLS[style])
    storey = float(rng.uniform(2.9, 3.4))
    ground = 3.9 if shop else storey
    height = ground + (storeys - 1) * storey + 0.9
    parts = _walls(width, depth, height, colour)
    trim: Colour = (0.56, 0.54, 0.49) if style != CURTAIN else (0.2, 0.21, 0.22)
    parts.append(
        box((width / 2, depth / 2, height - 0.5), (width - 0.3, depth - 0.3, 0.2), Material.CONCRETE, (0.3, 0.3, 0.29))
    )
    parts.append(_ring(width, depth, height - 0.12, 0.18, 0.28, trim))
    if style in (PLASTER, BRICK):
        parts.append(_ring(width, depth, ground, 0.1, 0.18, trim))
        if rng.random() < 0.4:
            parts.append(_ring(width, depth, height - 1.0, 0.12, 0.2, trim))
    if shop:
        parts += _awnings(rng, width, ground)
    elif style != CURTAIN and rng.random() < 0.7:
        parts += _balconies(rng, width, storeys, storey, ground)
    if shop and rng.random() < 0.35:
        parts += _balconies(rng, width, storeys, storey, ground)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(2, width - 2), rng.uniform(2, depth - 2)
        parts.append(
            box(
                (x, y, height + 0.5),
                (rng.uniform(1.2, 2.6), rng.uniform(1.2, 2.2), 1.8),
                Material.CONCRETE,
                (0.36, 0.36, 0.35),
            )
        )
    if style in (PLASTER, BRICK) and rng.random() < 0.5:
        parts += _mansard(width, depth, height, _pick(rng, ROOFS))
    frame: Colour = (0.62, 0.61, 0.58) if rng.random() < 0.65 else (0.10, 0.10, 0.11)
    accent = _pick(rng, DOORS)
    parameters = (
        storey, float(rng.uniform(1.6, 2.9)) if style != CURTAIN else 1.5, float(rng.uniform(0.42, 0.62)),
        float(rng.uniform(0.46, 0.58)), ground, style, *frame, 1.0 if shop else 0.0, float(rng.random()), height,
        *accent,
    )  # fmt: skip
    return Model("static.manmade", (join(parts),), None, parameters)


def _ring(width: float, depth: float, z: float, out: float, high: float, colour: Colour) -> Mesh:
    # A ledge all round the house.
    return join(
        [
            box((width / 2, -out / 2, z), (width + 2 * out, out, high), Material.CONCRETE, colour),
            box((width / 2, depth + out / 2, z), (width + 2 * out, out, high), Material.CONCRETE, colour),
            box((-out / 2, depth / 2, z), (out, depth, high), Material.CONCRETE, colour),
            box((width + out / 2, depth / 2, z), (out, depth, high), Material.CONCRETE, colour),
        ]
    )


def _awnings(rng: np.random.Generator, width: float, ground: float) -> list[Mesh]:
    parts = []
    names = list(rng.permutation(len(SHOPS)))
    x = 0.4
    while x < width - 3.0:
        wide = min(float(rng.uniform(3.6, 5.4)), width - 0.4 - x)
        number = FIRST_SHOP + names.pop() if names else FIRST_SHOP
        board = panel(
            (x + 0.3, -0.14, ground - 0.72),
            (wide - 0.6, 0, 0),
            (0, 0, 0.6),
            Material.BANNER,
            (0.5, 0.5, 0.5),
            (1.0, 1.0, float(number)),
        )
        parts.append(board)
        if rng.random() < 0.5:
            colour = _pick(rng, AWNINGS)
            for k in range(6):
                stripe: Colour = colour if k % 2 == 0 else (0.66, 0.64, 0.6)
                a, b = x + 0.2 + k * (wide - 0.4) / 6, x + 0.2 + (k + 1) * (wide - 0.4) / 6
                top = [
                    (a, -0.02, ground - 0.8),
                    (b, -0.02, ground - 0.8),
                    (b, -1.25, ground - 1.25),
                    (a, -1.25, ground - 1.25),
                ]
                front = [
                    (a, -1.25, ground - 1.25),
                    (b, -1.25, ground - 1.25),
                    (b, -1.25, ground - 1.45),
                    (a, -1.25, ground - 1.45),
                ]
                parts.append(
                    from_faces(top + front, [(0, 3, 2), (0, 2, 1), (4, 7, 6), (4, 6, 5)], Material.CLOTH, stripe)
                )
        x += wide
    return parts


def _balconies(rng: np.random.Generator, width: float, storeys: int, storey: float, ground: float) -> list[Mesh]:
    parts = []
    count = max(int(width / 7.0), 1)
    rail: Colour = (0.12, 0.12, 0.13) if rng.random() < 0.6 else (0.5, 0.5, 0.48)
    for level in range(1, storeys):
        z = ground + (level - 1) * storey + 0.05
        for k in range(count):
            x = (k + 0.5) * width / count
            parts.append(box((x, -0.5, z), (2.6, 1.0, 0.16), Material.CONCRETE, (0.46, 0.45, 0.42)))
            parts.append(box((x, -0.98, z + 1.02), (2.6, 0.05, 0.06), Material.METAL, rail))
            bars = [
                box((x - 1.25 + 0.25 * i, -0.98, z + 0.55), (0.03, 0.03, 0.9), Material.METAL, rail) for i in range(11)
            ]
            sides = [box((x + s * 1.28, -0.5, z + 1.02), (0.05, 1.0, 0.06), Material.METAL, rail) for s in (-1, 1)]
            parts += bars + sides
    return parts


def _mansard(width: float, depth: float, height: float, colour: Colour) -> list[Mesh]:
    # A tiled roof that leans back from all four walls, flat on top.
    inset, rise = 1.6, 2.4
    low = [(-0.2, -0.2), (width + 0.2, -0.2), (width + 0.2, depth + 0.2), (-0.2, depth + 0.2)]
    top = [(inset, inset), (width - inset, inset), (width - inset, depth - inset), (inset, depth - inset)]
    parts = []
    for k in range(4):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = low[k], low[(k + 1) % 4], top[(k + 1) % 4], top[k]
        length = float(np.hypot(bx - ax, by - ay))
        vertices = [(ax, ay, height), (bx, by, height), (cx, cy, height + rise), (dx, dy, height + rise)]
        local = [(0, 0, 0), (length, 0, 0), (length - inset, 3.0, 0), (inset, 3.0, 0)]
        parts.append(from_faces(vertices, [(0, 1, 2), (0, 2, 3)], Material.TILES, colour, local=local))
    flat = [(*xy, height + rise) for xy in top]
    parts.append(from_faces(flat, [(0, 1, 2), (0, 2, 3)], Material.CONCRETE, (0.25, 0.25, 0.25)))
    return parts


def cottage(rng: np.random.Generator, width: float, depth: float, storeys: int) -> Model:
    """A gabled house with chimney, porch and door; its front along x faces -y."""
    style = float(rng.choice([PLASTER, BRICK, BOARDS]))
    colour = _pick(rng, WALLS[style])
    storey = 2.75
    height = storeys * storey + 0.25
    parts = _walls(width, depth, height, colour)
    roof = _pick(rng, ROOFS)
    rise = depth / 2 * float(rng.uniform(0.6, 0.85))
    over = 0.45
    slope = float(np.hypot(depth / 2 + over, rise * (1 + 2 * over / depth)))
    low = height - rise * 2 * over / depth
    ridge = height + rise
    for front in (True, False):
        y0, y1 = (-over, depth / 2) if front else (depth + over, depth / 2)
        vertices = [(-over, y0, low), (width + over, y0, low), (width + over, y1, ridge), (-over, y1, ridge)]
        local = [(0, 0, 0), (width, 0, 0), (width, slope, 0), (0, slope, 0)]
        faces = [(0, 1, 2), (0, 2, 3)] if front else [(0, 2, 1), (0, 3, 2)]
        parts.append(from_faces(vertices, faces, Material.TILES, roof, local=local))
        board = [(-over, y0, low - 0.18), (width + over, y0, low - 0.18), (width + over, y0, low), (-over, y0, low)]
        parts.append(from_faces(board, [(0, 1, 2), (0, 2, 3)], Material.PLAIN, (0.6, 0.59, 0.56)))
    for x, turn in ((0.0, False), (width, True)):
        gable = [(x, 0, height), (x, depth, height), (x, depth / 2, ridge)]
        above = [(0.0, 99.0, 0.5), (depth, 99.0, 0.5), (depth / 2, 99.0 + rise, 0.5)]  # higher than any window
        parts.append(from_faces(gable, [(0, 1, 2)] if turn else [(0, 2, 1)], Material.FACADE, colour, local=above))
    chimney = (float(rng.uniform(1.5, width - 1.5)), depth * 0.62, ridge - 0.2)
    parts.append(box(chimney, (0.7, 0.5, 2.0), Material.CONCRETE, (0.27, 0.13, 0.09)))
    parts.append(
        box((chimney[0], chimney[1], chimney[2] + 1.05), (0.85, 0.65, 0.12), Material.CONCRETE, (0.4, 0.39, 0.37))
    )
    frame: Colour = (0.64, 0.63, 0.6) if rng.random() < 0.8 else (0.1, 0.1, 0.11)
    parameters = (
        storey, float(rng.uniform(2.2, 3.0)), float(rng.uniform(0.45, 0.6)), 0.46, storey, style, *frame, 0.0,
        float(rng.random()), height + 0.01, *_pick(rng, DOORS),
    )  # fmt: skip
    return Model("static.manmade", (join(parts),), None, parameters)


def hall(rng: np.random.Generator, width: float, depth: float) -> Model:
    """A warehouse of corrugated metal with rolling gates."""
    colour = _pick(rng, WALLS[CORRUGATED])
    height = float(rng.uniform(6.5, 10.0))
    parts = _walls(width, depth, height, colour)
    parts.append(
        box(
            (width / 2, depth / 2, height - 0.2), (width - 0.2, depth - 0.2, 0.2), Material.CONCRETE, (0.33, 0.33, 0.33)
        )
    )
    parts.append(_ring(width, depth, height, 0.12, 0.3, (0.3, 0.31, 0.33)))
    for k in range(int(width / 7)):
        x = 3.5 + 7.0 * k
        gate: Colour = (0.46, 0.46, 0.45) if k % 3 else (0.10, 0.22, 0.42)
        parts.append(box((x, -0.04, 2.1), (3.8, 0.1, 4.2), Material.WOOD, gate))
        parts.append(box((x, -0.12, 4.35), (4.2, 0.25, 0.22), Material.METAL, (0.3, 0.3, 0.32)))
        parts.append(box((x + 2.2, -0.3, 0.5), (0.2, 0.2, 1.0), Material.CONE, (0.65, 0.45, 0.03)))
    parameters = (
        height - 1.8, 3.5, 0.6, 0.16, height, CORRUGATED, 0.2, 0.2, 0.21, -1.0, float(rng.random()), height,
        0.2, 0.2, 0.2,
    )  # fmt: skip
    return Model("static.manmade", (join(parts),), None, parameters)


def distant_row(rng: np.random.Generator, length: float) -> Mesh:
    """A far row of houses and woods along x, for the horizon; ``length`` metres."""
    parts = []
    x = 0.0
    while x < length:
        wide = float(rng.uniform(14, 40))
        if rng.random() < 0.55:
            tall = float(rng.uniform(7, 26))
            grey = float(rng.uniform(0.22, 0.45))
            parts.append(
                box(
                    (x + wide / 2, 10.0, tall / 2 - 4),
                    (wide, 20.0, tall + 8),
                    Material.DISTANT,
                    (grey, grey * 0.97, grey * 0.92),
                )
            )
        else:
            tall = float(rng.uniform(6, 13))
            n = 9
            px = np.linspace(x - 2, x + wide + 2, n)
            pz = tall * rng.uniform(0.7, 1.1, n) * np.sqrt(np.clip(np.sin(np.linspace(0.12, np.pi - 0.12, n)), 0, 1))
            vertices = np.concatenate([np.c_[px, np.zeros(n), np.full(n, -6.0)], np.c_[px, np.full(n, 3.0), pz]])
            i = np.arange(n - 1)
            faces = np.concatenate([np.c_[i, i + 1, n + i + 1], np.c_[i, n + i + 1, n + i]])
            parts.append(from_faces(vertices, faces, Material.DISTANT, (0.07, 0.115, 0.04)))
        x += wide * 0.9
    return join(parts)
