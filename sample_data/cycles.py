"""Bicycles, motorcycles and scooters, with riders whose legs turn the cranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sample_data.materials import Material
from sample_data.meshes import Colour, Mesh, box, ellipsoid, join, offset, tube
from sample_data.models import Model, boxed
from sample_data.people import Looks, Place, head, limb, looks, torso
from sample_data.vehicles import pick_colour, wheel

TURNS = 8
BLACK: Colour = (0.02, 0.02, 0.022)


def _hoop(x: float, radius: float, thick: float, colour: Colour) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, 19)
    path = np.c_[x + (radius - thick) * np.cos(angle), np.zeros(19), radius + (radius - thick) * np.sin(angle)]
    return tube(path, [thick] * 19, Material.TYRE, colour, 5)


def _spokes(x: float, radius: float) -> list[Mesh]:
    parts = []
    for angle in np.linspace(0, np.pi, 5, endpoint=False):
        d = 0.92 * radius * np.array([np.cos(angle), 0, np.sin(angle)])
        centre = np.array([x, 0, radius])
        parts.append(tube([centre - d, centre + d], [0.006, 0.006], Material.METAL, (0.5, 0.5, 0.5), 3))
    return parts


def _rod(a: tuple[float, float, float], b: tuple[float, float, float], r: float, colour: Colour) -> Mesh:
    return tube([a, b], [r, r], Material.PLAIN, colour, 6)


def _bicycle_frame(colour: Colour) -> list[Mesh]:
    radius, back, front = 0.34, -0.52, 0.52
    crank, seat, head_tube = (-0.08, 0.0, 0.29), (-0.22, 0.0, 0.86), (0.36, 0.0, 0.82)
    parts = [
        _hoop(back, radius, 0.024, BLACK),
        _hoop(front, radius, 0.024, BLACK),
        *_spokes(back, radius),
        *_spokes(front, radius),
    ]
    parts += [
        _rod(crank, seat, 0.022, colour), _rod(seat, head_tube, 0.022, colour), _rod(crank, head_tube, 0.026, colour),
        _rod(crank, (back, 0.05, radius), 0.013, colour), _rod(crank, (back, -0.05, radius), 0.013, colour),
        _rod((-0.2, 0.0, 0.8), (back, 0.0, radius), 0.012, colour), _rod(head_tube, (front, 0.0, radius), 0.02, colour),
        _rod(head_tube, (0.33, 0.0, 1.0), 0.016, BLACK), _rod((0.38, -0.28, 1.02), (0.38, 0.28, 1.02), 0.016, BLACK),
        _rod(seat, (-0.25, 0, 0.96), 0.014, BLACK),
        ellipsoid((-0.24, 0, 0.97), (0.14, 0.075, 0.035), Material.PLAIN, BLACK, 4, 8),
        box((-0.34, 0, 0.8), (0.05, 0.06, 0.07), Material.LAMP, (0.5, 0.01, 0.01)),
    ]  # fmt: skip
    return parts


def bicycle(rng: np.random.Generator, *, rider: bool) -> Model:
    """A bicycle, alone or ridden."""
    colour = pick_colour(rng)
    frame = _bicycle_frame(colour)
    if rng.random() < 0.4:
        frame.append(box((0.62, 0, 0.9), (0.26, 0.36, 0.22), Material.WOOD, (0.3, 0.2, 0.1)))
    if not rider:
        return boxed("vehicle.bicycle", [join(frame)])
    who = replace(looks(rng), skirt=False)
    helmet: Colour | None = pick_colour(rng) if rng.random() < 0.55 else None
    poses = [join([*frame, *_cyclist(who, helmet, 2 * np.pi * k / TURNS)]) for k in range(TURNS)]
    return boxed("vehicle.bicycle", poses, 5.2, ridden=True)


def _cyclist(who: Looks, helmet: Colour | None, phase: float) -> list[Mesh]:
    h = who.height
    hip = np.array([-0.2, 0.0, 1.0])
    lean = 0.5
    parts = [torso(who, hip, lean)]
    shoulder_x, shoulder_z = hip[0] + 0.3 * h * np.sin(lean), hip[2] + 0.3 * h * np.cos(lean)
    for side in (1, -1):
        angle = phase + (0 if side > 0 else np.pi)
        foot = np.array([-0.08 + 0.17 * np.cos(angle), side * 0.11, 0.29 - 0.17 * np.sin(angle) + 0.03])
        start = offset(hip, 0.03, side * 0.09, -0.02)
        knee = _joint(start, foot, 0.26 * h, 0.25 * h, np.array([1.0, side * 0.12, 0.25]))
        parts.append(
            tube([start, (start + knee) / 2, knee, foot], [0.075, 0.068, 0.055, 0.04], Material.CLOTH, who.legs, 8)
        )
        parts.append(
            tube(
                [offset(foot, -0.06, 0, 0.0), offset(foot, 0.07, 0, 0.0), offset(foot, 0.16, 0, -0.02)],
                [0.035, 0.045, 0.03],
                Material.PLAIN,
                who.shoes,
                6,
            )
        )
        shoulder = np.array([shoulder_x, side * 0.17, shoulder_z - 0.02])
        grip = np.array([0.36, side * 0.26, 1.04])
        elbow = _joint(shoulder, grip, 0.17 * h, 0.17 * h, np.array([-0.1, side * 0.6, -1.0]))
        parts += limb(who, shoulder, elbow, grip)
    neck = np.array([hip[0] + 0.35 * h * np.sin(lean) + 0.03, 0.0, hip[2] + 0.345 * h * np.cos(lean)])
    parts += head(who, neck)
    if helmet is not None:
        parts.append(
            ellipsoid(
                offset(neck, 0.0, 0, 0.108 * h), (0.088 * h * 0.9, 0.056 * h, 0.05 * h), Material.PLAIN, helmet, 5, 10
            )
        )
    return parts


def _joint(a: Place, b: Place, upper: float, lower: float, out: Place) -> Place:
    # The knee or elbow between a and b, bent towards `out`.
    ahead = b - a
    far = min(float(np.linalg.norm(ahead)), 0.999 * (upper + lower))
    unit = ahead / np.linalg.norm(ahead)
    along = (upper**2 - lower**2 + far**2) / (2 * far)
    side = out - unit * (out @ unit)
    side /= np.linalg.norm(side)
    return np.asarray(a + unit * along + side * np.sqrt(max(upper**2 - along**2, 0.0)))


def motorcycle(rng: np.random.Generator, *, rider: bool) -> Model:
    """A motorcycle or a scooter, alone or ridden."""
    colour = pick_colour(rng)
    scooter = rng.random() < 0.45
    parts = _scooter(colour) if scooter else _motorcycle(colour)
    if rider:
        parts += _motorcyclist(replace(looks(rng), skirt=False), pick_colour(rng), scooter)
    return boxed("vehicle.motorcycle", [join(parts)], ridden=rider)


def _motorcycle(colour: Colour) -> list[Mesh]:
    radius = 0.32
    return [
        wheel(-0.7, 0.075, radius, 0.15), wheel(-0.7, -0.075, radius, 0.15),
        wheel(0.74, 0.06, radius, 0.12), wheel(0.74, -0.06, radius, 0.12),
        ellipsoid((0.22, 0, 0.86), (0.32, 0.16, 0.15), Material.PLAIN, colour, 6, 10),
        ellipsoid((-0.32, 0, 0.82), (0.42, 0.14, 0.08), Material.PLAIN, BLACK, 5, 10),
        ellipsoid((-0.66, 0, 0.84), (0.2, 0.1, 0.09), Material.PLAIN, colour, 5, 8),
        box((0.02, 0, 0.5), (0.62, 0.26, 0.36), Material.METAL, (0.2, 0.2, 0.21)),
        tube([(0.46, 0.07, 0.98), (0.74, 0.08, radius)], [0.03, 0.03], Material.METAL, (0.5, 0.5, 0.5), 6),
        tube([(0.46, -0.07, 0.98), (0.74, -0.08, radius)], [0.03, 0.03], Material.METAL, (0.5, 0.5, 0.5), 6),
        tube([(0.36, -0.36, 1.06), (0.44, 0, 1.03), (0.36, 0.36, 1.06)], [0.02, 0.02, 0.02], Material.PLAIN, BLACK, 6),
        ellipsoid((0.58, 0, 0.95), (0.11, 0.11, 0.12), Material.LAMP, (0.75, 0.77, 0.8), 5, 8),
        box((-0.86, 0, 0.84), (0.04, 0.14, 0.07), Material.LAMP, (0.55, 0.012, 0.012)),
        tube([(0.1, -0.2, 0.34), (-0.8, -0.22, 0.46)], [0.05, 0.07], Material.METAL, (0.5, 0.5, 0.5), 8),
        ellipsoid((0.74, 0, 0.63), (0.26, 0.07, 0.06), Material.PLAIN, colour, 4, 8),
        box((-0.9, 0, 0.62), (0.02, 0.2, 0.14), Material.PLAIN, (0.7, 0.7, 0.66)),
    ]  # fmt: skip


def _scooter(colour: Colour) -> list[Mesh]:
    radius = 0.24
    return [
        wheel(-0.6, 0.06, radius, 0.12), wheel(-0.6, -0.06, radius, 0.12),
        wheel(0.62, 0.055, radius, 0.11), wheel(0.62, -0.055, radius, 0.11),
        ellipsoid((-0.48, 0, 0.58), (0.42, 0.19, 0.22), Material.PLAIN, colour, 6, 10),
        ellipsoid((-0.36, 0, 0.8), (0.42, 0.15, 0.07), Material.PLAIN, BLACK, 5, 10),
        box((0.12, 0, 0.3), (0.6, 0.34, 0.08), Material.PLAIN, colour),
        tube([(0.4, 0, 0.28), (0.52, 0, 0.62), (0.42, 0, 1.02)], [0.2, 0.19, 0.1], Material.PLAIN, colour, 10),
        tube([(0.34, -0.34, 1.06), (0.42, 0, 1.04), (0.34, 0.34, 1.06)], [0.02, 0.025, 0.02], Material.PLAIN, BLACK, 6),
        ellipsoid((0.53, 0, 0.92), (0.07, 0.09, 0.08), Material.LAMP, (0.75, 0.77, 0.8), 5, 8),
        ellipsoid((0.62, 0, 0.47), (0.24, 0.09, 0.06), Material.PLAIN, colour, 4, 8),
        box((-0.9, 0, 0.66), (0.03, 0.14, 0.08), Material.LAMP, (0.55, 0.012, 0.012)),
        box((-0.9, 0, 0.5), (0.02, 0.2, 0.13), Material.PLAIN, (0.7, 0.7, 0.66)),
    ]  # fmt: skip


def _motorcyclist(who: Looks, helmet: Colour, scooter: bool) -> list[Mesh]:
    h = who.height
    hip = np.array([-0.3, 0.0, 0.93 if scooter else 0.95])
    lean = 0.12 if scooter else 0.3
    parts = [torso(who, hip, lean)]
    for side in (1, -1):
        start = offset(hip, 0.02, side * 0.1, -0.02)
        foot = np.array([0.12, side * 0.14, 0.37]) if scooter else np.array([-0.02, side * 0.2, 0.36])
        knee = _joint(start, foot, 0.25 * h, 0.25 * h, np.array([1.0, side * 0.35, 0.4]))
        parts.append(
            tube([start, (start + knee) / 2, knee, foot], [0.085, 0.078, 0.06, 0.045], Material.CLOTH, who.legs, 8)
        )
        parts.append(
            tube(
                [offset(foot, -0.08, 0, 0.0), offset(foot, 0.08, 0, 0), offset(foot, 0.16, 0, -0.02)],
                [0.04, 0.05, 0.035],
                Material.PLAIN,
                who.shoes,
                6,
            )
        )
        shoulder = offset(hip, 0.29 * h * np.sin(lean), side * 0.18, 0.28 * h * np.cos(lean))
        grip = np.array([0.34, side * 0.33, 1.08])
        elbow = _joint(shoulder, grip, 0.18 * h, 0.18 * h, np.array([-0.2, side * 0.5, -1.0]))
        parts += limb(who, shoulder, elbow, grip)
    neck = offset(hip, 0.35 * h * np.sin(lean) + 0.02, 0.0, 0.34 * h * np.cos(lean))
    parts.append(
        ellipsoid(offset(neck, 0.015, 0, 0.085 * h), (0.078 * h, 0.07 * h, 0.082 * h), Material.PLAIN, helmet, 8, 12)
    )
    parts.append(
        ellipsoid(
            offset(neck, 0.055, 0, 0.09 * h),
            (0.052 * h, 0.056 * h, 0.032 * h),
            Material.GLASS,
            (0.02, 0.02, 0.025),
            5,
            10,
        )
    )
    return parts
