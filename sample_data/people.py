"""People: head, hair, neck, torso, arms and legs in a walking pose, clothed and of different sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sample_data.materials import Material
from sample_data.meshes import Colour, Mesh, box, ellipsoid, join, loft, offset, tube
from sample_data.models import Model
from xmodal_core.types import Doubles

GAIT = 8
"""Phases of a step that are modelled."""
BAND: Colour = (0.8, 0.8, 0.75)
Place = Doubles
SKINS: tuple[Colour, ...] = (
    (0.52, 0.33, 0.24),
    (0.60, 0.40, 0.30),
    (0.36, 0.21, 0.13),
    (0.18, 0.10, 0.06),
    (0.44, 0.28, 0.18),
)
HAIRS: tuple[Colour, ...] = (
    (0.02, 0.015, 0.01),
    (0.08, 0.045, 0.02),
    (0.22, 0.13, 0.05),
    (0.40, 0.30, 0.14),
    (0.36, 0.35, 0.34),
)
TOPS: tuple[Colour, ...] = (
    (0.55, 0.05, 0.05), (0.04, 0.12, 0.42), (0.70, 0.68, 0.64), (0.03, 0.03, 0.035), (0.62, 0.42, 0.05),
    (0.05, 0.28, 0.12),
    (0.25, 0.26, 0.28), (0.45, 0.12, 0.28), (0.08, 0.34, 0.42), (0.62, 0.22, 0.05), (0.32, 0.24, 0.16),
    (0.50, 0.58, 0.66),
)  # fmt: skip
LEGS: tuple[Colour, ...] = (
    (0.03, 0.05, 0.12),
    (0.05, 0.05, 0.055),
    (0.10, 0.13, 0.20),
    (0.28, 0.22, 0.14),
    (0.14, 0.14, 0.15),
    (0.38, 0.36, 0.32),
)


@dataclass(frozen=True)
class Looks:
    """One person: height (metres), breadth (1 average) and the colours of skin, hair, top, legs and shoes."""

    height: float
    breadth: float
    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    shoes: Colour
    long_hair: bool
    skirt: bool
    bag: str
    hat: Colour | None = None


def looks(rng: np.random.Generator, *, child: bool = False, worker: bool = False) -> Looks:
    """Somebody; a ``worker`` wears a helmet and a bright vest."""

    def one(choices: Sequence[Colour]) -> Colour:
        base = np.array(choices[int(rng.integers(len(choices)))])
        r, g, b = np.clip(base * rng.uniform(0.8, 1.2), 0.01, 0.8)
        return float(r), float(g), float(b)

    height = rng.uniform(1.15, 1.4) if child else rng.normal(1.73, 0.08)
    bag = "" if worker else str(rng.choice(["", "", "backpack", "bag"]))
    return Looks(
        float(height), float(rng.uniform(0.9, 1.18)), one(SKINS), one(HAIRS),
        (0.75, 0.32, 0.02) if worker else one(TOPS),
        one(LEGS), (0.03, 0.03, 0.03) if rng.random() < 0.6 else (0.6, 0.6, 0.58), bool(rng.random() < 0.4),
        bool(rng.random() < 0.18) and not worker, bag, (0.75, 0.62, 0.04) if worker else None,
    )  # fmt: skip


def pedestrian(rng: np.random.Generator, *, walking: bool = True, child: bool = False, worker: bool = False) -> Model:
    """Somebody on foot, with all phases of the step where ``walking``."""
    who = looks(rng, child=child, worker=worker)
    if walking:
        poses = [_standing_figure(who, 2 * np.pi * k / GAIT, 1.0) for k in range(GAIT)]
    else:
        poses = [_standing_figure(who, float(rng.uniform(0, 6)), 0.12)]
    poses = [pose.shifted(0.0, 0.0, -float(pose.corners[..., 2].min())) for pose in poses]  # a foot on the ground
    category = "human.pedestrian.adult"
    if child:
        category = "human.pedestrian.child"
    if worker:
        category = "human.pedestrian.construction_worker"
    low = np.min([pose.corners.min(axis=(0, 1)) for pose in poses], axis=0)
    high = np.max([pose.corners.max(axis=(0, 1)) for pose in poses], axis=0)
    reach = np.maximum(np.abs(low), np.abs(high))
    size = (2 * float(reach[0]) * 0.92, 2 * float(reach[1]), float(high[2]))
    return Model(category, tuple(poses), size, (), 1.5 * who.height / 1.73 if walking else 0.0)


def _standing_figure(who: Looks, phase: float, swing: float) -> Mesh:
    h = who.height
    lift = 0.02 * h * np.cos(2 * phase) * swing
    hip = np.array([0.0, 0.0, 0.515 * h + lift])
    parts = []
    for side in (1, -1):
        angle = 0.48 * np.sin(phase) * side * swing
        bend = (0.18 + 0.75 * max(0.0, float(np.cos(phase) * side))) * swing * (1.0 if angle < 0.5 else 0.5)
        parts += _leg(who, offset(hip, 0, side * 0.052 * h, 0), angle, bend)
        parts += _arm(
            who,
            np.array([0.0, side * 0.11 * h * who.breadth, 0.8 * h + lift]),
            -0.55 * np.sin(phase) * side * swing,
            side,
        )
    parts += [torso(who, hip, lean=0.03 * swing), *head(who, np.array([0.012 * h, 0.0, 0.86 * h + lift]))]
    if who.bag == "backpack":
        parts.append(
            ellipsoid((-0.1 * h, 0.0, 0.7 * h + lift), (0.065 * h, 0.085 * h, 0.13 * h), Material.CLOTH, _dark(who.top))
        )
    elif who.bag == "bag":
        parts.append(
            box((0.02 * h, -0.19 * h, 0.46 * h), (0.16 * h, 0.05 * h, 0.14 * h), Material.CLOTH, (0.12, 0.07, 0.04))
        )
    return join(parts)


def _dark(colour: Colour) -> Colour:
    return 0.35 * colour[0] + 0.02, 0.35 * colour[1] + 0.02, 0.35 * colour[2] + 0.02


def _leg(who: Looks, hip: Place, angle: float, bend: float) -> list[Mesh]:
    h, b = who.height, who.breadth
    knee = hip + 0.25 * h * np.array([np.sin(angle), 0.0, -np.cos(angle)])
    lower = angle - bend
    ankle = knee + 0.225 * h * np.array([np.sin(lower), 0.0, -np.cos(lower)])
    bare = who.skirt
    cloth = Material.SKIN if bare else Material.CLOTH
    colour = who.skin if bare else who.legs
    radii = [0.052 * h * b, 0.042 * h * b, 0.034 * h, 0.026 * h]
    leg = tube([hip, (hip + knee) / 2, knee, ankle], radii, cloth, colour, 8)
    toe = offset(ankle, 0.085 * h, 0.0, -0.012 * h)
    toe[2] = max(toe[2], 0.018 * h)
    heel = offset(ankle, -0.025 * h, 0.0, -0.012 * h)
    heel[2] = max(heel[2], 0.018 * h)
    shoe = tube(
        [heel, offset((heel + toe) / 2, 0, 0, 0.006 * h), toe],
        [0.026 * h, 0.028 * h, 0.018 * h],
        Material.PLAIN,
        who.shoes,
        7,
    )
    return [leg, shoe]


def _arm(who: Looks, shoulder: Place, angle: float, side: int) -> list[Mesh]:
    h = who.height
    elbow = shoulder + 0.165 * h * np.array([np.sin(angle), side * 0.14, -np.cos(angle)])
    fore = angle + 0.45
    wrist = elbow + 0.14 * h * np.array([np.sin(fore), 0.0, -np.cos(fore)])
    return limb(who, shoulder, elbow, wrist)


def limb(who: Looks, shoulder: Place, elbow: Place, wrist: Place) -> list[Mesh]:
    """An arm from shoulder to hand."""
    h = who.height
    sleeve = tube([shoulder, elbow, wrist], [0.034 * h * who.breadth, 0.027 * h, 0.021 * h], Material.CLOTH, who.top, 7)
    hand = ellipsoid(wrist + (wrist - elbow) * 0.14, (0.022 * h, 0.018 * h, 0.03 * h), Material.SKIN, who.skin, 4, 6)
    cap = ellipsoid(shoulder, (0.036 * h, 0.036 * h * who.breadth, 0.04 * h), Material.CLOTH, who.top, 4, 7)
    return [sleeve, hand, cap]


def torso(who: Looks, hip: Place, lean: float) -> Mesh:
    """Hips to neck; ``lean`` radians forward."""
    rows = [
        (-0.05, 0.105, 0.078), (0.0, 0.112, 0.084), (0.08, 0.098, 0.074), (0.17, 0.108, 0.08), (0.25, 0.128, 0.085),
        (0.295, 0.128, 0.072), (0.33, 0.085, 0.055), (0.35, 0.045, 0.045),
    ]  # fmt: skip
    if who.skirt:
        rows = [(-0.22, 0.15, 0.13), (-0.1, 0.125, 0.1), *rows[1:]]
    waist = 3 if who.skirt else 2
    pieces = [_trunk(who, hip, lean, rows[: waist + 1], who.legs), _trunk(who, hip, lean, rows[waist:], who.top)]
    if who.hat is not None:  # a worker's vest has a bright band
        pieces.append(_trunk(who, hip, lean, [(0.13, 0.107, 0.081), (0.18, 0.114, 0.084)], BAND))
    return join(pieces)


def _trunk(who: Looks, hip: Place, lean: float, rows: Sequence[tuple[float, float, float]], colour: Colour) -> Mesh:
    # A stack of ellipses: height over the hip, half width and half depth, as shares of the person's height.
    h, b = who.height, who.breadth
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rings = []
    for z, wide, deep in rows:
        x = hip[0] + z * h * np.sin(lean) + deep * h * b * np.cos(angle) * 0.92
        y = hip[1] + wide * h * b * np.sin(angle)
        rings.append(np.c_[x, y, np.full(12, hip[2] + z * h * np.cos(lean))])
    return loft(np.array(rings), Material.CLOTH, colour, smooth=70.0)


def head(who: Looks, neck: Place) -> list[Mesh]:
    """Neck, face, hair; a helmet where there is one."""
    h = who.height if who.height > 1.5 else who.height * 1.12
    parts = [
        tube(
            [offset(neck, 0, 0, -0.03 * h), offset(neck, 0, 0, 0.04 * h)],
            [0.032 * h, 0.03 * h],
            Material.SKIN,
            who.skin,
            7,
        ),
        ellipsoid(
            offset(neck, 0.012 * h, 0, 0.075 * h), (0.053 * h, 0.044 * h, 0.066 * h), Material.SKIN, who.skin, 7, 10
        ),
        ellipsoid(
            offset(neck, 0.068 * h, 0, 0.068 * h), (0.012 * h, 0.009 * h, 0.014 * h), Material.SKIN, who.skin, 3, 5
        ),
    ]
    if who.hat is not None:
        parts.append(
            ellipsoid(
                offset(neck, 0.006 * h, 0, 0.107 * h), (0.068 * h, 0.058 * h, 0.05 * h), Material.PLAIN, who.hat, 6, 10
            )
        )
        parts.append(
            ellipsoid(
                offset(neck, 0.02 * h, 0, 0.1 * h), (0.078 * h, 0.064 * h, 0.012 * h), Material.PLAIN, who.hat, 4, 10
            )
        )
    else:
        parts.append(
            ellipsoid(
                offset(neck, -0.006 * h, 0, 0.09 * h), (0.058 * h, 0.05 * h, 0.06 * h), Material.CLOTH, who.hair, 6, 10
            )
        )
        if who.long_hair:
            parts.append(
                ellipsoid(
                    offset(neck, -0.03 * h, 0, 0.045 * h),
                    (0.034 * h, 0.046 * h, 0.085 * h),
                    Material.CLOTH,
                    who.hair,
                    6,
                    8,
                )
            )
    return parts
