"""Who is under way: the ego car, the vehicles of every lane, riders, people on foot, what is parked, and road works.

Whatever would come too near to another thing at any moment of the scene is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample_data import atlas, cycles, furniture, lorries, people, vehicles
from sample_data.meshes import Colour
from sample_data.models import Model
from sample_data.motion import AlongMain, AlongSide, Motion, Pace, Standing, steady, stopping
from sample_data.roads import FILLET, SideRoad
from sample_data.scenery import MANMADE
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
        stop: where the ego car waits at a red light (s), or None if it drives on.
    """

    seconds: float
    ego: AlongMain
    stop: float | None


def plan(site: Site, seconds: float, red: SideRoad | None) -> Plan:
    """The ego car's drive in the outermost lane; at ``red`` it stops for the crossing traffic."""
    style = site.roads.style
    lane = -style.lane_centre(style.lanes - 1) if not style.works else -style.lane_centre(0)
    stop = None if red is None else red.s - red.half - FILLET - 5.4
    if stop is None:
        pace = steady(style.speed, seconds, 0.08)
    else:
        pace = stopping(style.speed, seconds, stop - EGO_START - EGO_AHEAD - EGO_LENGTH / 2, 4.0, seconds + 60.0)
    return Plan(seconds, AlongMain(site.roads, EGO_START, lane, 1.0, pace, base=2.6), stop)


