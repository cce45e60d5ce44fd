"""The kinds of street that scenes take turns with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """One kind of street: its widths (metres) and how much of everything stands in it.

    Args:
        name: for the scene's description.
        lanes: driving lanes in each direction.
        lane: width of a lane.
        parking: width of the parking strip beside the outer lane; 0 for none.
        cycle: width of a cycle lane beside the outer lane; 0 for none.
        median: width of a raised strip between the directions; 0 for none.
        verge: width of grass between kerb and sidewalk.
        sidewalk: width of the sidewalk.
        setback: from the sidewalk to the houses.
        bend: largest heading of the main road, radians.
        hills: scale of the slopes.
        storeys: fewest and most storeys of a house.
        shops: share of town houses with shops on the ground floor.
        gap: share of frontage without a house.
        trees: metres between street trees; 0 for none.
        parked: share of parking places taken.
        traffic: metres between moving vehicles in a lane.
        lorries: share of trucks, trailers and buses in the traffic.
        people: pedestrians on 100 m of sidewalk.
        speed: of the ego car, m/s.
        side_half: half the width of side roads.
        sun: azimuth (degrees from x) and elevation of the sun.
        haze: metres at which a third of the contrast is left.
        cloud: share of the sky under cloud.
        warmth: 0 for midday light, 1 for evening light.
        junction: metres that the ego car drives, give or take a few, to the middle of the first junction.
        red: whether it has to wait there.
        works: whether a lane is closed by cones and barriers.
        dig: whether a few parking places are.
    """

    name: str
    lanes: int
    lane: float
    parking: float
    cycle: float
    median: float
    verge: float
    sidewalk: float
    setback: float
    bend: float
    hills: float
    storeys: tuple[int, int]
    shops: float
    gap: float
    trees: float
    parked: float
    traffic: float
    lorries: float
    people: float
    speed: float
    side_half: float
    sun: tuple[float, float]
    haze: float
    cloud: float
    warmth: float
    junction: float = 49.0
    red: bool = False
    works: bool = False
    dig: bool = False

    @property
    def half(self) -> float:
        """Half of the carriageway between kerbs."""
        return self.median / 2 + self.lanes * self.lane + self.cycle + self.parking

    def lane_centre(self, number: int) -> float:
        """Distance of lane ``number`` (0 innermost) from the road's centre line."""
        return self.median / 2 + (number + 0.5) * self.lane

    @property
    def cycle_centre(self) -> float:
        return self.median / 2 + self.lanes * self.lane + self.cycle / 2

    @property
    def parking_centre(self) -> float:
        return self.half - self.parking / 2

    @property
    def walk_from(self) -> float:
        """Where the sidewalk begins, from the road's centre line."""
        return self.half + 0.15 + self.verge

    @property
    def walk_to(self) -> float:
        return self.walk_from + self.sidewalk


DOWNTOWN = Style(
    "downtown street with shops and a signalled junction",
    lanes=1,
    lane=3.4,
    parking=2.2,
    cycle=1.6,
    median=0.0,
    verge=0.0,
    sidewalk=4.0,
    setback=0.3,
    bend=0.05,
    hills=0.8,
    storeys=(3, 7),
    shops=1.0,
    gap=0.08,
    trees=14.0,
    parked=0.75,
    traffic=24.0,
    lorries=0.2,
    people=16.0,
    speed=7.0,
    side_half=5.0,
    sun=(-62.0, 44.0),
    haze=420.0,
    cloud=0.42,
    warmth=0.25,
    red=True,
)
RESIDENTIAL = Style(
    "residential street with gardens, hedges and parked cars",
    lanes=1,
    lane=3.3,
    parking=2.1,
    cycle=0.0,
    median=0.0,
    verge=1.2,
    sidewalk=2.2,
    setback=5.0,
    bend=0.16,
    hills=1.3,
    storeys=(1, 2),
    shops=0.0,
    gap=0.2,
    trees=15.0,
    parked=0.55,
    traffic=34.0,
    lorries=0.12,
    people=7.0,
    speed=6.5,
    side_half=4.0,
    sun=(130.0, 40.0),
    haze=480.0,
    cloud=0.3,
    warmth=0.35,
)
BOULEVARD = Style(
    "boulevard with a planted median, cycle lanes, buses and people",
    lanes=2,
    lane=3.3,
    parking=0.0,
    cycle=1.8,
    median=3.0,
    verge=1.6,
    sidewalk=3.8,
    setback=3.0,
    bend=0.1,
    hills=0.9,
    storeys=(4, 8),
    shops=0.75,
    gap=0.1,
    trees=13.0,
    parked=0.45,
    traffic=22.0,
    lorries=0.24,
    people=26.0,
    speed=9.0,
    side_half=5.0,
    sun=(48.0, 50.0),
    haze=460.0,
    cloud=0.5,
    warmth=0.1,
    junction=80.0,
    red=True,
)
WORKS = Style(
    "avenue with road works, cones and barriers",
    lanes=2,
    lane=3.4,
    parking=0.0,
    cycle=0.0,
    median=0.0,
    verge=2.2,
    sidewalk=2.6,
    setback=5.0,
    bend=0.12,
    hills=1.1,
    storeys=(2, 6),
    shops=0.35,
    gap=0.3,
    trees=17.0,
    parked=0.0,
    traffic=27.0,
    lorries=0.35,
    people=7.0,
    speed=7.0,
    side_half=4.5,
    sun=(-128.0, 47.0),
    haze=440.0,
    cloud=0.35,
    warmth=0.2,
    works=True,
)
INDUSTRIAL = Style(
    "industrial road with trucks, trailers and warehouses",
    lanes=1,
    lane=3.7,
    parking=2.7,
    cycle=0.0,
    median=0.0,
    verge=2.0,
    sidewalk=2.0,
    setback=9.0,
    bend=0.1,
    hills=1.0,
    storeys=(2, 3),
    shops=0.0,
    gap=0.3,
    trees=26.0,
    parked=0.4,
    traffic=30.0,
    lorries=0.6,
    people=4.0,
    speed=8.0,
    side_half=5.0,
    sun=(75.0, 38.0),
    haze=380.0,
    cloud=0.6,
    warmth=0.3,
)
PARK = Style(
    "road beside a park, open on one side",
    lanes=1,
    lane=3.4,
    parking=2.2,
    cycle=1.6,
    median=0.0,
    verge=1.5,
    sidewalk=3.0,
    setback=4.0,
    bend=0.2,
    hills=1.6,
    storeys=(3, 5),
    shops=0.3,
    gap=0.12,
    trees=12.0,
    parked=0.5,
    traffic=30.0,
    lorries=0.15,
    people=10.0,
    speed=7.5,
    side_half=4.5,
    sun=(-40.0, 36.0),
    haze=460.0,
    cloud=0.3,
    warmth=0.5,
    dig=True,
)

ORDER = (DOWNTOWN, RESIDENTIAL, WORKS, INDUSTRIAL, BOULEVARD, PARK)


def style_of(scene: int) -> Style:
    """The style of scene number ``scene`` (0-based)."""
    return ORDER[scene % len(ORDER)]
