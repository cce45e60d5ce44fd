"""Random numbers that depend on nothing but the drive's seed and what they are for."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *purpose: int | str) -> np.random.Generator:
    """A generator for one purpose, e.g. ``generator(seed, scene, "lidar", frame)``: independent of all others, and the
    same whichever process asks for it and in whatever order."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def token(*parts: int | str) -> str:
    """A nuScenes token, 32 hexadecimal digits, that names ``parts`` and nothing else."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
