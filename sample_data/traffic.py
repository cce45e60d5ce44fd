"""Room for everyone: the ego car's drive, and a book of who is where when, so that nothing ever meets anything.

What is put in first has right of way; whatever would come too near to it at any moment of the scene is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sample_data.models import Model
from sample_data.motion import AlongMain, Motion, Standing, steady, stopping
from sample_data.roads import FILLET, SideRoad
from sample_data.site import Site
from xmodal_core.types import Bools, Doubles

EGO_START = 110.0
"""Metres of road behind the ego car at the beginning."""
EGO_LENGTH, EGO_WIDTH, EGO_AHEAD = 4.1, 1.75, 1.35
"""Size of the ego car, and how far its middle lies before its rear axle, metres."""
_CLEAR = 0.3  # metres kept between any two things


@dataclass(frozen=True)
class Plan:
    """How a scene goes.

    Args:
        seconds: how long it lasts.
        ego: the ego car's rear axle.
        red: the side road at which the main road's traffic has to wait, or None.
        stop: where the ego car's nose waits then (s); None if it drives on.
    """

    seconds: float
    ego: AlongMain
    red: SideRoad | None
    stop: float | None


def plan(site: Site, seconds: float, red: SideRoad | None) -> Plan:
    """The ego car's drive in the outermost open lane; at ``red`` it waits for the crossing traffic."""
    style = site.roads.style
    lane = -style.lane_centre(0 if style.works else style.lanes - 1)
    stop = None if red is None else red.s - red.half - FILLET - 5.4
    if stop is None:
        pace = steady(style.speed, seconds, 0.08)
    else:
        pace = stopping(style.speed, seconds, stop - EGO_START - EGO_AHEAD - EGO_LENGTH / 2, 4.0, seconds + 60.0)
    return Plan(seconds, AlongMain(site.roads, EGO_START, lane, 1.0, pace, base=2.6), red, stop)


class Traffic:
    """The book of paths: places each fifth of a second, with half the length and width of what takes them.

    Args:
        site: where things go; what stands there already is in the book.
        drive: the ego car's plan, first in the book.
        rng: of everything that is put in.
    """

    def __init__(self, site: Site, drive: Plan, rng: np.random.Generator) -> None:
        self.site, self.drive, self.rng = site, drive, rng
        self.style, self.roads = site.roads.style, site.roads
        self._times = np.arange(-1.0, drive.seconds + 0.8, 0.2)
        self._paths = np.zeros((64, len(self._times), 3))
        self._halves = np.zeros((64, 2))
        self._count = 0
        ego = drive.ego.flat(self._times)
        middle = ego[:, :2] + EGO_AHEAD * np.c_[np.cos(ego[:, 2]), np.sin(ego[:, 2])]
        self._keep(np.c_[middle, ego[:, 2]], (EGO_LENGTH / 2 + 0.6, EGO_WIDTH / 2))
        for thing in site.standing:
            half = _footprint(thing.model)
            if half is not None:
                self._keep(thing.motion.flat(self._times), half)

    def add(
        self,
        make: Callable[[], Model],
        size: tuple[float, float],
        motion: Motion,
        attribute: str = "",
        clear: float = _CLEAR,
    ) -> bool:
        """Put in what ``make`` makes, where it meets nothing.

        Args:
            make: called only if there is room.
            size: length and width that the thing will at most have, metres.
            motion: its way.
            attribute: see ``site.Thing``.
            clear: metres to keep from all others ahead and behind; on its sides at most the usual.

        Returns:
            Whether it was put in.
        """
        path, half = motion.flat(self._times), ((size[0] + clear) / 2, (size[1] + min(clear, _CLEAR)) / 2)
        if not self._is_free(path, half):
            return False
        self._keep(path, half)
        model = make()
        if isinstance(motion, Standing):
            self.site.stand(model, motion.x, motion.y, motion.heading, upright=motion.upright, attribute=attribute)
        else:
            self.site.send(model, motion, attribute)
        return True

    def put(self, model: Model, motion: Motion, attribute: str = "", clear: float = _CLEAR) -> bool:
        """As ``add``, for a model that is there already."""
        return self.add(lambda: model, plan_size(model), motion, attribute, clear)

    def put_at(self, model: Model, s: float, t: float, turn: float = 0.0, attribute: str = "") -> bool:
        """Stand a model at the main road's (s, t), turned from its direction by ``turn``."""
        x, y, heading = self.roads.at(s, t)
        motion = Standing(self.roads, float(x), float(y), float(heading) + turn)
        return self.put(model, motion, attribute, clear=0.05)

    def couple(self, front: Model, lead: Motion, back: Model, follow: Motion) -> bool:
        """A trailer and what draws it, both or neither; the two touch, so they are not held against each other."""
        path, size = follow.flat(self._times), plan_size(back)
        half = (size[0] / 2 + 0.1, size[1] / 2 + 0.1)
        if not (self._is_free(path, half) and self.put(front, lead, clear=1.0)):
            return False
        self._keep(path, half)
        self.site.send(back, follow)
        return True

    def _keep(self, path: Doubles, half: tuple[float, float]) -> None:
        if self._count == len(self._paths):
            self._paths = np.concatenate([self._paths, np.zeros_like(self._paths)])
            self._halves = np.concatenate([self._halves, np.zeros_like(self._halves)])
        self._paths[self._count], self._halves[self._count] = path, half
        self._count += 1

    def _is_free(self, path: Doubles, half: tuple[float, float]) -> bool:
        paths, halves = self._paths[: self._count], self._halves[: self._count]
        reach = np.hypot(*half) + np.hypot(halves[:, 0], halves[:, 1])
        apart = paths[:, :, :2] - path[:, :2]
        near = np.einsum("ktd,ktd->kt", apart, apart) < (reach**2)[:, None]
        return not any(
            overlap(path[near[k]], half, paths[k, near[k]], (halves[k, 0], halves[k, 1])).any()
            for k in np.flatnonzero(near.any(axis=1))
        )


