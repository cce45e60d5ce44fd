"""The classes and attributes of nuScenes, and which of them the generated things have."""

from __future__ import annotations

from sample_data.ground_texture import Kind
from sample_data.site import Thing

CATEGORIES: tuple[str, ...] = (
    "noise",
    "animal",
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.barrier",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    "movable_object.trafficcone",
    "static_object.bicycle_rack",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.car",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.motorcycle",
    "vehicle.trailer",
    "vehicle.truck",
    "flat.driveable_surface",
    "flat.other",
    "flat.sidewalk",
    "flat.terrain",
    "static.manmade",
    "static.other",
    "static.vegetation",
    "vehicle.ego",
)
"""nuScenes-lidarseg's 32 categories; the place in this list is the label in the file."""

GROUND_CATEGORY: dict[Kind, str] = {
    Kind.ROAD: "flat.driveable_surface",
    Kind.PAINT: "flat.driveable_surface",
    Kind.KERB: "flat.sidewalk",
    Kind.SIDEWALK: "flat.sidewalk",
    Kind.GRASS: "flat.terrain",
    Kind.PAVING: "flat.sidewalk",
    Kind.YARD: "flat.other",
    Kind.SOIL: "flat.terrain",
}

ATTRIBUTES: dict[str, str] = {
    "vehicle.moving": "Vehicle is moving.",
    "vehicle.stopped": "Vehicle, with a driver, is stationary but means to move.",
    "vehicle.parked": "Vehicle is stationary for a longer time.",
    "cycle.with_rider": "There is a rider on the bicycle or motorcycle.",
    "cycle.without_rider": "There is no rider on the bicycle or motorcycle.",
    "pedestrian.sitting_lying_down": "The person is sitting or lying down.",
    "pedestrian.standing": "The person is standing.",
    "pedestrian.moving": "The person is moving.",
}

VISIBILITY: dict[str, str] = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}


def attribute_of(thing: Thing, time: float) -> str:
    """The name of a labelled thing's attribute at a time; "" for cones and barriers."""
    category = thing.model.category
    moves = thing.motion.moving(time)
    if category.startswith("human."):
        return "pedestrian.moving" if moves else "pedestrian.standing"
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        return "cycle.with_rider" if thing.model.ridden else "cycle.without_rider"
    if category.startswith("vehicle."):
        if moves:
            return "vehicle.moving"
        return "vehicle.parked" if thing.attribute == "parked" else "vehicle.stopped"
    return ""
