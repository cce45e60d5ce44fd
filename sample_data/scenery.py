"""What stands along the road: houses on their lots, gardens, trees, furniture, the horizon."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sample_data import atlas, buildings, furniture, plants
from sample_data.ground_texture import LOT_GRASS, LOT_PAVING, LOT_YARD
from sample_data.meshes import Colour, Mesh, turn_z
from sample_data.models import Model
from sample_data.roads import FILLET, Roads, SideRoad
from sample_data.site import Site
from sample_data.styles import PARK, Style
from xmodal_core.types import Doubles

MANMADE, VEGETATION, OTHER = "static.manmade", "static.vegetation", "static.other"
_BEYOND = 70.0  # metres of street furnished beyond both ends of the main road's stretch


def furnish(site: Site, near: tuple[float, float], seed_rng: np.random.Generator) -> Doubles:
    """Put up everything that stands; gives the (L,4) lots for ``ground_texture.paint``.

    Args:
        near: from and to which s the ego car drives: things far from there are made simpler.
    """
    rng = seed_rng
    lots: list[tuple[float, float, float, float]] = []
    trees = _Trees(site, rng, near)
    for side in (1, -1):
        for start, end in _frontage(site.roads, side):
            lots += _row_of_lots(site, trees, rng, side, start, end)
        _street_trees(site, trees, rng, side)
        _street_furniture(site, rng, side)
    for road in site.roads.sides:
        _side_street(site, trees, rng, road)
    _median(site, trees, rng)
    _horizon(site, rng)
    return np.array(lots, dtype=np.float64).reshape(-1, 4)


class _Trees:
    """A few trees of one scene, planted again and again, turned and scaled."""

    def __init__(self, site: Site, rng: np.random.Generator, near: tuple[float, float]) -> None:
        self._site, self._rng, self._near = site, rng, near
        self._fine = [plants.tree(rng, leaves=5200) for _ in range(8)]
        self._street = [plants.street_tree(rng, leaves=5200) for _ in range(6)]
        self._plain = [plants.tree(rng, leaves=500) for _ in range(5)]
        self._bushes = [plants.bush(rng, 1.0) for _ in range(6)]

    def plant(self, x: float, y: float, scale: float = 1.0) -> None:
        if float(self._site.roads.outside(x, y)) < 0.45:
            return
        s, t = self._site.roads.coordinates(x, y)
        close = self._near[0] - 35 < float(s) < self._near[1] + 60 and abs(float(t)) < 32
        kind = self._fine if close else self._plain
        self._put(kind, x, y, scale * float(self._rng.uniform(0.85, 1.15)))

    def line(self, x: float, y: float) -> None:
        """A tree at the kerb."""
        self._put(self._street, x, y, float(self._rng.uniform(0.94, 1.08)))

    def _put(self, kind: list[Mesh], x: float, y: float, scale: float) -> None:
        mesh = _scaled(kind[int(self._rng.integers(len(kind)))], scale)
        self._site.plant(mesh, VEGETATION, x, y, float(self._rng.uniform(0, 2 * np.pi)))

    def bush(self, x: float, y: float, size: float) -> None:
        mesh = _scaled(self._bushes[int(self._rng.integers(len(self._bushes)))], size)
        self._site.plant(mesh, VEGETATION, x, y, float(self._rng.uniform(0, 2 * np.pi)))


def _scaled(mesh: Mesh, scale: float) -> Mesh:
    from dataclasses import replace

    return replace(mesh, corners=mesh.corners * np.float32(scale))


def _frontage(roads: Roads, side: int) -> Iterator[tuple[float, float]]:
    # Stretches of one side of the main road between the mouths of side roads.
    start = -_BEYOND
    for road in roads.sides:
        if not (road.left if side > 0 else road.right):
            continue
        reach = road.half + 0.2 + roads.style.sidewalk + min(roads.style.verge, 0.5)
        yield start, road.s - reach
        start = road.s + reach
    yield start, roads.length + _BEYOND


def _row_of_lots(
    site: Site, trees: _Trees, rng: np.random.Generator, side: int, start: float, end: float
) -> list[tuple[float, float, float, float]]:
    style = site.roads.style
    lots: list[tuple[float, float, float, float]] = []
    s = start
    while s < end - 3.0:
        width = min(float(rng.uniform(*_lot_width(style))), end - s)
        if end - s - width < 8.0:
            width = end - s
        lots.append(_lot(site, trees, rng, side, s, width))
        s += width
    return lots


def _lot_width(style: Style) -> tuple[float, float]:
    if style.storeys[1] <= 2:
        return 14.0, 20.0
    return (30.0, 46.0) if style.setback >= 9 else (16.0, 28.0)


def _lot(
    site: Site, trees: _Trees, rng: np.random.Generator, side: int, s: float, width: float
) -> tuple[float, float, float, float]:
    style = site.roads.style
    if style is PARK and side > 0:
        _park(site, trees, rng, side, s, width)
        return s, s + width, side, LOT_GRASS
    if width < 11 or rng.random() < style.gap:
        _garden(site, trees, rng, side, s, width)
        return s, s + width, side, LOT_GRASS
    if style.storeys[1] <= 2:
        return _cottage_lot(site, trees, rng, side, s, width)
    if style.setback >= 9:
        return _hall_lot(site, trees, rng, side, s, width)
    shop = rng.random() < style.shops
    house = buildings.block(
        rng,
        width - (0.0 if style.setback < 1 else 3.0),
        float(rng.uniform(11, 15)),
        int(rng.integers(style.storeys[0], style.storeys[1] + 1)),
        shop=shop,
    )
    inset = 0.0 if style.setback < 1 else 1.5
    _front(site, house, side, s + inset, width - 2 * inset, style.walk_to + style.setback)
    if style.setback > 2 and not shop:
        _planted_strip(site, trees, rng, side, s, width)
        return s, s + width, side, LOT_GRASS
    return s, s + width, side, LOT_PAVING


def _front(site: Site, house: Model, side: int, s: float, width: float, distance: float) -> None:
    # A house whose front, straight beside a road that bends, is nowhere nearer to its centre line than `distance`.
    corner = s if side > 0 else s + width
    x, y, _ = site.roads.at(corner, side * distance)
    heading = float(site.roads.at(s + width / 2)[2]) + (0.0 if side > 0 else np.pi)
    ahead, back = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    front = np.array([x, y]) + np.linspace(0.0, width, 9)[:, None] * ahead
    _, t = site.roads.coordinates(*front.T)
    x, y = np.array([x, y]) + max(distance - float((side * t).min()), 0.0) * back
    site.stand(house, float(x), float(y), heading, upright=True)


def _cottage_lot(
    site: Site, trees: _Trees, rng: np.random.Generator, side: int, s: float, width: float
) -> tuple[float, float, float, float]:
    style = site.roads.style
    drive = 3.2
    wide = min(width - drive - 2.5, 12.0)
    house = buildings.cottage(
        rng, wide, float(rng.uniform(8, 10)), int(rng.integers(style.storeys[0], style.storeys[1] + 1))
    )
    back = style.walk_to + style.setback + float(rng.uniform(0, 1.5))
    _front(site, house, side, s + drive + 1.2, wide, back)
    edge = style.walk_to + 0.45
    front = width - drive - 0.6
    begin = s + drive + 0.3
    choice = rng.random()
    piece: Mesh
    if choice < 0.45:
        piece = plants.hedge(rng, front, float(rng.uniform(0.8, 1.4)))
        category = VEGETATION
    elif choice < 0.75:
        white: Colour = (0.62, 0.61, 0.57) if rng.random() < 0.6 else (0.25, 0.15, 0.08)
        piece, category = furniture.fence(front, white, picket=True), MANMADE
    else:
        piece, category = furniture.wall(front, float(rng.uniform(0.6, 1.0)), (0.4, 0.24, 0.17)), MANMADE
    _along(site, piece, category, side, begin, front, edge)
    for _ in range(int(rng.integers(2, 5))):
        x, y, _h = site.roads.at(
            begin + rng.uniform(1, front - 1), side * (edge + rng.uniform(0.9, style.setback - 0.6))
        )
        trees.bush(float(x), float(y), float(rng.uniform(0.6, 1.3)))
    if rng.random() < 0.55:
        x, y, _h = site.roads.at(begin + rng.uniform(1, front - 1), side * (edge + style.setback * 0.45))
        trees.plant(float(x), float(y), 0.62)
    for _ in range(2):
        x, y, _h = site.roads.at(s + rng.uniform(0, width), side * (back + rng.uniform(13, 24)))
        trees.plant(float(x), float(y), 1.0)
    if rng.random() < 0.4:
        shade: Colour = ((0.05, 0.16, 0.07), (0.04, 0.07, 0.2), (0.06, 0.06, 0.065))[int(rng.integers(3))]
        site.beside(furniture.wheelie_bin(shade), OTHER, s + 0.5, side * (style.walk_to + 0.4))
    return s + 0.3, s + drive, side, LOT_YARD


def _along(site: Site, mesh: Mesh, category: str, side: int, s: float, length: float, t: float) -> None:
    # A long thing beside the road, its outer face towards the road, leaning with the slope so as to meet the ground.
    corner = s if side > 0 else s + length
    x, y, _ = site.roads.at(corner, side * t)
    heading = float(site.roads.at(s + length / 2, 0.0)[2]) + (0.0 if side > 0 else np.pi)
    site.stand(Model(category, (mesh,)), float(x), float(y), heading)


def _hall_lot(
    site: Site, trees: _Trees, rng: np.random.Generator, side: int, s: float, width: float
) -> tuple[float, float, float, float]:
    style = site.roads.style
    hall = buildings.hall(rng, width - 6, float(rng.uniform(18, 28)))
    _front(site, hall, side, s + 3, width - 6, style.walk_to + style.setback)
    if rng.random() < 0.6:
        grey: Colour = (0.12, 0.16, 0.13)
        _along(
            site, furniture.fence(width - 12, grey, picket=False), MANMADE, side, s + 1, width - 12, style.walk_to + 0.4
        )
    else:
        for _ in range(4):
            x, y, _h = site.roads.at(s + rng.uniform(1, width - 1), side * (style.walk_to + 1.2))
            trees.bush(float(x), float(y), float(rng.uniform(0.7, 1.2)))
    return s, s + width, side, LOT_YARD


def _planted_strip(site: Site, trees: _Trees, rng: np.random.Generator, side: int, s: float, width: float) -> None:
    style = site.roads.style
    if rng.random() < 0.5:
        _along(
            site,
            plants.hedge(rng, width - 3, float(rng.uniform(0.7, 1.1))),
            VEGETATION,
            side,
            s + 1.5,
            width - 3,
            style.walk_to + 0.5,
        )
    for _ in range(int(rng.integers(2, 6))):
        x, y, _h = site.roads.at(
            s + rng.uniform(1, width - 1), side * (style.walk_to + rng.uniform(1.2, style.setback - 0.5))
        )
        trees.bush(float(x), float(y), float(rng.uniform(0.6, 1.2)))


def _garden(site: Site, trees: _Trees, rng: np.random.Generator, side: int, s: float, width: float) -> None:
    style = site.roads.style
    for _ in range(int(width / 3.5)):
        x, y, _h = site.roads.at(s + rng.uniform(1.5, width - 1.5), side * (style.walk_to + rng.uniform(3, 22)))
        trees.plant(float(x), float(y), 1.05)
    for _ in range(int(width / 2.5)):
        x, y, _h = site.roads.at(s + rng.uniform(1, width - 1), side * (style.walk_to + rng.uniform(1, 12)))
        trees.bush(float(x), float(y), float(rng.uniform(0.6, 1.6)))
    if rng.random() < 0.7:
        site.beside(furniture.bench(), OTHER, s + width / 2, side * (style.walk_to + 0.6), 0.0 if side > 0 else np.pi)


def _park(site: Site, trees: _Trees, rng: np.random.Generator, side: int, s: float, width: float) -> None:
    style = site.roads.style
    for _ in range(int(width / 6)):
        x, y, _h = site.roads.at(s + rng.uniform(0, width), side * (style.walk_to + rng.uniform(6, 60)))
        trees.plant(float(x), float(y), 1.15)
    for _ in range(int(width / 5)):
        x, y, _h = site.roads.at(s + rng.uniform(0, width), side * (style.walk_to + rng.uniform(2, 30)))
        trees.bush(float(x), float(y), float(rng.uniform(0.7, 1.8)))
    if rng.random() < 0.6:
        site.beside(furniture.bench(), OTHER, s + width / 2, side * (style.walk_to + 0.7), 0.0)


def _free(roads: Roads, s: float, side: int, margin: float) -> bool:
    for road in roads.sides:
        opens = road.left if side > 0 else road.right
        if opens and abs(s - road.s) < road.half + margin:
            return False
    return True


def _street_trees(site: Site, trees: _Trees, rng: np.random.Generator, side: int) -> None:
    style = site.roads.style
    if style.trees <= 0:
        return
    t = site.roads.half + 0.18 + (style.verge / 2 if style.verge > 0.5 else 0.75)
    for s in np.arange(-_BEYOND, site.roads.length + _BEYOND, style.trees):
        place = float(s + rng.uniform(-1.5, 1.5))
        if _free(site.roads, place, side, FILLET + 8.0) and rng.random() < 0.88:
            x, y, _ = site.roads.at(place, side * t)
            trees.line(float(x), float(y))


def _street_furniture(site: Site, rng: np.random.Generator, side: int) -> None:
    style, roads = site.roads.style, site.roads
    kerb = roads.half + 0.6
    inward = -np.pi / 2 if side > 0 else np.pi / 2
    for s in np.arange(-_BEYOND + 9.0, roads.length + _BEYOND, 27.0):
        if _free(roads, float(s), side, FILLET + 2.5):
            site.beside(furniture.lamp_post(), MANMADE, float(s), side * kerb, inward)
    facing = 0.0 if side < 0 else np.pi  # signs face the traffic that keeps to this side
    choices = [atlas.SPEED_50 if style.lanes > 1 else atlas.SPEED_30, atlas.PARKING, atlas.BEND, atlas.CYCLES]
    for s in np.arange(-30.0 + (11 if side > 0 else 0), roads.length, 38.0):
        place = float(s + rng.uniform(-4, 4))
        if _free(roads, place, side, FILLET + 6):
            number = atlas.WORKS if style.works and rng.random() < 0.5 else choices[int(rng.integers(len(choices)))]
            site.beside(furniture.sign_post(number), MANMADE, place, side * kerb, facing)
    for s in np.arange(-30.0, roads.length + 30, 19.0):
        place = float(s + rng.uniform(-6, 6))
        if not _free(roads, place, side, FILLET + 5):
            continue
        kind = rng.random()
        if kind < 0.22:
            site.beside(furniture.bin_((0.04, 0.12, 0.07)), OTHER, place, side * (kerb + 0.1))
        elif kind < 0.32:
            site.beside(furniture.hydrant(), MANMADE, place, side * (kerb + 0.1))
        elif kind < 0.45 and style.sidewalk > 2.5:
            site.beside(furniture.bench(), OTHER, place, side * (style.walk_to - 0.4), 0.0 if side > 0 else np.pi)
    if style.lanes > 1 or style is PARK:
        place = 0.42 * roads.length + side * 16.0
        if _free(roads, place, side, FILLET + 9):
            line, poster = int(rng.integers(3)), atlas.FIRST_POSTER + int(rng.integers(3))
            site.beside(
                furniture.shelter(line, poster),
                MANMADE,
                place,
                side * (style.walk_to - 1.0),
                0.0 if side > 0 else np.pi,
            )


def _side_street(site: Site, trees: _Trees, rng: np.random.Generator, road: SideRoad) -> None:
    style, roads = site.roads.style, site.roads
    for way in (1, -1):
        if not (road.left if way > 0 else road.right):
            continue
        edge = road.half + 0.4 + style.sidewalk + max(style.setback * 0.4, 0.3)
        for flank in (1, -1):
            along = roads.half + style.verge + style.sidewalk + style.setback + 20.0
            while along < 105:
                width = float(rng.uniform(14, 22))
                if rng.random() > style.gap:
                    _flank_house(site, rng, road, way, flank, along, width, edge)
                else:
                    for _ in range(3):
                        x, y, _h = roads.side_at(
                            road, way * (along + rng.uniform(0, width)), flank * (edge + rng.uniform(1, 12))
                        )
                        trees.plant(x, y, 1.0)
                along += width
            for place in np.arange(roads.half + 24.0, 100, 15.0):
                x, y, _h = roads.side_at(road, way * float(place), flank * (road.half + 1.0))
                trees.line(x, y)


def _flank_house(
    site: Site, rng: np.random.Generator, road: SideRoad, way: int, flank: int, along: float, width: float, edge: float
) -> None:
    style = site.roads.style
    if style.storeys[1] <= 2:
        house = buildings.cottage(
            rng, width - 4, float(rng.uniform(8, 10)), int(rng.integers(style.storeys[0], style.storeys[1] + 1))
        )
    elif style.setback >= 9:
        house = buildings.hall(rng, width, 16.0)
    else:
        house = buildings.block(
            rng, width - 0.5, 12.0, int(rng.integers(style.storeys[0], style.storeys[1] + 1)), shop=False
        )
    # The front left corner seen from the side road: nearer or further along it, by the flank.
    low, high = min(way * along, way * (along + width)), max(way * along, way * (along + width))
    corner = low if flank > 0 else high
    x, y, heading = site.roads.side_at(road, corner, flank * edge)
    site.stand(house, x, y, heading + (0.0 if flank > 0 else np.pi), upright=True)


def _median(site: Site, trees: _Trees, rng: np.random.Generator) -> None:
    wide = site.roads.style.median
    if wide <= 1:
        return
    for s in np.arange(-_BEYOND, site.roads.length + _BEYOND, 12.0):
        if site.roads.near_side(s, margin=FILLET + 8.0):
            continue
        x, y, heading = site.roads.at(s, 0.0)
        mesh = plants.street_tree(rng, leaves=2600)
        site.stand(Model(VEGETATION, (mesh.shifted(0, 0, 0.17),)), float(x), float(y), float(heading), upright=True)
        for k in (3.0, 6.0, 9.0):
            bx, by, _ = site.roads.at(s + k, rng.uniform(-0.5, 0.5))
            if not site.roads.near_side(s + k, margin=FILLET + 6.5):
                site.stand(
                    Model(VEGETATION, (plants.bush(rng, float(rng.uniform(0.7, 1.1)), 90).shifted(0, 0, 0.17),)),
                    float(bx),
                    float(by),
                    0.0,
                    upright=True,
                )


def _horizon(site: Site, rng: np.random.Generator) -> None:
    length = site.roads.length
    for y, turn in ((165.0, 0.0), (-165.0, np.pi)):
        row = buildings.distant_row(rng, length + 560).moved(turn_z(turn))
        x = -280.0 if turn == 0.0 else length + 280.0
        site.plant(row, MANMADE, x, y, 0.0)
    for x, turn in ((length + 250.0, -np.pi / 2), (-250.0, np.pi / 2)):
        row = buildings.distant_row(rng, 420.0).moved(turn_z(turn))
        site.plant(row, MANMADE, x, 210.0 if turn < 0 else -210.0, 0.0)
