"""What stands along a street: lamps, signs, signals, bollards, bins, benches, shelters, cones, barriers, fences."""

from __future__ import annotations

import numpy as np

from sample_data import atlas
from sample_data.materials import Material
from sample_data.meshes import Colour, Mesh, box, cylinder, disc, ellipsoid, from_faces, frustum, join, panel, tube
from sample_data.models import Model, boxed

GREY: Colour = (0.26, 0.27, 0.28)
DARK: Colour = (0.05, 0.055, 0.06)


def lamp_post(height: float = 7.5, reach: float = 1.8) -> Mesh:
    """A street lamp whose arm points along x."""
    path = [(0, 0, 0), (0, 0, height * 0.85), (reach * 0.25, 0, height * 0.97), (reach, 0, height)]
    head = box((reach + 0.25, 0, height - 0.02), (0.7, 0.26, 0.1), Material.METAL, GREY)
    glass = box((reach + 0.25, 0, height - 0.085), (0.5, 0.18, 0.03), Material.LAMP, (0.5, 0.48, 0.4))
    foot = cylinder((0, 0, -0.2), 1.1, 0.11, Material.METAL, GREY, 10)
    return join([tube(path, [0.075, 0.06, 0.045, 0.035], Material.METAL, GREY, 9), head, glass, foot])


def sign_post(number: int, *, second: int | None = None) -> Mesh:
    """A road sign facing -x, in the shape its kind has; ``second`` hangs below it."""
    parts = [cylinder((0, 0, -0.2), 2.95, 0.032, Material.METAL, GREY, 8), sign_face(number, 2.45)]
    if second is not None:
        parts.append(sign_face(second, 1.75))
    return join(parts)


def sign_face(number: int, z: float) -> Mesh:
    """A sign's plate facing -x, its middle at height ``z``, and its grey back."""
    at = (-0.045, 0.0, z)
    if number == atlas.STOP:
        face, back = (
            disc(at, np.pi, 0.4, 8, Material.SIGN, GREY, number),
            disc((-0.035, 0, z), 0.0, 0.4, 8, Material.METAL, GREY, 0),
        )
    elif number in (atlas.SPEED_30, atlas.SPEED_50, atlas.NO_ENTRY, atlas.BUS_STOP):
        face, back = (
            disc(at, np.pi, 0.34, 24, Material.SIGN, GREY, number),
            disc((-0.035, 0, z), 0.0, 0.34, 24, Material.METAL, GREY, 0),
        )
    elif number in (atlas.YIELD, atlas.WORKS, atlas.BEND):
        tip = -1.0 if number == atlas.YIELD else 1.0
        flat = np.array([(-0.46, -0.4 * tip), (0.46, -0.4 * tip), (0.0, 0.4 * tip)])
        vertices = np.c_[np.full(3, -0.045), -flat[:, 0], z + flat[:, 1]]
        order = [(0, 1, 2)] if tip > 0 else [(0, 2, 1)]
        local = np.c_[flat[:, 0] / 0.92 + 0.5, flat[:, 1] / 0.8 * 0.94 + 0.5, np.full(3, float(number))]
        face = from_faces(vertices, order, Material.SIGN, GREY, local=local)
        back = from_faces(vertices + np.array([0.01, 0, 0]), [order[0][::-1]], Material.METAL, GREY)
    else:
        face = panel((-0.045, 0.3, z - 0.3), (0, -0.6, 0), (0, 0, 0.6), Material.SIGN, GREY, (1.0, 1.0, float(number)))
        back = panel((-0.035, -0.3, z - 0.3), (0, 0.6, 0), (0, 0, 0.6), Material.METAL, GREY)
    return join([face, back])


def signal(state: int, *, arm: float = 0.0) -> Mesh:
    """A traffic signal facing -x showing ``state`` (0 red, 1 amber, 2 green); with ``arm`` a second one hangs over the
    road that many metres to the left (y)."""
    parts = [
        cylinder((0, 0, -0.2), 3.6 if arm == 0 else 6.1, 0.07, Material.METAL, DARK, 9),
        _signal_head(0.0, 2.9, state),
    ]
    if arm:
        parts.append(tube([(0, 0, 5.7), (0, arm, 5.9)], [0.06, 0.04], Material.METAL, DARK, 8))
        parts.append(_signal_head(arm, 5.4, state))
    return join(parts)


