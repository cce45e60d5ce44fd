"""Trucks, buses, trailers and a wheel loader, each of several parts."""

from __future__ import annotations

import numpy as np

from sample_data.atlas import FIRST_FREIGHT, FIRST_LINE, FREIGHT, LINES
from sample_data.materials import Material
from sample_data.meshes import Colour, Mesh, box, cylinder, disc, from_faces, frustum, join, loft, tube
from sample_data.models import Model
from sample_data.vehicles import pick_colour, wheel

BLACK: Colour = (0.02, 0.02, 0.022)
STEEL: Colour = (0.22, 0.22, 0.23)
CABS: tuple[Colour, ...] = (
    (0.70, 0.70, 0.68),
    (0.58, 0.05, 0.04),
    (0.06, 0.22, 0.50),
    (0.10, 0.34, 0.16),
    (0.66, 0.44, 0.03),
    (0.62, 0.24, 0.03),
    (0.40, 0.43, 0.46),
)
BOXES: tuple[Colour, ...] = (
    (0.68, 0.68, 0.66),
    (0.66, 0.60, 0.44),
    (0.10, 0.20, 0.42),
    (0.48, 0.07, 0.05),
    (0.12, 0.30, 0.18),
    (0.58, 0.60, 0.62),
)


def _slab(
    x0: float, x1: float, half: float, z0: float, z1: float, material: Material, colour: Colour, round_: float = 0.12
) -> Mesh:
    # A long box with rounded upright and upper edges, along x.
    rings = []
    r = round_
    for x, inset in (
        (x0, r),
        (x0 + 0.35 * r, 0.35 * r),
        (x0 + r, 0.0),
        (x1 - r, 0.0),
        (x1 - 0.35 * r, 0.35 * r),
        (x1, r),
    ):
        h, top = half - inset, z1 - inset * 0.7
        right = [(h, z0), (h, (z0 + z1) / 2), (h, top - r), (h - 0.3 * r, top - 0.3 * r), (h - r, top)]
        rings.append([(x, y, z) for y, z in right] + [(x, -y, z) for y, z in reversed(right)])
    return loft(np.array(rings), material, colour, smooth=48.0)


def _cab_colour(rng: np.random.Generator) -> Colour:
    # Nothing dark: windscreen, grille and lamps have to stand out from it.
    r, g, b = np.array(CABS[int(rng.integers(len(CABS)))]) * rng.uniform(0.85, 1.1)
    return float(r), float(g), float(b)


def _cab(front: float, half: float, high: float, paint: Colour, sleeper: bool) -> list[Mesh]:
    # A cab-over: body, a windscreen that leans a little, side windows, grille, lamps, mirrors, steps.
    long = 2.1 if sleeper else 1.75
    back = front - long
    body = _slab(back, front, half, 0.62, high, Material.PLAIN, paint, 0.16)
    belt, top = 1.75, min(2.72, high - 0.2)
    glass: Colour = (0.03, 0.035, 0.04)
    screen = box(
        (front + 0.005, 0, (belt + top) / 2 - 0.05), (0.03, 2 * half - 0.36, top - belt), Material.GLASS, glass
    )
    sides = [
        box(
            (front - 0.62, s * (half + 0.003), (belt + top) / 2), (0.85, 0.02, top - belt - 0.15), Material.GLASS, glass
        )
        for s in (1, -1)
    ]
    grille = [box((front + 0.01, 0, 1.12 + 0.14 * k), (0.03, 1.4, 0.09), Material.PLAIN, BLACK) for k in range(4)]
    bumper = _slab(
        front - 0.3,
        front + 0.08,
        half,
        0.38,
        0.82,
        Material.PLAIN,
        (paint[0] * 0.5 + 0.03, paint[1] * 0.5 + 0.03, paint[2] * 0.5 + 0.03),
        0.08,
    )
    lamps = [
        box((front + 0.075, s * (half - 0.3), 0.66), (0.03, 0.38, 0.18), Material.LAMP, (0.75, 0.77, 0.8))
        for s in (1, -1)
    ]
    mirrors = [box((front - 0.05, s * (half + 0.18), 2.15), (0.1, 0.2, 0.55), Material.PLAIN, BLACK) for s in (1, -1)]
    doors = [
        box((front - 0.62 + d, s * (half + 0.002), 1.35), (0.02, 0.012, 1.25), Material.PLAIN, BLACK)
        for s in (1, -1)
        for d in (-0.55, 0.48)
    ]
    visor = box((front + 0.1, 0, top + 0.06), (0.24, 2 * half - 0.3, 0.05), Material.PLAIN, BLACK)
    plate = box((front + 0.085, 0, 0.5), (0.01, 0.5, 0.12), Material.PLAIN, (0.7, 0.7, 0.68))
    return [body, screen, *sides, *grille, bumper, *lamps, *mirrors, *doors, visor, plate]


