"""What surfaces are made of: their names, and how they answer the LiDAR's light."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from xmodal_core.types import Floats


class Material(IntEnum):
    """How a triangle's colour is worked out where a ray meets it (see ``shading``)."""

    GROUND = 0
    FACADE = 1
    TILES = 2
    PLAIN = 3
    PAINT = 4
    CABIN = 5
    TYRE = 6
    RIM = 7
    METAL = 8
    LEAF = 9
    BARK = 10
    SKIN = 11
    CLOTH = 12
    GLASS = 13
    LAMP = 14
    SIGN = 15
    BANNER = 16
    CONE = 17
    BARRIER = 18
    WOOD = 19
    COACH = 20
    CARGO = 21
    CONCRETE = 22
    DISTANT = 23
    FENCE = 24


_REFLECTIVITY: dict[Material, float] = {
    Material.GROUND: 0.06,
    Material.FACADE: 0.22,
    Material.TILES: 0.16,
    Material.PLAIN: 0.2,
    Material.PAINT: 0.2,
    Material.CABIN: 0.08,
    Material.TYRE: 0.04,
    Material.RIM: 0.3,
    Material.METAL: 0.35,
    Material.LEAF: 0.3,
    Material.BARK: 0.2,
    Material.SKIN: 0.3,
    Material.CLOTH: 0.24,
    Material.GLASS: 0.05,
    Material.LAMP: 0.5,
    Material.SIGN: 1.6,
    Material.BANNER: 0.35,
    Material.CONE: 0.6,
    Material.BARRIER: 0.4,
    Material.WOOD: 0.25,
    Material.COACH: 0.24,
    Material.CARGO: 0.28,
    Material.CONCRETE: 0.22,
    Material.DISTANT: 0.2,
    Material.FENCE: 0.25,
}


def reflectivity() -> Floats:
    """(materials,) float32: the share of the LiDAR's light that comes back at right angles; retro-reflecting signs
    give more than a white wall, so they stand above 1."""
    return np.array([_REFLECTIVITY[material] for material in Material], dtype=np.float32)