def _signal_head(y: float, z: float, state: int) -> Mesh:
    parts = [
        box((-0.16, y, z), (0.22, 0.32, 0.95), Material.PLAIN, (0.02, 0.02, 0.02)),
        box((-0.04, y, z), (0.02, 0.5, 1.15), Material.PLAIN, (0.03, 0.03, 0.03)),
    ]
    lights: tuple[Colour, ...] = ((0.9, 0.03, 0.02), (0.9, 0.45, 0.02), (0.03, 0.8, 0.3))
    for k, colour in enumerate(lights):
        lit = k == state
        shown: Colour = colour if lit else (colour[0] * 0.06, colour[1] * 0.06, colour[2] * 0.06)
        face = disc(
            (-0.275, y, z + 0.29 - 0.29 * k), np.pi, 0.115, 14, Material.LAMP if lit else Material.PLAIN, shown, 0
        )
        # A visor over the light that leaves all of it to be seen.
        hood = box((-0.36, y, z + 0.425 - 0.29 * k), (0.17, 0.25, 0.016), Material.PLAIN, (0.02, 0.02, 0.02))
        parts += [face, hood]
    return join(parts)


def bollard() -> Mesh:
    """A waist-high post."""
    return join(
        [
            cylinder((0, 0, -0.1), 1.0, 0.07, Material.METAL, DARK, 10),
            cylinder((0, 0, 0.72), 0.09, 0.074, Material.PLAIN, (0.7, 0.7, 0.68), 10),
        ]
    )


def bin_(colour: Colour) -> Mesh:
    """A litter bin."""
    return join(
        [
            cylinder((0, 0, 0), 0.85, 0.25, Material.PLAIN, colour, 14),
            cylinder((0, 0, 0.85), 0.1, 0.27, Material.METAL, DARK, 14, 0.6),
        ]
    )


def wheelie_bin(colour: Colour) -> Mesh:
    """A household's bin on two wheels."""
    low, top = (
        np.array([(-0.22, -0.2), (0.22, -0.2), (0.22, 0.2), (-0.22, 0.2)]),
        np.array([(-0.28, -0.26), (0.28, -0.26), (0.28, 0.26), (-0.28, 0.26)]),
    )
    return join(
        [
            frustum(low, top, 0.05, 0.95, Material.PLAIN, colour),
            box(
                (0.02, 0, 0.99), (0.62, 0.58, 0.07), Material.PLAIN, (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6)
            ),
        ]
    )


def bench() -> Mesh:
    """A park bench along x, looking to -y."""
    wood: Colour = (0.30, 0.17, 0.08)
    slats = [box((0, y, 0.45), (1.7, 0.1, 0.04), Material.WOOD, wood) for y in (-0.2, -0.07, 0.06)]
    backs = [box((0, 0.17 + 0.02 * k, 0.6 + 0.15 * k), (1.7, 0.04, 0.1), Material.WOOD, wood) for k in range(3)]
    legs = [box((x, -0.02, 0.22), (0.06, 0.45, 0.44), Material.METAL, DARK) for x in (-0.7, 0.7)]
    return join([*slats, *backs, *legs])


def hydrant() -> Mesh:
    """A red hydrant."""
    red: Colour = (0.55, 0.04, 0.03)
    return join(
        [
            cylinder((0, 0, 0), 0.6, 0.11, Material.PLAIN, red, 10),
            ellipsoid((0, 0, 0.62), (0.12, 0.12, 0.12), Material.PLAIN, red, 5, 10),
            tube([(0, -0.19, 0.42), (0, 0.19, 0.42)], [0.06, 0.06], Material.PLAIN, (0.6, 0.58, 0.5), 8),
        ]
    )


