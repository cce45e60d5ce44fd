"""People on foot: along the sidewalks, standing about, over the zebra crossings; and the bicycles they leave."""

from __future__ import annotations

from functools import partial

import numpy as np

from sample_data import cycles, people
from sample_data.motion import AlongMain, AlongSide, Pace, Standing, steady
from sample_data.roads import FILLET
from sample_data.traffic import EGO_START, Traffic

_WALKER, _STANDER = (1.0, 0.65), (0.6, 0.65)  # length and width that a person takes, metres
_BESIDE = (0.5, 0.4)  # of somebody beside a companion: they brush arms
_TOGETHER = 0.33  # share of walkers and of standers that are not alone


def fill_crossings(traffic: Traffic) -> None:
    """Over the zebra crossings on both arms of the main road, while its traffic waits."""
    side, rng, roads = traffic.drive.red, traffic.rng, traffic.roads
    if side is None:
        return
    green = traffic.style.junction / traffic.style.speed - 1.0  # seconds: about when the ego car comes to stand
    for arm in (-1.0, 1.0):
        for way in (1.0, -1.0):
            for k in range(7):
                back = roads.half + 0.9 + 1.4 * (k // 2) + float(rng.uniform(-0.4, 0.4))
                if back > traffic.style.walk_to - 0.4:
                    continue  # no room on the sidewalk to wait so far from the kerb
                begin = green + float(rng.uniform(-0.7, 1.3))
                pace = _later(steady(float(rng.uniform(1.15, 1.5)), traffic.drive.seconds), begin)
                keep_right = -way * (0.35 + 0.85 * (k % 2) + float(rng.uniform(-0.1, 0.1)))
                aside = -arm * (side.half + FILLET + 1.7) + keep_right
                motion = AlongSide(roads, -way * back, aside, way, pace, upright=True, side=side)
                make = partial(people.pedestrian, rng, child=bool(rng.random() < 0.12))
                traffic.add(make, _WALKER, motion, "standing", clear=0.15)


def fill_sidewalks(traffic: Traffic) -> None:
    """Up and down both sidewalks in a few files, the further the sparser the street."""
    style = traffic.style
    low = style.walk_from + (1.3 if style.verge < 0.5 else 0.35)
    files = np.linspace(low, max(style.walk_to - 0.45, low + 0.3), 4)
    for side in (1.0, -1.0):
        for k, t in enumerate(files):
            direction = 1.0 if (k % 2 == 0) == (side > 0) else -1.0
            _file(traffic, side * float(t), direction)
        _left_bicycles(traffic, side)


def _file(traffic: Traffic, t: float, direction: float) -> None:
    rng, style = traffic.rng, traffic.style
    pace = steady(float(rng.uniform(1.1, 1.55)), traffic.drive.seconds)
    s = EGO_START - 40.0 + float(rng.uniform(0, 12))
    while s < EGO_START + 190:
        s += float(rng.exponential(4 * 100.0 / max(style.people, 0.5))) + 1.5
        worker = style.works and bool(rng.random() < 0.2)
        if rng.random() < 0.14:
            _stander(traffic, s, t, float(rng.uniform(0, 2 * np.pi)), worker)
            if rng.random() < _TOGETHER:
                turn = float(rng.uniform(2.6, 3.6))
                _stander(traffic, s + 0.75, t + float(rng.uniform(-0.15, 0.15)), turn, worker, close=True)
        elif _walker(traffic, s, t, direction, pace, worker) and rng.random() < _TOGETHER:
            outermost = abs(t) > style.walk_to - 1.2  # a companion there walks on the road's side, else on the houses'
            aside = 0.66 * np.sign(t) * (-1.0 if outermost else 1.0)
            _walker(traffic, s + float(rng.uniform(-0.25, 0.25)), t + aside, direction, pace, worker, close=True)


def _stander(traffic: Traffic, s: float, t: float, turn: float, worker: bool, close: bool = False) -> None:
    x, y, heading = traffic.roads.at(s, t)
    motion = Standing(traffic.roads, float(x), float(y), float(heading) + turn, True)
    make = partial(people.pedestrian, traffic.rng, walking=False, worker=worker)
    traffic.add(make, _BESIDE if close else _STANDER, motion, "standing", clear=0.0 if close else 0.1)


def _walker(
    traffic: Traffic, s: float, t: float, direction: float, pace: Pace, worker: bool, close: bool = False
) -> bool:
    # `close`: beside a companion, in the same step.
    motion = AlongMain(traffic.roads, s, t, direction, pace, upright=True)
    make = partial(people.pedestrian, traffic.rng, child=bool(traffic.rng.random() < 0.1), worker=worker)
    return traffic.add(make, _BESIDE if close else _WALKER, motion, "standing", clear=0.0 if close else 0.2)


def _left_bicycles(traffic: Traffic, side: float) -> None:
    rng = traffic.rng
    for _ in range(3):
        x, y, heading = traffic.roads.at(
            EGO_START + float(rng.uniform(-20, 130)), side * (traffic.style.walk_to - 0.35)
        )
        motion = Standing(traffic.roads, float(x), float(y), float(heading) + 0.2)
        traffic.add(partial(cycles.bicycle, rng, rider=False), (1.85, 0.7), motion)


def _later(pace: Pace, begin: float) -> Pace:
    # Standing still until second `begin`.
    return Pace(pace.seconds + begin, np.maximum(pace.metres, 0.0))
