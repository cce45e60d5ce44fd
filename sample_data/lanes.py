"""Vehicles under way: in the main road's lanes, waiting at its red light, on side roads, on two wheels."""

from __future__ import annotations

from functools import partial

import numpy as np

from sample_data import cycles, lorries, vehicles
from sample_data.models import Model
from sample_data.motion import AlongMain, AlongSide, Pace, Standing, steady, stopping
from sample_data.roads import FILLET, SideRoad
from sample_data.traffic import EGO_START, Plan, Traffic, plan_size


def fill_lanes(traffic: Traffic) -> None:
    """Vehicles in every lane of the main road, the ones nearest to the ego car first."""
    style = traffic.style
    for direction in (1.0, -1.0):
        for lane in range(style.lanes):
            closed = style.works and direction > 0 and lane == style.lanes - 1
            if not closed:
                _lane(traffic, direction, lane)


def fill_side_roads(traffic: Traffic) -> None:
    """On each side road vehicles wait at the line or drive away; across the ego car's red light they pass through."""
    for side in traffic.roads.sides:
        if side is traffic.drive.red:
            _cross(traffic, side)
            continue
        for way in (1.0, -1.0):
            if side.left if way > 0 else side.right:
                _wait_at_line(traffic, side, way)
                _drive_away(traffic, side, way)
                _park_beside(traffic, side, way)


def fill_cycle_lanes(traffic: Traffic) -> None:
    """Cyclists on the cycle lanes, or beside the parked cars where there are none; they wait at the red light too."""
    rng, style, drive = traffic.rng, traffic.style, traffic.drive
    offset = style.cycle_centre if style.cycle > 0 else style.half - style.parking - 0.55
    for direction in (1.0, -1.0):
        speed = float(rng.uniform(4.0, 5.2))
        flowing = steady(speed, drive.seconds)
        places = np.cumsum(rng.uniform(14, 45, 8)) + EGO_START - float(rng.uniform(20, 60))
        waiting = 0
        for s in places if direction < 0 else places[::-1]:  # the first in line first
            line = _stop_line(drive, direction)
            ahead = (line - s) * direction - 1.2 - 2.4 * waiting if line is not None else 0.0
            pace = flowing
            if ahead > 2.0:
                pace, waiting = stopping(speed, drive.seconds, ahead, 2.0, drive.seconds + 60), waiting + 1
            motion = AlongMain(traffic.roads, float(s), -direction * offset, direction, pace)
            traffic.add(partial(cycles.bicycle, rng, rider=True), (1.85, 0.75), motion, clear=0.4)


def vehicle(traffic: Traffic, lorries_share: float) -> Model:
    """Some vehicle under way."""
    rng = traffic.rng
    chance = rng.random()
    if chance < lorries_share * 0.42:
        return lorries.truck(rng)
    if chance < lorries_share * 0.75:
        return lorries.bus(rng)
    if chance < lorries_share * 0.75 + 0.07:
        return cycles.motorcycle(rng, rider=True)
    return vehicles.car(rng, taxi=bool(rng.random() < 0.07))


def _lane(traffic: Traffic, direction: float, lane: int) -> None:
    rng, style, drive = traffic.rng, traffic.style, traffic.drive
    t = -direction * style.lane_centre(lane)
    own = direction > 0 and abs(t - drive.ego.aside) < 0.1
    speed = style.speed * (1.0 if own else float(rng.uniform(0.85, 1.15)))
    flowing = drive.ego.pace if own and drive.stop is None else steady(speed, drive.seconds, 0.08, rng.uniform(0, 6))
    waiting = 0
    for s in sorted(_places(traffic, own), key=lambda place: abs(place - EGO_START)):
        pace, beside = flowing, False
        if drive.stop is not None:
            if own and EGO_START < s < drive.stop:
                continue  # the ego car is to be the first at the line
            halted = _halted(traffic, direction, s, own, waiting)
            if halted is not None:
                beside = direction > 0 and waiting < 2
                pace, waiting = halted, waiting + 1
        _send(traffic, direction, t, s, pace, beside)


def _places(traffic: Traffic, own: bool) -> list[float]:
    # Where vehicles of a lane are at the beginning: over all of the road, clear of the ego car in its own lane.
    rng, gap = traffic.rng, traffic.style.traffic
    places = []
    s = EGO_START + 12.0 if own else float(rng.uniform(-20, 0))
    while s < traffic.roads.length + 40:
        s += float(rng.uniform(0.6, 1.4)) * gap
        places.append(s)
    s = EGO_START - 1.0
    while own and s > -10:
        s -= float(rng.uniform(0.6, 1.4)) * gap
        places.append(s)
    return places


