"""Waymo's names: LiDARs, cameras, box types and segmentation classes, each in the order of its numbers."""

from __future__ import annotations

LIDARS = ("TOP", "FRONT", "SIDE_LEFT", "SIDE_RIGHT", "REAR")
"""Numbered from 1 on (dataset.proto, LaserName)."""
CAMERAS = ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "SIDE_LEFT", "SIDE_RIGHT")
"""Numbered from 1 on (dataset.proto, CameraName)."""
BOXES = ("unknown", "vehicle", "pedestrian", "sign", "cyclist")
"""Numbered from 0 on (label.proto, Type)."""

SEGMENTATION = (
    "ignore",
    "car",
    "truck",
    "bus",
    "other_vehicle",
    "motorcyclist",
    "bicyclist",
    "pedestrian",
    "sign",
    "traffic_light",
    "pole",
    "construction_cone",
    "bicycle",
    "motorcycle",
    "building",
    "vegetation",
    "tree_trunk",
    "curb",
    "road",
    "lane_marker",
    "other_ground",
    "walkable",
    "sidewalk",
)
"""Numbered from 0, "undefined", on (segmentation.proto)."""
