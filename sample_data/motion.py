"""How things move: along a road's lanes, at a pace that all vehicles of a lane share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from sample_data.roads import KERB, Roads, SideRoad
from xmodal_core.geometry import rigid
from xmodal_core.types import Doubles


class Motion(Protocol):
    """Where a thing is at a time, and whether it is under way then."""

    def flat(self, times: Doubles) -> Doubles:
        """(T,3) x, y and heading at ``times`` (T,) seconds."""
        ...

    def pose(self, time: float) -> Doubles:
        """(4,4), metres, the thing's origin on the ground."""
        ...

    def gone(self, time: float) -> float:
        """Metres moved since time 0, for the gait of legs."""
        ...

    def moving(self, time: float) -> bool: ...


@dataclass(frozen=True)
class Pace:
    """Metres gone over time: (K,) seconds and metres, rising, between them a straight line."""

    seconds: Doubles
    metres: Doubles

    def at(self, time: ArrayLike) -> Doubles:
        """Metres at one or many times."""
        return np.asarray(np.interp(np.asarray(time, dtype=np.float64), self.seconds, self.metres))

    def speed(self, time: float) -> float:
        """Metres a second."""
        return float(self.at(time + 0.1) - self.at(time - 0.1)) / 0.2


def steady(speed: float, until: float, wave: float = 0.0, phase: float = 0.0) -> Pace:
    """About ``speed`` m/s, rising and falling by the share ``wave``, from two seconds before 0 to ``until`` seconds."""
    seconds = np.arange(-2.0, until + 2.0, 0.05)
    rate = speed * (1 + wave * np.sin(2 * np.pi * seconds / 9.0 + phase))
    return _summed(seconds, rate)


def stopping(speed: float, until: float, distance: float, brake: float, go: float) -> Pace:
    """At ``speed``, braking evenly over ``brake`` seconds so as to stand after ``distance`` metres from time 0, and
    off again at second ``go``."""
    seconds = np.arange(-2.0, until + 2.0, 0.05)
    stop = distance / speed + brake / 2
    rate = speed * np.clip((stop - seconds) / brake, 0.0, 1.0)
    rate = np.where(seconds > max(go, stop), np.minimum(speed, 1.6 * (seconds - max(go, stop))), rate)
    return _summed(seconds, rate)


def _summed(seconds: Doubles, rate: Doubles) -> Pace:
    metres = np.r_[0.0, np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(seconds))]
    return Pace(seconds, metres - np.interp(0.0, seconds, metres))


@dataclass(frozen=True)
class Standing:
    """A thing that stays at (``x``, ``y``), facing ``heading``, leaning with the slope or ``upright``."""

    roads: Roads
    x: float
    y: float
    heading: float
    upright: bool = False

    def flat(self, times: Doubles) -> Doubles:
        return np.tile([self.x, self.y, self.heading], (len(times), 1))

    def pose(self, time: float) -> Doubles:
        return place(self.roads, self.x, self.y, self.heading, self.upright)

    def gone(self, time: float) -> float:
        return 0.0

    def moving(self, time: float) -> bool:
        return False


@dataclass(frozen=True)
class _Paced(ABC):
    roads: Roads
    start: float
    aside: float
    direction: float
    pace: Pace
    upright: bool = False
    base: float = 0.0

    @abstractmethod
    def flat(self, times: Doubles) -> Doubles: ...

    def pose(self, time: float) -> Doubles:
        x, y, heading = self.flat(np.array([time]))[0]
        return place(self.roads, float(x), float(y), float(heading), self.upright, on_road=not self.upright)

    def gone(self, time: float) -> float:
        return float(self.pace.at(time))

    def moving(self, time: float) -> bool:
        return self.pace.speed(time) > 0.2


@dataclass(frozen=True)
class AlongMain(_Paced):
    """A thing on the main road: at ``start`` (s, metres) at time 0, ``aside`` metres left of the centre line.

    ``direction`` is 1 with the road and -1 against it; ``upright`` for people, who do not lean with the slope; the
    ``base`` between its front and rear axles (metres) lets a long vehicle lie across a bend's chord.
    """

    def flat(self, times: Doubles) -> Doubles:
        s = self.start + self.direction * self.pace.at(times)
        back = np.pi if self.direction < 0 else 0.0
        if self.base <= 0:
            return np.asarray(self.roads.at(s, self.aside) + np.array([0.0, 0.0, back]))
        front = self.roads.at(s + self.direction * self.base / 2, self.aside)
        rear = self.roads.at(s - self.direction * self.base / 2, self.aside)
        ahead = front[:, :2] - rear[:, :2]
        return np.column_stack([(front[:, :2] + rear[:, :2]) / 2, np.arctan2(ahead[:, 1], ahead[:, 0])])


@dataclass(frozen=True)
class AlongSide(_Paced):
    """A thing on ``side``: ``start`` metres from the main road's centre line at time 0, ``aside`` to the left."""

    side: SideRoad | None = None

    def flat(self, times: Doubles) -> Doubles:
        if self.side is None:
            raise ValueError("a thing on a side road needs that road")
        along = self.start + self.direction * self.pace.at(times)
        c, k = np.cos(self.side.heading), np.sin(self.side.heading)
        heading = self.side.heading + (np.pi if self.direction < 0 else 0.0)
        return np.stack(
            [
                self.side.x + along * c - self.aside * k,
                self.side.y + along * k + self.aside * c,
                np.full(len(along), heading),
            ],
            axis=1,
        )


def place(roads: Roads, x: float, y: float, heading: float, upright: bool, on_road: bool = False) -> Doubles:
    """(4,4) pose of something that stands on the ground at (x, y); ``on_road`` is known to be no sidewalk."""
    kerb = 0.0 if on_road else KERB * on_foot(float(roads.outside(x, y)))
    z = float(roads.land.height(x, y)) + kerb
    if upright:
        c, k = np.cos(heading), np.sin(heading)
        turn = np.array([[c, -k, 0.0], [k, c, 0.0], [0.0, 0.0, 1.0]])
    else:
        turn = roads.land.frame(x, y, heading)
    return rigid(turn, (x, y, z))


def on_foot(outside: float) -> float:
    """0 on the carriageway, 1 on the sidewalk, quickly rising over the kerb: where a walker's foot stands."""
    w = min(max((outside + 0.15) / 0.3, 0.0), 1.0)
    return w * w * (3 - 2 * w)