def _halted(traffic: Traffic, direction: float, s: float, own: bool, number: int) -> Pace | None:
    # The pace of a vehicle that has to wait at the red light behind `number` others; None for one already past it.
    drive = traffic.drive
    line = _stop_line(drive, direction)
    if line is None:
        return None
    ahead = (line - s) * direction
    if ahead < 4.0:
        return None
    if own:
        spare = max(EGO_START - s - 9.0 - 3.0 * number, 0.0)
        way = float(drive.ego.pace.at(drive.seconds)) + 0.6 * spare
    else:
        way = ahead - 3.0 - 9.5 * number
    if way < 1.0:
        return steady(0.0, drive.seconds)
    return stopping(traffic.style.speed, drive.seconds, way, 4.0, drive.seconds + 60)


def _stop_line(drive: Plan, direction: float) -> float | None:
    # Where on the main road (s) noses wait at the red light; None where it is green.
    if drive.stop is None or drive.red is None:
        return None
    return drive.stop if direction > 0 else 2 * drive.red.s - drive.stop


def _send(traffic: Traffic, direction: float, t: float, s: float, pace: Pace, beside: bool) -> None:
    # `beside`: it will wait beside the ego car, which is to look over it.
    rng, style = traffic.rng, traffic.style
    if not beside and rng.random() < 0.22 * style.lorries + 0.02:
        _send_coupled(traffic, direction, t, s, pace)
        return
    model = vehicle(traffic, 0.0 if beside else style.lorries)
    base = 0.6 * plan_size(model)[0]
    motion = AlongMain(traffic.roads, s, t + float(rng.normal(0, 0.08)), direction, pace, base=base)
    traffic.put(model, motion, clear=2.0)


def _send_coupled(traffic: Traffic, direction: float, t: float, s: float, pace: Pace) -> None:
    rng = traffic.rng
    if rng.random() < 0.5 + 0.4 * (traffic.style.lorries > 0.4):
        front, back = lorries.tractor(rng), lorries.semi_trailer(rng)
        gap = plan_size(back)[0] / 2 - 0.5
    else:
        front, back = vehicles.car(rng, kind="suv"), lorries.car_trailer(rng)
        gap = (plan_size(front)[0] + plan_size(back)[0]) / 2 - 0.1
    lead = AlongMain(traffic.roads, s, t, direction, pace, base=3.2)
    follow = AlongMain(traffic.roads, s - direction * gap, t, direction, pace, base=6.0)
    traffic.couple(front, lead, back, follow)


def _wait_at_line(traffic: Traffic, side: SideRoad, way: float) -> None:
    # Up to two vehicles, their noses at the line, coming towards the main road from its left (way 1) or right (-1).
    rng = traffic.rng
    along = traffic.roads.half + FILLET + 2.4
    for _ in range(int(rng.integers(0, 3))):
        model = vehicle(traffic, traffic.style.lorries * 0.6)
        length = plan_size(model)[0]
        x, y, heading = traffic.roads.side_at(side, way * (along + length / 2), way * side.half / 2)
        facing = heading + (np.pi if way > 0 else 0.0)
        traffic.put(model, Standing(traffic.roads, x, y, facing), "stopped", clear=0.5)
        along += length + float(rng.uniform(1.6, 3.0))


def _drive_away(traffic: Traffic, side: SideRoad, way: float) -> None:
    rng = traffic.rng
    pace = steady(float(rng.uniform(5, 8)), traffic.drive.seconds)
    start = traffic.roads.half + 14.0
    while start < 90:
        motion = AlongSide(traffic.roads, way * start, -way * side.half / 2, way, pace, side=side)
        traffic.put(vehicle(traffic, traffic.style.lorries * 0.6), motion, clear=1.0)
        start += float(rng.uniform(16, 34))


def _park_beside(traffic: Traffic, side: SideRoad, way: float) -> None:
    if side.half < 4.4:
        return
    rng = traffic.rng
    for along in np.arange(traffic.roads.half + 26.0, 90.0, 6.4):
        if rng.random() < 0.5 * traffic.style.parked:
            x, y, heading = traffic.roads.side_at(side, way * float(along), side.half - 1.1)
            motion = Standing(traffic.roads, x, y, heading + np.pi)
            traffic.add(partial(vehicles.car, rng), (5.5, 2.15), motion, "parked")


def _cross(traffic: Traffic, side: SideRoad) -> None:
    rng = traffic.rng
    for way in (1.0, -1.0):
        pace = steady(float(rng.uniform(6.0, 7.5)), traffic.drive.seconds)
        start = -way * float(rng.uniform(36, 48))
        while abs(start) < 130:
            motion = AlongSide(traffic.roads, start, -way * side.half / 2, way, pace, side=side)
            traffic.put(vehicle(traffic, traffic.style.lorries), motion, clear=1.5)
            start -= way * float(rng.uniform(12, 22))