def _axle(x: float, half: float, radius: float, twin: bool, arch: bool = False) -> list[Mesh]:
    width = 0.5 if twin else 0.3
    out = 0.03 if arch else -0.02
    parts = [wheel(x, s * (half + out), radius, width, (0.36, 0.36, 0.37)) for s in (1, -1)]
    if arch:  # the dark of the wheel house on the cab's side
        for s in (1, -1):
            yaw = np.pi / 2 * s
            parts.append(disc((x, s * (half + 0.012), 1.15 * radius), yaw, 1.13 * radius, 20, Material.PLAIN, BLACK, 0))
    return parts


def _chassis(x0: float, x1: float, half: float) -> list[Mesh]:
    middle, long = (x0 + x1) / 2, x1 - x0
    return [
        box((middle, 0, 0.82), (long, 0.9, 0.22), Material.PLAIN, BLACK),
        box((x0 + 0.08, 0, 0.6), (0.12, 2 * half - 0.2, 0.14), Material.PLAIN, STEEL),
        *[
            box((x0 + 0.02, s * (half - 0.35), 0.78), (0.05, 0.4, 0.14), Material.LAMP, (0.5, 0.012, 0.012))
            for s in (1, -1)
        ],
    ]


def _cargo(
    rng: np.random.Generator, x0: float, x1: float, half: float, low: float, top: float
) -> tuple[Mesh, tuple[float, ...]]:
    colour = BOXES[int(rng.integers(len(BOXES)))]
    mesh = box(((x0 + x1) / 2, 0, (low + top) / 2), (x1 - x0, 2 * half, top - low), Material.CARGO, colour)
    bright = sum(colour) > 1.2
    stripe = pick_colour(rng)
    logo = FIRST_FREIGHT + int(rng.integers(len(FREIGHT))) if bright or rng.random() < 0.7 else -1
    parameters = (
        (x1 - x0) / 2, half, top, low, (x0 + x1) / 2, 1.0 if rng.random() < 0.35 and not bright else 0.0, 0.0, 0.0,
        *(stripe if bright else colour), float(logo), float(rng.random()),
    )  # fmt: skip
    return mesh, parameters


def truck(rng: np.random.Generator) -> Model:
    """A rigid truck: a box, a flat bed with its load, or a tipper."""
    half, high = 1.22, float(rng.uniform(2.75, 3.0))
    long = float(rng.uniform(7.2, 8.8))
    front, rear = long / 2 - 0.1, -long / 2
    parts = _cab(front, half, high, _cab_colour(rng), sleeper=False)
    start = front - 1.9
    parts += _chassis(rear, start + 0.6, half)
    parts += [*_axle(front - 0.95, half, 0.48, twin=False, arch=True), *_axle(rear + 1.7, half, 0.48, twin=True)]
    kind = rng.choice(["box", "box", "flat", "tipper"])
    parameters: tuple[float, ...] = ()
    top = high
    if kind == "box":
        top = float(rng.uniform(3.3, 3.75))
        body, parameters = _cargo(rng, rear, start, half, 1.0, top)
        parts.append(body)
    elif kind == "flat":
        parts += _flat_load(rng, rear, start, half)
    else:
        parts += _tipper(rear, start, half, pick_colour(rng))
    under = [box((0.0, s * (half - 0.2), 0.72), (long * 0.3, 0.3, 0.45), Material.PLAIN, BLACK) for s in (1, -1)]
    mesh = join([*parts, *under])
    return Model("vehicle.truck", (mesh,), (long + 0.05, 2 * half + 0.1, max(top, high) + 0.02), parameters)


