"""Cars: lofted bodies of varied proportions. Lamps, doors, plates and windows are painted on by ``shading``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample_data.atlas import TAXI
from sample_data.materials import Material
from sample_data.meshes import Colour, Mesh, box, circle, from_faces, grid_faces, join, loft, panel, tube
from sample_data.models import Model
from xmodal_core.types import Doubles

CAR_COLOURS: tuple[tuple[Colour, float], ...] = (
    ((0.72, 0.72, 0.70), 3.0),
    ((0.40, 0.42, 0.44), 2.5),
    ((0.13, 0.14, 0.15), 2.0),
    ((0.025, 0.026, 0.03), 2.0),
    ((0.42, 0.03, 0.03), 1.6),
    ((0.03, 0.09, 0.32), 1.6),
    ((0.06, 0.20, 0.38), 1.0),
    ((0.03, 0.16, 0.10), 0.7),
    ((0.55, 0.30, 0.04), 0.6),
    ((0.62, 0.50, 0.05), 0.5),
    ((0.36, 0.28, 0.20), 0.8),
    ((0.20, 0.05, 0.07), 0.6),
    ((0.10, 0.34, 0.36), 0.5),
)


@dataclass(frozen=True)
class CarShape:
    """Proportions of a car in metres; x positions are shares of half the length, from -1 (tail) to 1 (nose).

    Args:
        length, width, height: of the whole.
        belt: height of the windows' lower edge.
        hood: height of the nose; ``tail``: of the rear end's deck.
        screen: where the windscreen meets the hood, ``screen_top``: where it meets the roof.
        rear: where the rear window meets the body, ``rear_top``: where it meets the roof.
        wheel: wheel radius.
        pillars: places of the pillars between the side windows, as shares of the cabin (-1 rear, 1 front).
        glass_from: the side windows begin here (-1: at the rear end); a panel van's at its front seats.
    """

    length: float
    width: float
    height: float
    belt: float
    hood: float
    tail: float
    screen: float
    screen_top: float
    rear: float
    rear_top: float
    wheel: float
    pillars: tuple[float, float]
    glass_from: float


_KINDS: dict[str, tuple[CarShape, float]] = {
    "saloon": (CarShape(4.7, 1.82, 1.46, 0.92, 0.78, 0.95, 0.36, 0.06, -0.74, -0.42, 0.33, (0.08, -0.62), -1.0), 3.0),
    "hatchback": (CarShape(4.1, 1.76, 1.50, 0.93, 0.82, 0.93, 0.44, 0.12, -0.97, -0.72, 0.32, (0.05, -0.6), -1.0), 3.0),
    "estate": (CarShape(4.75, 1.83, 1.50, 0.93, 0.80, 0.93, 0.38, 0.08, -0.97, -0.80, 0.33, (0.14, -0.36), -1.0), 2.0),
    "suv": (CarShape(4.6, 1.88, 1.70, 1.05, 1.00, 1.05, 0.42, 0.14, -0.97, -0.80, 0.37, (0.1, -0.5), -1.0), 3.0),
    "city": (CarShape(3.55, 1.65, 1.52, 0.93, 0.86, 0.93, 0.60, 0.24, -0.97, -0.80, 0.29, (0.0, -3.0), -1.0), 1.2),
    "minivan": (CarShape(4.75, 1.88, 1.76, 1.02, 0.96, 1.02, 0.60, 0.22, -0.97, -0.86, 0.34, (0.18, -0.4), -1.0), 1.2),
    "panel van": (CarShape(5.3, 2.0, 2.15, 1.18, 1.12, 1.18, 0.66, 0.40, -0.985, -0.96, 0.36, (0.42, -3.0), 0.34), 1.3),
    "pickup": (CarShape(5.3, 1.90, 1.80, 1.08, 1.06, 1.06, 0.34, 0.10, -0.20, -0.16, 0.39, (0.1, -3.0), -1.0), 0.9),
}


def car(
    rng: np.random.Generator, *, kind: str | None = None, colour: Colour | None = None, taxi: bool = False
) -> Model:
    """A car of some kind, proportions and colour."""
    names = list(_KINDS)
    weights = np.array([_KINDS[name][1] for name in names])
    name = kind or str(rng.choice(names, p=weights / weights.sum()))
    shape = _varied(_KINDS[name][0], rng)
    paint = colour or pick_colour(rng)
    if name == "panel van" and colour is None and rng.random() < 0.6:
        paint = (0.72, 0.72, 0.70)
    if taxi:
        paint = (0.66, 0.45, 0.02)
    parts = [_body(shape, paint), _cabin(shape, paint), *_fittings(shape, paint, rng)]
    if name == "pickup":
        parts += _bed(shape)
    if taxi:
        parts += _taxi_sign(shape.height - 0.01)
    half, wide = shape.length / 2, shape.width / 2
    axle_front, axle_rear = _axles(shape)
    belt, roof = shape.belt - 0.03, shape.height
    parameters = (
        half, wide, shape.height, axle_front, axle_rear, shape.wheel, belt, roof, shape.pillars[0], shape.pillars[1],
        shape.glass_from, half * shape.screen, half * shape.rear, float(rng.integers(0, 16)), 1.0 if taxi else 0.0,
        float(rng.random()), half * shape.screen_top, half * shape.rear_top,
    )  # fmt: skip
    mesh = join(parts)
    size = (shape.length + 0.02, shape.width + 0.06, shape.height + (0.14 if taxi else 0.02))
    return Model("vehicle.car", (mesh,), size, parameters)


def _taxi_sign(z: float) -> list[Mesh]:
    body = box((0.0, 0.0, z + 0.07), (0.16, 0.5, 0.14), Material.PLAIN, (0.7, 0.6, 0.35))
    text = (1.0, 1.0, float(TAXI))
    faces = [
        panel((s * 0.081, s * -0.25, z), (0.0, s * 0.5, 0.0), (0.0, 0.0, 0.14), Material.BANNER, (0.5, 0.5, 0.5), text)
        for s in (1.0, -1.0)
    ]
    return [body, *faces]


def pick_colour(rng: np.random.Generator) -> Colour:
    """A car's colour, the common ones more often, never quite the same."""
    weights = np.array([weight for _, weight in CAR_COLOURS])
    base = np.array(CAR_COLOURS[int(rng.choice(len(CAR_COLOURS), p=weights / weights.sum()))][0])
    varied = np.clip(base * rng.uniform(0.8, 1.2) + rng.normal(0, 0.006, 3), 0.015, 0.8)
    return float(varied[0]), float(varied[1]), float(varied[2])