class Traffic:
    """Fills a site with what moves and what is parked, most important first; later things give way."""

    def __init__(self, site: Site, drive: Plan, rng: np.random.Generator) -> None:
        self.site, self.drive, self.rng = site, drive, rng
        self.style, self.roads = site.roads.style, site.roads
        self._times = np.arange(-1.0, drive.seconds + 0.8, 0.2)
        ego = drive.ego.flat(self._times)
        middle = ego[:, :2] + EGO_AHEAD * np.c_[np.cos(ego[:, 2]), np.sin(ego[:, 2])]
        self._paths = [np.c_[middle, ego[:, 2]]]
        self._halves = [(EGO_LENGTH / 2 + 0.6, EGO_WIDTH / 2)]
        for thing in site.standing:
            low, high = thing.model.mesh.corners.min(axis=(0, 1)), thing.model.mesh.corners.max(axis=(0, 1))
            if thing.model.category.endswith("vegetation") and high[2] - low[2] > 2.5:
                self._remember(thing.motion, 0.3, 0.3)
            elif max(high[0] - low[0], high[1] - low[1]) < 5.0 and low[2] < 0.5:
                base = thing.model.mesh.corners[thing.model.mesh.corners[..., 2].mean(axis=1) < 2.2]
                reach = np.abs(base).max(axis=(0, 1)) if len(base) else np.array([0.2, 0.2])
                self._remember(thing.motion, float(reach[0]), float(reach[1]))

    def _remember(self, motion: Motion, half_length: float, half_width: float) -> None:
        self._paths.append(motion.flat(self._times))
        self._halves.append((half_length, half_width))

    def add(self, model: Model, motion: Motion, attribute: str = "", clear: float = _CLEAR) -> bool:
        """Put the model in where it meets nothing; True if it was."""
        size = model.size or (1.0, 1.0, 1.0)
        path, half = motion.flat(self._times), (size[0] / 2 + clear / 2, size[1] / 2 + clear / 2)
        for other, reach in zip(self._paths, self._halves, strict=True):
            if _meet(path, half, other, reach):
                return False
        self._paths.append(path)
        self._halves.append(half)
        if isinstance(motion, Standing):
            self.site.stand(model, motion.x, motion.y, motion.heading, upright=motion.upright, attribute=attribute)
        else:
            self.site.send(model, motion, attribute)
        return True

    def fill(self) -> None:
        """Everything, in order of importance."""
        if self.style.works:
            self._works()
        self._lanes()
        self._side_roads()
        self._crossing_people()
        self._cycle_lanes()
        self._parked()
        self._sidewalks()
        self._signals()

    def _vehicle(self, lorries_share: float) -> Model:
        chance = self.rng.random()
        if chance < lorries_share * 0.42:
            return lorries.truck(self.rng)
        if chance < lorries_share * 0.75:
            return lorries.bus(self.rng)
        if chance < lorries_share * 0.75 + 0.07:
            return cycles.motorcycle(self.rng, rider=True)
        return vehicles.car(self.rng, taxi=bool(self.rng.random() < 0.07))

    def _lanes(self) -> None:
        for direction in (1.0, -1.0):
            for lane in range(self.style.lanes):
                if self.style.works and direction > 0 and lane == self.style.lanes - 1:
                    continue
                self._lane(direction, lane)

    def _lane(self, direction: float, lane: int) -> None:
        rng, style, drive = self.rng, self.style, self.drive
        t = -direction * style.lane_centre(lane)
        own = direction > 0 and abs(t - drive.ego.aside) < 0.1
        speed = style.speed * (1.0 if own else rng.uniform(0.85, 1.15))
        pace = drive.ego.pace if own else steady(float(speed), drive.seconds, 0.08, rng.uniform(0, 6))
        places: list[float] = []
        s = EGO_START + 12.0 if own else float(rng.uniform(-20, 0))
        while s < self.roads.length + 40:
            s += float(rng.uniform(0.6, 1.4)) * style.traffic
            places.append(s)
        if own:
            s = EGO_START - 1.0
            while s > -10:
                s -= float(rng.uniform(0.6, 1.4)) * style.traffic
                places.append(s)
        queue = 0
        for s in sorted(places, key=lambda p: abs(p - EGO_START)):
            speed_pace = pace
            if drive.stop is not None:
                if own and EGO_START < s < drive.stop:
                    continue
                halted = self._queued(direction, s, own, queue)
                if halted is not None:
                    speed_pace, queue = halted, queue + 1
                elif own:
                    speed_pace = steady(style.speed, drive.seconds)
            self._send(direction, t, s, speed_pace)

    def _queued(self, direction: float, s: float, own: bool, number: int) -> Pace | None:
        # The pace of a vehicle that has to wait at the red light, or None for one already past it.
        stop = self.drive.stop
        side = self._red()
        if stop is None or side is None:
            return None
        line = stop if direction > 0 else 2 * side.s - stop
        ahead = (line - s) * direction
        if ahead < 4.0:
            return None
        if own and s < EGO_START:
            gap = (EGO_START - s) - 9.0
            travelled = float(self.drive.ego.pace.at(self.drive.seconds)) + max(gap - 3.0 * number, 0.0) * 0.6
        else:
            travelled = ahead - 3.0 - 9.5 * number
        if travelled < 1.0:
            return steady(0.0, self.drive.seconds)
        return stopping(self.style.speed, self.drive.seconds, travelled, 4.0, self.drive.seconds + 60)

    def _red(self) -> SideRoad | None:
        both = [side for side in self.roads.sides if side.left and side.right and side.s > EGO_START]
        return both[0] if both else None

    def _send(self, direction: float, t: float, s: float, pace: Pace) -> None:
        rng = self.rng
        if rng.random() < 0.22 * self.style.lorries + 0.02:
            front = lorries.tractor(rng) if rng.random() < 0.5 + 0.4 * (self.style.lorries > 0.4) else None
            if front is not None:
                back = lorries.semi_trailer(rng)
                gap = (back.size or (0, 0, 0))[0] / 2 - 1.15
            else:
                front, back = vehicles.car(rng, kind="suv"), lorries.car_trailer(rng)
                gap = ((front.size or (0, 0, 0))[0] + (back.size or (0, 0, 0))[0]) / 2 - 0.1
            lead = AlongMain(self.roads, s, t, direction, pace, base=3.2)
            follow = AlongMain(self.roads, s - direction * gap, t, direction, pace, base=6.0)
            self._coupled(front, lead, back, follow)
            return
        model = self._vehicle(self.style.lorries)
        size = model.size or (1.0, 1.0, 1.0)
        self.add(
            model,
            AlongMain(self.roads, s, t + float(rng.normal(0, 0.08)), direction, pace, base=0.6 * size[0]),
            clear=2.0,
        )

    def _coupled(self, front: Model, lead: Motion, back: Model, follow: Motion) -> None:
        # A trailer and what draws it, both or neither; the two touch each other, so they are tested before either is in.
        count = len(self._paths)
        size = back.size or (1.0, 1.0, 1.0)
        if not self.add(front, lead, clear=1.0):
            return
        path, half = follow.flat(self._times), (size[0] / 2, size[1] / 2)
        clash = any(
            _meet(path, half, other, reach)
            for other, reach in zip(self._paths[:count], self._halves[:count], strict=True)
        )
        if clash:
            self._paths.pop()
            self._halves.pop()
            self.site.moving.pop()
            return
        self._paths.append(path)
        self._halves.append(half)
        self.site.send(back, follow)

    def _side_roads(self) -> None:
        rng = self.rng
        red = self._red() if self.drive.stop is not None else None
        for side in self.roads.sides:
            for way in (1.0, -1.0):
                if not (side.left if way > 0 else side.right):
                    continue
                inbound = -way * (side.half / 2 if side is not None else 0.0)
                if side is red:
                    continue
                # Waiting at the line, coming towards the main road: its nose at the line.
                along = self.roads.half + FILLET + 2.4
                for _ in range(int(rng.integers(0, 3))):
                    model = self._vehicle(self.style.lorries * 0.6)
                    length = (model.size or (4.0, 0, 0))[0]
                    x, y, heading = self.roads.side_at(side, way * (along + length / 2), way * abs(inbound))
                    facing = heading + (np.pi if way > 0 else 0.0)
                    self.add(model, Standing(self.roads, x, y, facing), "stopped", clear=0.5)
                    along += length + float(rng.uniform(1.6, 3.0))
                # Driving away on the other half.
                start = self.roads.half + 14.0
                pace = steady(float(rng.uniform(5, 8)), self.drive.seconds)
                while start < 90:
                    model = self._vehicle(self.style.lorries * 0.6)
                    self.add(
                        model, AlongSide(self.roads, way * start, -way * abs(inbound), way, pace, side=side), clear=1.0
                    )
                    start += float(rng.uniform(16, 34))
                self._parked_on(side, way)
        if red is not None:
            self._crossing_traffic(red)

    def _parked_on(self, side: SideRoad, way: float) -> None:
        if side.half < 4.4:
            return
        for along in np.arange(self.roads.half + 26.0, 90.0, 6.4):
            if self.rng.random() < 0.5 * self.style.parked:
                x, y, heading = self.roads.side_at(side, way * float(along), side.half - 1.1)
                self.add(vehicles.car(self.rng), Standing(self.roads, x, y, heading + np.pi), "parked")

    def _crossing_traffic(self, side: SideRoad) -> None:
        rng = self.rng
        for way in (1.0, -1.0):
            pace = steady(float(rng.uniform(6.0, 7.5)), self.drive.seconds)
            start = -way * float(rng.uniform(36, 48))
            while abs(start) < 130:
                model = self._vehicle(self.style.lorries)
                self.add(model, AlongSide(self.roads, start, -way * side.half / 2, way, pace, side=side), clear=1.5)
                start -= way * float(rng.uniform(12, 22))

    def _crossing_people(self) -> None:
        # On the zebra crossings over the main road, while its traffic waits.
        side = self._red()
        if self.drive.stop is None or side is None:
            return
        for arm in (-1.0, 1.0):
            for way in (1.0, -1.0):
                for k in range(4):
                    along = -way * (self.roads.half + 1.0 + 2.3 * k - 3.0 * float(self.rng.random()))
                    begin = float(self.rng.uniform(5.5, 7.5))
                    pace = _later(steady(float(self.rng.uniform(1.15, 1.5)), self.drive.seconds + 10), begin)
                    aside = -arm * (side.half + FILLET + 1.7 + float(self.rng.uniform(-0.9, 0.9)))
                    motion = AlongSide(self.roads, along, aside, way, pace, upright=True, side=side)
                    self.add(
                        people.pedestrian(self.rng, child=bool(self.rng.random() < 0.12)),
                        motion,
                        "standing",
                        clear=0.15,
                    )

    def _cycle_lanes(self) -> None:
        rng, style = self.rng, self.style
        offset = style.cycle_centre if style.cycle > 0 else style.half - style.parking - 0.55
        for direction in (1.0, -1.0):
            pace = steady(float(rng.uniform(4.0, 5.2)), self.drive.seconds)
            s = EGO_START + float(rng.uniform(-30, 10))
            while s < EGO_START + 150:
                motion = AlongMain(self.roads, s, -direction * offset, direction, pace)
                self.add(cycles.bicycle(rng, rider=True), motion, clear=0.4)
                s += float(rng.uniform(14, 45))

    def _parked(self) -> None:
        rng, style = self.rng, self.style
        if style.parking <= 0:
            return
        for side in (1.0, -1.0):
            s = 0.0
            while s < self.roads.length:
                model = self._parked_model()
                size = model.size or (4.0, 1.8, 1.5)
                middle = s + size[0] / 2 + 0.6
                t = side * (style.half - style.parking / 2 + float(rng.uniform(-0.06, 0.12)))
                x, y, heading = self.roads.at(middle, t)
                clear_of_mouths = all(
                    abs(middle - road.s) > road.half + FILLET + 4.5 + size[0] / 2
                    for road in self.roads.sides
                    if (road.left and road.right) or (road.left if side > 0 else road.right)
                )
                if clear_of_mouths and rng.random() < style.parked:
                    facing = float(heading) + (np.pi if side > 0 else 0.0) + float(rng.normal(0, 0.015))
                    self.add(model, Standing(self.roads, float(x), float(y), facing), "parked", clear=0.1)
                s = max(s + 6.2, middle + size[0] / 2 + 0.5)

    def _parked_model(self) -> Model:
        chance = self.rng.random()
        if chance < 0.3 * self.style.lorries:
            return lorries.truck(self.rng)
        if chance < 0.42 * self.style.lorries:
            return lorries.car_trailer(self.rng)
        if chance < 0.55 * self.style.lorries and self.style.lorries > 0.4:
            return lorries.semi_trailer(self.rng)
        if chance > 0.95:
            return cycles.motorcycle(self.rng, rider=False)
        return vehicles.car(self.rng)

    def _sidewalks(self) -> None:
        rng, style = self.rng, self.style
        low = style.walk_from + (1.3 if style.verge < 0.5 else 0.35)
        high = style.walk_to - 0.45
        tracks = np.linspace(low, max(high, low + 0.3), 4)
        for side in (1.0, -1.0):
            for k, t in enumerate(tracks):
                direction = 1.0 if (k % 2 == 0) == (side > 0) else -1.0
                pace = steady(float(rng.uniform(1.1, 1.55)), self.drive.seconds)
                s = EGO_START - 40.0 + float(rng.uniform(0, 12))
                while s < EGO_START + 190:
                    s += float(rng.exponential(4 * 100.0 / max(style.people, 0.5))) + 1.5
                    worker = style.works and rng.random() < 0.2
                    standing = rng.random() < 0.14
                    if standing:
                        x, y, heading = self.roads.at(s, side * t)
                        motion: Motion = Standing(
                            self.roads, float(x), float(y), float(rng.uniform(0, 2 * np.pi)), True
                        )
                        self.add(people.pedestrian(rng, walking=False, worker=worker), motion, "standing")
                        continue
                    motion = AlongMain(self.roads, s, side * float(t), direction, pace, upright=True)
                    model = people.pedestrian(rng, child=bool(rng.random() < 0.1), worker=worker)
                    self.add(model, motion, "standing", clear=0.2)
            for _ in range(3):
                s = EGO_START + float(rng.uniform(-20, 130))
                x, y, heading = self.roads.at(s, side * (style.walk_to - 0.35))
                bike = Standing(self.roads, float(x), float(y), float(heading) + 0.2)
                self.add(cycles.bicycle(rng, rider=False), bike)

    def _works(self) -> None:
        # The outer lane ahead of the ego car is closed: a taper of cones, barriers, a loader, workers, a parked truck.
        rng, style = self.rng, self.style
        begin = EGO_START + 32.0
        inner, outer = style.lane_centre(style.lanes - 1) - style.lane / 2 + 0.3, style.half - 0.3
        for k in range(9):
            t = outer + (inner - outer) * k / 8
            self._put(furniture.cone(), begin - 22 + 2.6 * k, -t)
        length = self.drive.seconds * style.speed + 30
        for s in np.arange(begin, begin + length, 2.4):
            if self.roads.near_side(s, 1.0):
                continue
            if (s // 24) % 2 < 1:
                self._put(furniture.barrier(rng), float(s), -inner - 0.05, turn=np.pi / 2)
            else:
                self._put(furniture.cone(), float(s), -inner)
        centre = -(inner + outer) / 2 - 0.35
        for k, s in enumerate(np.arange(begin + 8, begin + length, 19.0)):
            if self.roads.near_side(s, 4.0):
                continue
            model = (lorries.loader, lorries.truck, lorries.car_trailer)[k % 3](rng)
            self._put(model, float(s), centre, attribute="parked" if k % 3 else "stopped")
            for _ in range(2):
                x, y, _h = self.roads.at(s + rng.uniform(5, 11), centre + rng.uniform(-0.8, 0.8))
                worker = people.pedestrian(rng, walking=False, worker=True)
                self.add(worker, Standing(self.roads, float(x), float(y), float(rng.uniform(0, 6)), True), "standing")

    def _put(self, model: Model, s: float, t: float, turn: float = 0.0, attribute: str = "") -> None:
        x, y, heading = self.roads.at(s, t)
        self.add(model, Standing(self.roads, float(x), float(y), float(heading) + turn), attribute, clear=0.05)

    def _signals(self) -> None:
        # Signals where roads cross, stop signs where a side road ends on the main one.
        style = self.style
        green = 0 if self.drive.stop is not None else 2
        for side in self.roads.sides:
            if not (side.left and side.right):
                way = 1.0 if side.left else -1.0
                x, y, heading = self.roads.side_at(
                    side, way * (self.roads.half + FILLET + 1.5), way * (side.half + 0.7)
                )
                self.site.plant(furniture.sign_post(atlas.STOP), MANMADE, x, y, heading + (np.pi if way > 0 else 0.0))
                continue
            crosswise = 2 if green == 0 else 0
            for way in (1.0, -1.0):
                s = side.s - way * (side.half + FILLET + 4.0)
                arm = style.half - style.lane_centre(0)
                self.site.beside(
                    furniture.signal(green, arm=arm), MANMADE, s, -way * (style.half + 0.5), 0.0 if way > 0 else np.pi
                )
                self.site.beside(
                    furniture.signal(green),
                    MANMADE,
                    side.s + way * (side.half + FILLET + 4.0),
                    -way * (style.half + 0.5),
                    0.0 if way > 0 else np.pi,
                )
                x, y, heading = self.roads.side_at(
                    side, way * (self.roads.half + FILLET + 1.8), way * (side.half + 0.6)
                )
                self.site.plant(furniture.signal(crosswise), MANMADE, x, y, heading + (np.pi if way > 0 else 0.0))


def _later(pace: Pace, begin: float) -> Pace:
    return Pace(pace.seconds + begin, np.maximum(pace.metres - np.interp(0.0, pace.seconds, pace.metres), 0.0))


def _meet(path: Doubles, half: tuple[float, float], other: Doubles, reach: tuple[float, float]) -> bool:
    # Whether two rectangles on their paths (T,3) x, y, heading overlap at any time: the separating axes of both.
    far = np.hypot(*half) + np.hypot(*reach)
    apart = other[:, :2] - path[:, :2]
    close: Bools = (apart**2).sum(axis=1) < far * far
    if not close.any():
        return False
    apart, a, b = apart[close], path[close, 2], other[close, 2]
    overlap = np.ones(len(apart), dtype=np.bool_)
    c, k = np.abs(np.cos(a - b)), np.abs(np.sin(a - b))
    for heading, own, its in ((a, half, reach), (b, reach, half)):
        along = np.abs(apart[:, 0] * np.cos(heading) + apart[:, 1] * np.sin(heading))
        across = np.abs(-apart[:, 0] * np.sin(heading) + apart[:, 1] * np.cos(heading))
        overlap &= along < own[0] + its[0] * c + its[1] * k
        overlap &= across < own[1] + its[0] * k + its[1] * c
    return bool(overlap.any())


BLACK: Colour = (0.02, 0.02, 0.022)