def _flat_load(rng: np.random.Generator, x0: float, x1: float, half: float) -> list[Mesh]:
    parts = [box(((x0 + x1) / 2, 0, 1.03), (x1 - x0, 2 * half, 0.14), Material.WOOD, (0.28, 0.19, 0.11))]
    parts.append(box((x1 - 0.05, 0, 1.7), (0.1, 2 * half, 1.3), Material.METAL, STEEL))
    if rng.random() < 0.5:
        for k in range(3):
            for level in range(2 - (k == 2)):
                x = x0 + 1.0 + k * 1.5
                parts.append(box((x, 0, 1.4 + 0.62 * level), (1.25, 1.9, 0.58), Material.WOOD, (0.42, 0.29, 0.16)))
    else:
        for y in (-0.75, -0.25, 0.25, 0.75):
            for z in (1.35, 1.81):
                pipe = tube([(x0 + 0.3, y, z), (x1 - 0.4, y, z)], [0.22, 0.22], Material.PLAIN, (0.42, 0.40, 0.37), 10)
                parts.append(pipe)
    return parts


def _tipper(x0: float, x1: float, half: float, colour: Colour) -> list[Mesh]:
    low = np.array([(x0 + 0.35, -half + 0.2), (x1, -half + 0.2), (x1, half - 0.2), (x0 + 0.35, half - 0.2)])
    top = np.array([(x0, -half), (x1, -half), (x1, half), (x0, half)])
    ribs = [
        box((x, s * (half - 0.02), 1.75), (0.1, 0.12, 1.2), Material.PLAIN, colour)
        for x in np.linspace(x0 + 0.6, x1 - 0.3, 5)
        for s in (1, -1)
    ]
    heap = frustum(
        top * 0.94 + [0.03, 0],
        top * 0.4 + np.array([(x0 + x1) * 0.3, 0]),
        2.36,
        2.75,
        Material.CONCRETE,
        (0.30, 0.24, 0.16),
    )
    return [frustum(low, top, 1.1, 2.4, Material.PLAIN, colour), *ribs, heap]


def bus(rng: np.random.Generator) -> Model:
    """A city bus about twelve metres long."""
    long, half, high = float(rng.uniform(11.4, 12.3)), 1.27, float(rng.uniform(3.0, 3.2))
    paints: tuple[Colour, ...] = (
        (0.60, 0.06, 0.05),
        (0.66, 0.65, 0.60),
        (0.06, 0.22, 0.48),
        (0.10, 0.38, 0.22),
        (0.66, 0.46, 0.05),
    )
    stripes: tuple[Colour, ...] = (
        (0.68, 0.66, 0.6),
        (0.05, 0.28, 0.5),
        (0.62, 0.5, 0.06),
        (0.66, 0.65, 0.6),
        (0.4, 0.05, 0.05),
    )
    k = int(rng.integers(len(paints)))
    body = _slab(-long / 2, long / 2, half, 0.32, high, Material.COACH, paints[k], 0.16)
    radius = 0.48
    front, rear = long / 2 - 2.7, -long / 2 + 3.2
    wheels = [*_axle(front, half + 0.03, radius, twin=False), *_axle(rear, half + 0.03, radius, twin=True)]
    roof = [_slab(-1.8, 1.6, 0.8, high - 0.05, high + 0.2, Material.PLAIN, (0.45, 0.45, 0.44), 0.1)]
    mirrors = [
        tube(
            [
                (long / 2 - 0.1, s * half, 2.5),
                (long / 2 + 0.2, s * (half + 0.16), 2.5),
                (long / 2 + 0.22, s * (half + 0.16), 2.0),
            ],
            [0.03, 0.03, 0.09],
            Material.PLAIN,
            BLACK,
            6,
        )
        for s in (1, -1)
    ]
    line = float(FIRST_LINE + int(rng.integers(len(LINES))))
    parameters = (
        long / 2, half, high, front, rear, radius, 1.25, 2.45, *stripes[k], line, float(rng.random()),
    )  # fmt: skip
    mesh = join([body, *wheels, *roof, *mirrors])
    return Model("vehicle.bus.rigid", (mesh,), (long + 0.25, 2 * half + 0.12, high + 0.2), parameters)