def _varied(shape: CarShape, rng: np.random.Generator) -> CarShape:
    long, wide, high = rng.uniform(0.95, 1.06), rng.uniform(0.98, 1.03), rng.uniform(0.97, 1.04)
    shift = rng.uniform(-0.03, 0.03)
    return CarShape(
        shape.length * long, shape.width * wide, shape.height * high, shape.belt * high, shape.hood * high,
        shape.tail * high, shape.screen + shift, shape.screen_top + shift, shape.rear, shape.rear_top,
        shape.wheel, shape.pillars, shape.glass_from,
    )  # fmt: skip


def _axles(shape: CarShape) -> tuple[float, float]:
    half = shape.length / 2
    return half - 0.19 * shape.length, -half + 0.19 * shape.length


def _body(shape: CarShape, paint: Colour) -> Mesh:
    half, wide = shape.length / 2, shape.width / 2
    x = np.array(
        [-1.0, -0.985, -0.94, -0.86, -0.7, -0.5, -0.25, 0.0, 0.2, 0.4, 0.55, 0.7, 0.82, 0.91, 0.965, 0.99, 1.0]
    )
    knots = [-1.0, shape.rear, min(shape.rear + 0.15, 0.0), shape.screen - 0.02, shape.screen + 0.06, 0.8, 1.0]
    tops = [shape.tail, shape.tail, shape.belt, shape.belt, shape.belt - 0.01, shape.hood + 0.05, shape.hood - 0.06]
    top = np.interp(x, knots, tops)
    ends = np.clip((np.abs(x) - 0.9) / 0.1, 0, 1)
    top -= 0.26 * ends**3 * np.where(x < 0, 0.5, 1.0)
    bottom = 0.19 + 0.13 * ends**2
    width = wide * (1.0 - 0.05 * np.clip((np.abs(x) - 0.55) / 0.45, 0, 1) ** 2 - 0.17 * ends**2.5)
    rings = []
    for i in range(len(x)):
        h = top[i] - bottom[i]
        right = [
            (0.82, 0.0), (0.965, 0.10), (0.995, 0.36), (1.0, 0.58), (0.985, 0.78), (0.955, 0.92), (0.87, 0.985),
            (0.6, 1.01), (0.25, 1.025),
        ]  # fmt: skip
        ring = [(half * x[i], width[i] * y, bottom[i] + h * z) for y, z in right]
        ring += [(px, -py, pz) for px, py, pz in reversed(ring)]
        rings.append(ring)
    return loft(rings, Material.PAINT, paint, smooth=42.0)


