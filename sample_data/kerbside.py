"""What stands in the road or at its edge: parked vehicles, road works, signals and stop signs."""

from __future__ import annotations

from functools import partial

import numpy as np

from sample_data import atlas, cycles, furniture, lorries, people, vehicles
from sample_data.models import Model
from sample_data.motion import Standing
from sample_data.roads import FILLET, SideRoad
from sample_data.scenery import MANMADE
from sample_data.site import Site
from sample_data.traffic import EGO_START, Plan, Traffic, plan_size

_RED, _GREEN = 0, 2


def fill_parking(traffic: Traffic) -> None:
    """Vehicles on the parking strips, nose in the direction of travel, none near a junction."""
    style, rng, roads = traffic.style, traffic.rng, traffic.roads
    if style.parking <= 0:
        return
    for side in (1.0, -1.0):
        s = 0.0
        while s < roads.length:
            waits = traffic.drive.stop is not None and abs(s - traffic.drive.stop) < 16.0
            model = vehicles.car(rng) if waits else _parked_model(traffic)  # the waiting ego car is to see the street
            length = plan_size(model)[0]
            middle = s + length / 2 + 0.6
            if _parking_allowed(traffic, side, middle, length) and rng.random() < style.parked:
                x, y, heading = roads.at(middle, side * (style.parking_centre + float(rng.uniform(-0.06, 0.12))))
                facing = float(heading) + (np.pi if side > 0 else 0.0) + float(rng.normal(0, 0.015))
                traffic.put(model, Standing(roads, float(x), float(y), facing), "parked", clear=0.1)
            s = max(s + 6.2, middle + length / 2 + 0.5)


def _parking_allowed(traffic: Traffic, side: float, s: float, length: float) -> bool:
    return all(
        abs(s - road.s) > road.half + FILLET + 4.5 + length / 2
        for road in traffic.roads.sides
        if (road.left and road.right) or (road.left if side > 0 else road.right)
    )


def _parked_model(traffic: Traffic) -> Model:
    rng, share = traffic.rng, traffic.style.lorries
    chance = rng.random()
    if chance < 0.3 * share:
        return lorries.truck(rng)
    if chance < 0.42 * share:
        return lorries.car_trailer(rng)
    if chance < 0.55 * share and share > 0.4:
        return lorries.semi_trailer(rng)
    if chance > 0.95:
        return cycles.motorcycle(rng, rider=False)
    return vehicles.car(rng)


def fill_works(traffic: Traffic) -> None:
    """The outer lane ahead of the ego car closed: a taper of cones, barriers, machines and workers behind them."""
    rng, style, roads = traffic.rng, traffic.style, traffic.roads
    if not style.works:
        return
    begin = EGO_START + 32.0
    inner, outer = style.lane_centre(style.lanes - 1) - style.lane / 2 + 0.3, style.half - 0.3
    for k in range(9):
        traffic.put_at(furniture.cone(), begin - 22 + 2.6 * k, -(outer + (inner - outer) * k / 8))
    length = traffic.drive.seconds * style.speed + 30
    for s in np.arange(begin, begin + length, 2.4):
        if roads.near_side(s, 1.0):
            continue
        if (s // 24) % 2 < 1:
            traffic.put_at(furniture.barrier(rng), float(s), -inner - 0.05, turn=np.pi / 2)
        else:
            traffic.put_at(furniture.cone(), float(s), -inner)
    centre = -(inner + outer) / 2 - 0.35
    for k, s in enumerate(np.arange(begin + 8, begin + length, 19.0)):
        if not roads.near_side(s, 4.0):
            model = (lorries.loader, lorries.truck, lorries.car_trailer)[k % 3](rng)
            traffic.put_at(model, float(s), centre, attribute="parked" if k % 3 else "stopped")
            _workers(traffic, float(s), centre)


def fill_dig(traffic: Traffic) -> None:
    """A hole in the parking strip, fenced off with people at work in it; their loader stands on the grass opposite."""
    rng, style, roads = traffic.rng, traffic.style, traffic.roads
    if not style.dig:
        return
    length = 12.0
    free = [
        s
        for s in np.arange(EGO_START + 14.0, EGO_START + 130.0, 2.0)
        if not roads.near_side(np.linspace(s, s + length, 7), FILLET + 5.0).any()
    ]
    begin = float(free[0])
    centre, edge = -style.parking_centre, -(style.half - style.parking + 0.3)
    for s in (begin, begin + length):
        traffic.put_at(furniture.barrier(rng), s, centre)
    for s in np.arange(begin + 1.2, begin + length - 0.6, 2.0):
        traffic.put_at(furniture.cone(), float(s), edge)
    _workers(traffic, begin - 3.0, centre)
    for s in np.arange(begin, begin + 60.0, 2.0):
        if traffic.put_at(lorries.loader(rng), float(s), style.walk_to + 4.0, turn=2.6, attribute="parked"):
            break


def _workers(traffic: Traffic, s: float, t: float) -> None:
    rng = traffic.rng
    for _ in range(2):
        place = s + float(rng.uniform(5, 11))
        if traffic.roads.near_side(place, 1.0):
            continue
        x, y, _h = traffic.roads.at(place, t + float(rng.uniform(-0.8, 0.8)))
        motion = Standing(traffic.roads, float(x), float(y), float(rng.uniform(0, 6)), True)
        traffic.add(partial(people.pedestrian, rng, walking=False, worker=True), (0.6, 0.65), motion, "standing")


def put_signals(site: Site, drive: Plan) -> None:
    """Signals where roads cross, a stop sign where a side road ends on the main one."""
    for side in site.roads.sides:
        if side.left and side.right:
            _signals(site, side, waits=side is drive.red)
        else:
            _stop_sign(site, side)


def _signals(site: Site, side: SideRoad, *, waits: bool) -> None:
    style, roads = site.roads.style, site.roads
    main, cross = (_RED, _GREEN) if waits else (_GREEN, _RED)
    arm = style.half - style.lane_centre(0)
    for way in (1.0, -1.0):
        turn = 0.0 if way > 0 else np.pi
        before = side.s - way * (side.half + FILLET + 4.0)
        beyond = side.s + way * (side.half + FILLET + 4.0)
        site.beside(furniture.signal(main, arm=arm), MANMADE, before, -way * (style.half + 0.5), turn)
        site.beside(furniture.signal(main), MANMADE, beyond, -way * (style.half + 0.5), turn)
        x, y, heading = roads.side_at(side, way * (roads.half + FILLET + 1.8), way * (side.half + 0.6))
        site.plant(furniture.signal(cross), MANMADE, x, y, heading + (np.pi if way > 0 else 0.0))


def _stop_sign(site: Site, side: SideRoad) -> None:
    way = 1.0 if side.left else -1.0
    x, y, heading = site.roads.side_at(side, way * (site.roads.half + FILLET + 1.5), way * (side.half + 0.7))
    sign = furniture.sign_post(atlas.STOP)
    site.plant(sign, MANMADE, x, y, heading + (np.pi if way > 0 else 0.0))