def shelter(line: int, poster: int) -> Mesh:
    """A bus shelter along x, open to -y, with a bench, a poster and a bus stop's sign."""
    roof = box((0, 0.1, 2.45), (4.2, 1.7, 0.1), Material.METAL, DARK)
    posts = [box((x, 0.75, 1.2), (0.08, 0.08, 2.5), Material.METAL, DARK) for x in (-2.0, 0.0, 2.0)]
    panes = [box((x, 0.78, 1.3), (1.9, 0.02, 1.9), Material.GLASS, (0.05, 0.06, 0.065)) for x in (-1.0, 1.0)]
    frame = box((2.02, 0.1, 1.25), (0.12, 1.3, 2.0), Material.METAL, DARK)
    texture = (1.0, 1.0, float(poster))
    posters = [
        panel((1.95, 0.65, 0.5), (0, -1.1, 0), (0, 0, 1.6), Material.BANNER, GREY, texture),
        panel((2.09, -0.45, 0.5), (0, 1.1, 0), (0, 0, 1.6), Material.BANNER, GREY, texture),
    ]
    seat = box((-0.4, 0.5, 0.5), (2.4, 0.4, 0.06), Material.WOOD, (0.3, 0.17, 0.08))
    leg = box((-0.4, 0.5, 0.24), (0.1, 0.1, 0.48), Material.METAL, DARK)
    stop = sign_post(atlas.BUS_STOP).shifted(-2.9, -0.5, 0)
    return join([roof, *posts, *panes, frame, *posters, seat, leg, stop])


def cone() -> Model:
    """A traffic cone, annotated."""
    body = cylinder((0, 0, 0.04), 0.7, 0.155, Material.CONE, (0.72, 0.16, 0.015), 14, 0.2).placed_in_texture()
    foot = box((0, 0, 0.02), (0.42, 0.42, 0.045), Material.PLAIN, (0.5, 0.1, 0.01))
    return boxed("movable_object.trafficcone", [join([body, foot])])


def barrier(rng: np.random.Generator) -> Model:
    """A barrier across x = 0 with its long side along y: a plastic one, or a striped board on feet."""
    if rng.random() < 0.6:
        colour: Colour = (0.62, 0.09, 0.03) if rng.random() < 0.5 else (0.68, 0.67, 0.63)
        wide = 1.9
        low = np.array([(-0.28, -wide / 2), (0.28, -wide / 2), (0.28, wide / 2), (-0.28, wide / 2)])
        mid, top = low * [0.55, 1.0], low * [0.36, 0.97]
        mesh = join(
            [
                frustum(low, low, 0.0, 0.16, Material.PLAIN, colour),
                frustum(low, mid, 0.16, 0.4, Material.PLAIN, colour),
                frustum(mid, top, 0.4, 0.95, Material.PLAIN, colour),
            ]
        )
        return boxed("movable_object.barrier", [mesh])
    boards = [
        box((0, 0, z), (0.04, 1.8, 0.24), Material.BARRIER, (0.7, 0.7, 0.7)).placed_in_texture() for z in (0.88, 0.5)
    ]
    for board in boards:
        board.local[..., 0] = board.local[..., 1]
        board.local[..., 1] = board.local[..., 2]
    posts = [box((0, y, 0.5), (0.05, 0.05, 1.05), Material.METAL, GREY) for y in (-0.8, 0.8)]
    feet = [box((0, y, 0.05), (0.6, 0.22, 0.1), Material.PLAIN, (0.03, 0.03, 0.03)) for y in (-0.8, 0.8)]
    lights = [ellipsoid((0, y, 1.12), (0.08, 0.08, 0.1), Material.LAMP, (0.8, 0.4, 0.02), 4, 8) for y in (-0.8, 0.8)]
    return boxed("movable_object.barrier", [join([*boards, *posts, *feet, *lights])])


def fence(length: float, colour: Colour, *, picket: bool) -> Mesh:
    """A garden fence along x: pickets of wood, or iron bars."""
    parts = [
        box((length / 2, 0, z), (length, 0.04, 0.07), Material.WOOD if picket else Material.METAL, colour)
        for z in (0.35, 0.85)
    ]
    step, wide, high = (0.17, 0.1, 1.0) if picket else (0.14, 0.025, 1.05)
    parts += [
        box((x, -0.03, high / 2), (wide, 0.025, high), Material.WOOD if picket else Material.METAL, colour)
        for x in np.arange(step / 2, length, step)
    ]
    return join(parts)


def wall(length: float, height: float, colour: Colour) -> Mesh:
    """A garden wall along x with a coping."""
    return join(
        [
            box((length / 2, 0, height / 2 - 0.4), (length, 0.26, height + 0.8), Material.CONCRETE, colour),
            box((length / 2, 0, height + 0.03), (length + 0.06, 0.36, 0.08), Material.CONCRETE, (0.45, 0.44, 0.41)),
        ]
    )