def tractor(rng: np.random.Generator) -> Model:
    """The short truck that draws a semi-trailer."""
    half, high = 1.24, float(rng.uniform(3.3, 3.7))
    front, rear = 2.9, -2.9
    parts = _cab(front, half, high, _cab_colour(rng), sleeper=True)
    parts += _chassis(rear, front - 1.9, half)
    parts += [*_axle(front - 1.3, half, 0.5, twin=False, arch=True), *_axle(rear + 0.9, half, 0.5, twin=True)]
    parts.append(cylinder((rear + 1.2, 0, 0.93), 0.16, 0.45, Material.METAL, STEEL, 14))
    parts += [
        tube([(0.4, s * 0.95, 0.62), (1.0, s * 0.95, 0.62)], [0.3, 0.3], Material.METAL, (0.4, 0.4, 0.41), 12)
        for s in (1, -1)
    ]
    return Model("vehicle.truck", (join(parts),), (5.95, 2 * half + 0.1, high + 0.02))


def semi_trailer(rng: np.random.Generator) -> Model:
    """A semi-trailer: a box on three axles at its rear, or a tank."""
    long, half = float(rng.uniform(10.0, 12.4)), 1.25
    x0, x1 = -long / 2, long / 2
    parts = _chassis(x0, x1 - 0.6, half)
    for k in range(3):
        parts += _axle(x0 + 1.2 + 1.25 * k, half, 0.5, twin=True)
    parts += [box((x1 - 3.2, s * 0.8, 0.55), (0.16, 0.16, 1.0), Material.METAL, STEEL) for s in (1, -1)]
    parts += [box((0.4, s * (half - 0.06), 0.8), (long * 0.36, 0.06, 0.5), Material.METAL, STEEL) for s in (1, -1)]
    parameters: tuple[float, ...] = ()
    if rng.random() < 0.25:
        top = 3.5
        tank = tube(
            [(x0 + 0.1, 0, 2.25), (x0 + 0.5, 0, 2.25), (x1 - 0.5, 0, 2.25), (x1 - 0.1, 0, 2.25)],
            [0.8, 1.2, 1.2, 0.8],
            Material.METAL,
            (0.55, 0.56, 0.57),
            22,
        )
        parts += [tank, box((0, 0, 3.47), (long * 0.7, 0.5, 0.05), Material.METAL, STEEL)]
    else:
        top = float(rng.uniform(3.7, 3.95))
        body, parameters = _cargo(rng, x0, x1, half, 1.12, top)
        parts.append(body)
    return Model("vehicle.trailer", (join(parts),), (long + 0.1, 2 * half + 0.05, top + 0.02), parameters)