def plan_size(model: Model) -> tuple[float, float]:
    """Length and width of a model's box, metres."""
    return (model.size[0], model.size[1]) if model.size else (1.0, 1.0)


def _footprint(model: Model) -> tuple[float, float] | None:
    # Half the length and width of what a standing thing takes of the street; None for houses and the like, which
    # stand clear of it.
    low, high = model.mesh.corners.min(axis=(0, 1)), model.mesh.corners.max(axis=(0, 1))
    tree = model.category.endswith("vegetation") and high[2] > 2.5
    if low[2] > 0.5 or (max(high[0] - low[0], high[1] - low[1]) > 6.0 and not tree):
        return None
    corners = model.mesh.corners.reshape(-1, 3)
    reach = np.maximum(np.abs(corners[corners[:, 2] < 2.3, :2]).max(axis=0), 0.2)
    return float(reach[0]), float(reach[1])


def overlap(path: Doubles, half: tuple[float, float], other: Doubles, reach: tuple[float, float]) -> Bools:
    """(T,) bool: whether two rectangles overlap, place by place.

    Args:
        path, other: (T,3) x, y and heading of their middles.
        half, reach: half length and half width of the two, metres.
    """
    apart, a, b = other[:, :2] - path[:, :2], path[:, 2], other[:, 2]
    result = np.ones(len(apart), dtype=np.bool_)
    c, k = np.abs(np.cos(a - b)), np.abs(np.sin(a - b))
    for heading, own, its in ((a, half, reach), (b, reach, half)):  # the separating axes of both
        along = np.abs(apart[:, 0] * np.cos(heading) + apart[:, 1] * np.sin(heading))
        across = np.abs(-apart[:, 0] * np.sin(heading) + apart[:, 1] * np.cos(heading))
        result &= along < own[0] + its[0] * c + its[1] * k
        result &= across < own[1] + its[0] * k + its[1] * c
    return result
