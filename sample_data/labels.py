"""Which of nuScenes' classes and attributes the generated things have."""

from __future__ import annotations

from sample_data.ground_texture import Kind
from sample_data.site import Thing
from xmodal_core.datasets._nuscenes_write import CATEGORIES

__all__ = ["CATEGORIES", "GROUND_CATEGORY", "attribute_of"]

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