def car_trailer(rng: np.random.Generator) -> Model:
    """A caravan or an open trailer on one axle, with its drawbar."""
    if rng.random() < 0.5:
        long, half, high = 4.6, 1.08, 2.45
        body = _slab(-long / 2, long / 2 - 0.9, half, 0.5, high, Material.PLAIN, (0.68, 0.67, 0.62), 0.25)
        stripe = [
            box((-0.45, s * half, 1.05), (long - 1.6, 0.012, 0.12), Material.PLAIN, (0.08, 0.2, 0.42)) for s in (1, -1)
        ]
        panes = [
            box((-1.2 + 1.5 * k, s * (half + 0.002), 1.65), (1.0, 0.014, 0.55), Material.GLASS, (0.03, 0.035, 0.04))
            for k in range(2)
            for s in (1, -1)
        ]
        back = box((-long / 2 - 0.0, 0, 1.65), (0.02, 1.3, 0.5), Material.GLASS, (0.03, 0.035, 0.04))
        lamps = [
            box((-long / 2 - 0.0, s * 0.8, 0.75), (0.03, 0.2, 0.2), Material.LAMP, (0.5, 0.012, 0.012)) for s in (1, -1)
        ]
        parts = [body, *stripe, *panes, back, *lamps]
    else:
        long, half, high = 3.6, 0.9, 1.05
        sides = [box((-0.45, s * half, 0.78), (long - 1.0, 0.05, 0.5), Material.METAL, STEEL) for s in (1, -1)]
        ends = [
            box((x, 0, 0.78), (0.05, 2 * half, 0.5), Material.METAL, STEEL) for x in (-long / 2 + 0.03, long / 2 - 0.95)
        ]
        load = [box((-0.5, 0.1, 0.78), (1.6, 1.1, 0.6), Material.WOOD, (0.4, 0.28, 0.15))]
        parts = [*sides, *ends, *load, box((-0.45, 0, 0.52), (long - 1.0, 2 * half, 0.06), Material.PLAIN, BLACK)]
    parts += _axle(-0.5, half + 0.12, 0.31, twin=False)
    parts.append(box((long / 2 - 0.5, 0, 0.48), (1.0, 0.1, 0.1), Material.METAL, STEEL))
    return Model("vehicle.trailer", (join(parts),), (long + 0.06, 2 * half + 0.3, high + 0.02))


def loader(rng: np.random.Generator) -> Model:
    """A yellow wheel loader with its bucket low."""
    yellow: Colour = (0.66, 0.42, 0.02)
    parts = [
        _slab(-3.0, -0.6, 0.95, 0.9, 2.0, Material.PLAIN, yellow, 0.2),
        box((0.6, 0, 1.05), (2.4, 1.0, 0.6), Material.PLAIN, yellow),
        frustum(
            [(-0.9, -0.75), (0.7, -0.75), (0.7, 0.75), (-0.9, 0.75)],
            [(-0.75, -0.65), (0.5, -0.65), (0.5, 0.65), (-0.75, 0.65)],
            1.9,
            3.15,
            Material.GLASS,
            (0.03, 0.035, 0.04),
        ),
        box((-0.12, 0, 3.22), (1.5, 1.45, 0.14), Material.PLAIN, yellow),
        cylinder((-0.5, 0.4, 3.28), 0.2, 0.09, Material.LAMP, (0.8, 0.4, 0.02), 8),
    ]
    parts += [box((x, y, 2.5), (0.09, 0.09, 1.3), Material.PLAIN, BLACK) for x in (-0.82, 0.58) for y in (-0.7, 0.7)]
    for x in (-1.9, 1.4):
        parts += [wheel(x, s * 1.3, 0.72, 0.55, (0.62, 0.4, 0.02)) for s in (1, -1)]
    for s in (1, -1):
        parts.append(
            tube(
                [(0.4, s * 0.5, 1.7), (1.8, s * 0.5, 1.5), (2.7, s * 0.5, 0.6)],
                [0.14, 0.14, 0.1],
                Material.PLAIN,
                yellow,
                6,
            )
        )
    profile = np.array([(2.6, 0.9), (2.6, 0.25), (3.5, 0.1), (3.5, 0.2), (2.9, 0.45)])
    bucket = np.concatenate([np.c_[profile[:, :1], np.full((5, 1), y), profile[:, 1:]] for y in (-1.3, 1.3)])
    i, j = np.arange(5), (np.arange(5) + 1) % 5
    skin = np.concatenate([np.c_[i, j, 5 + j], np.c_[i, 5 + j, 5 + i]])
    ends = [(0, 1, 2), (0, 2, 3), (0, 3, 4), (5, 7, 6), (5, 8, 7), (5, 9, 8)]
    parts.append(from_faces(bucket, np.concatenate([skin, ends]), Material.METAL, (0.2, 0.18, 0.13)))
    scale = float(rng.uniform(0.94, 1.04))
    mesh = join(parts)
    mesh = mesh.shifted(-0.25, 0, 0)
    from dataclasses import replace

    mesh = replace(mesh, corners=mesh.corners * np.float32(scale))
    return Model("vehicle.construction", (mesh,), (6.55 * scale, 2.62 * scale, 3.5 * scale))