def _cabin(shape: CarShape, paint: Colour) -> Mesh:
    half, wide = shape.length / 2, shape.width / 2
    levels = np.array([0.0, 0.2, 0.45, 0.7, 0.85, 0.93, 0.975, 1.0])
    shrink = np.array([0.0, 0.0, 0.0, 0.0, 0.005, 0.03, 0.09, 0.2])
    low = shape.belt - 0.03
    angle = np.linspace(0, 2 * np.pi, 44, endpoint=False)
    power = 2 / 7.0
    sx = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    sy = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    rings, texture = [], []
    for f, inset in zip(levels, shrink, strict=True):
        bulge = f**1.15
        front = half * (shape.screen + (shape.screen_top - shape.screen) * bulge) - inset
        back = half * (shape.rear + (shape.rear_top - shape.rear) * bulge) + inset
        side = wide * (0.945 - 0.17 * f**1.3) - inset
        x = (front + back) / 2 + sx * (front - back) / 2
        rings.append(np.c_[x, sy * side, np.full(44, low + f * (shape.height - low))])
        texture.append(np.c_[x, sy, np.full(44, f)])
    return _textured_loft(np.array(rings), np.array(texture), Material.CABIN, paint)


def _textured_loft(rings: Doubles, texture: Doubles, material: Material, colour: Colour) -> Mesh:
    rows, points, _ = rings.shape
    middle = rings[-1].mean(axis=0, keepdims=True) + np.array([[0.0, 0.0, 0.012]])
    vertices = np.concatenate([rings.reshape(-1, 3), middle])
    local = np.concatenate([texture.reshape(-1, 3), [[middle[0, 0], 0.0, 1.0]]])
    last = np.arange((rows - 1) * points, rows * points)
    cap = np.stack([last, np.roll(last, -1), np.full(points, rows * points)], axis=1)
    faces = np.concatenate([grid_faces(rows, points), cap])
    return from_faces(vertices, faces, material, colour, smooth=55.0, local=local)


def wheel(x: float, y: float, radius: float, width: float, colour: Colour = (0.5, 0.5, 0.52)) -> Mesh:
    """A wheel standing on the ground at ``x``; ``y`` is its outer face, the sign saying on which side."""
    side = 1.0 if y > 0 else -1.0
    inner = y - side * width
    path = [(x, inner, radius), (x, y - side * 0.03, radius), (x, y, radius)]
    radii = [radius, radius, radius * 0.9]
    if side < 0:
        path, radii = path[::-1], radii[::-1]
    tyre = tube(
        path if side > 0 else path[::-1], radii if side > 0 else radii[::-1], Material.TYRE, (0.022, 0.022, 0.024), 20
    )
    ring = circle(radius * 0.68, 20)
    face = np.c_[x + ring[:, 0], np.full(20, y + side * 0.006), radius + ring[:, 1]]
    centre = [[x, y + side * 0.012, radius]]
    i, j = np.arange(20), (np.arange(20) + 1) % 20
    spokes = np.c_[j, i, np.full(20, 20)] if side > 0 else np.c_[i, j, np.full(20, 20)]
    local = np.concatenate([np.c_[ring / (radius * 0.68), np.zeros(20)], [[0.0, 0.0, 0.0]]])
    rim = from_faces(np.concatenate([face, centre]), spokes, Material.RIM, colour, local=local)
    return join([tyre, rim])


def _fittings(shape: CarShape, paint: Colour, rng: np.random.Generator) -> list[Mesh]:
    half, wide = shape.length / 2, shape.width / 2
    front, rear = _axles(shape)
    alloy: Colour = (0.5, 0.5, 0.52) if rng.random() < 0.75 else (0.08, 0.08, 0.085)
    wheels = [wheel(x, side * (wide + 0.012), shape.wheel, 0.22, alloy) for x in (front, rear) for side in (1, -1)]
    mirror_x = half * (shape.screen - 0.16)
    mirrors = [
        loft(
            [_mirror_ring(mirror_x + dx, side * (wide + 0.06), shape.belt + 0.05, r) for dx, r in _MIRROR],
            Material.PLAIN,
            paint,
        )
        for side in (1, -1)
    ]
    arms = [
        box((mirror_x, side * (wide - 0.04), shape.belt + 0.02), (0.07, 0.2, 0.04), Material.PLAIN, (0.02, 0.02, 0.02))
        for side in (1, -1)
    ]
    under = box((0.0, 0.0, 0.22), (shape.length * 0.9, shape.width * 0.84, 0.16), Material.PLAIN, (0.015, 0.015, 0.015))
    return [*wheels, *mirrors, *arms, under]


_MIRROR = ((-0.07, 0.07), (0.0, 0.09), (0.07, 0.05))


def _mirror_ring(x: float, y: float, z: float, r: float) -> list[tuple[float, float, float]]:
    return [
        (x, y + r * c, z + 0.75 * r * k)
        for c, k in ((1, -0.6), (1, 0.6), (0.6, 1), (-0.6, 1), (-1, 0.6), (-1, -0.6), (-0.6, -1), (0.6, -1))
    ]


def _bed(shape: CarShape) -> list[Mesh]:
    half, wide = shape.length / 2, shape.width / 2
    back, front = -half + 0.1, half * shape.rear - 0.08
    middle, long = (back + front) / 2, front - back
    return [box((middle, 0.0, shape.belt + 0.015), (long, wide * 1.55, 0.05), Material.PLAIN, (0.02, 0.02, 0.02))]
