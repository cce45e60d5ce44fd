"""Camera images with what lies on them: each point's pixel, a mask of the pixels each cluster or unit covers, boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from viz.masks import paint_masks
from viz.scene import Kind, LineLayer, View
from xmodal_core.pictures import shrink
from xmodal_core.types import Camera, Floats, Frame, Image, Ints, Pixels

NARROW, WIDE = 800, 1100
"""Widths of the shown pictures: several cameras, one camera."""


def shown_pictures(frame: Frame) -> tuple[Image, ...]:
    """The pictures of all cameras of ``frame``, read now, as small as they are shown.

    Raises:
        DataError: one is missing or damaged.
    """
    width = WIDE if len(frame.cameras) == 1 else NARROW
    return tuple(shrink(camera.image(), width) for camera in frame.cameras)


def make_views(
    frame: Frame,
    pictures: Sequence[Image],
    pixels: Pixels,
    rows: Ints,
    groups: Mapping[Kind, Ints],
    lines: Sequence[LineLayer],
) -> tuple[View, ...]:
    """Every camera of ``frame`` as it is shown.

    Args:
        frame: whose cameras they are.
        pictures: of its cameras, as ``shown_pictures`` gives them.
        pixels: which point is seen where.
        rows: (M,) the points of the frame that are drawn.
        groups: for each kind, (N,) the cluster or unit of each point, or -1.
        lines: wireframes to draw onto the images.
    """
    drawn = np.full(len(frame), -1, dtype=np.int64)
    drawn[rows] = np.arange(len(rows))
    spacing = angular_spacing(frame)
    distance = np.linalg.norm(frame.points, axis=1)
    views = []
    for number, (camera, picture, place) in enumerate(zip(frame.cameras, pictures, rig_places(frame), strict=True)):
        scale = picture.shape[1] / camera.width
        mine = pixels.camera == number
        point = pixels.point[mine]
        uv = to_shown(np.stack([pixels.u[mine], pixels.v[mine]], axis=1), scale)
        brush = (spacing[0] * camera.intrinsics[0, 0] * scale, spacing[1] * camera.intrinsics[1, 1] * scale)
        height, width = picture.shape[:2]
        seen = drawn[point] >= 0
        view = View(
            name=camera.name,
            title=camera.name.removeprefix("CAM_").replace("_", " ").lower(),
            image=picture,
            place=place,
            rows=drawn[point][seen],
            uv=uv[seen],
            masks={
                kind: paint_masks((height, width), uv, group[point], distance[point], brush)
                for kind, group in groups.items()
            },
        )
        strokes = {line.name: to_shown(project_strokes(camera, line.points), scale) for line in lines}
        views.append(replace(view, strokes=strokes))
    return tuple(views)


def to_shown(uv: Floats, scale: float) -> Floats:
    """Pixels of the stored picture as pixels of the shown one; pixel centres are at whole numbers in both."""
    return np.asarray((uv + 0.5) * scale - 0.5, dtype=np.float32)


def angular_spacing(frame: Frame) -> tuple[float, float]:
    """Radians between neighbouring returns of a beam, and between beams, from how many there are and how far they
    reach up and down."""
    points = frame.points.astype(np.float64)
    beams = max(2, frame.sensor.beams)
    if len(points) < beams:
        return 0.004, 0.01
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    low, high = np.percentile(elevation, [0.2, 99.8])
    return 2 * np.pi * beams / len(points), (high - low) / (beams - 1)


def rig_places(frame: Frame) -> list[tuple[int, int]]:
    """(row, column) of each camera: those looking ahead above, those looking back below, left at the left."""
    left = []
    for camera in frame.cameras:
        x, y = camera.lidar_to_camera[2, :2]
        fx, fy = frame.sensor.forward
        left.append(float(np.degrees(np.arctan2(fx * y - fy * x, fx * x + fy * y))))
    row = [0 if abs(angle) <= 95 else 1 for angle in left]
    # Leftmost first: ahead the largest angle, behind the smallest when counted on past 180 degrees.
    order = [-angle if row[i] == 0 else angle % 360 for i, angle in enumerate(left)]
    return [(r, sum(row[j] == r and order[j] < order[i] for j in range(len(row)))) for i, r in enumerate(row)]


def project_strokes(camera: Camera, points: Floats, near: float = 0.3) -> Floats:
    """Strokes of the LiDAR frame (P,3), rows of NaN between them, as strokes on the picture (Q,2), likewise.

    What lies behind the camera is cut off at ``near`` metres before it.
    """
    start, end = points[:-1], points[1:]
    whole = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
    start, end = start[whole].astype(np.float64), end[whole].astype(np.float64)
    depth = [ends @ camera.lidar_to_camera[2, :3] + camera.lidar_to_camera[2, 3] for ends in (start, end)]
    front = np.maximum(*depth) > near
    start, end, first, last = start[front], end[front], depth[0][front], depth[1][front]
    share = np.clip((near - first) / np.where(first == last, 1.0, last - first), 0, 1)[:, None]
    cut = start + share * (end - start)
    start, end = np.where(first[:, None] < near, cut, start), np.where(last[:, None] < near, cut, end)
    # A lens bends lines, and folds the far outside back in: only what the camera calls visible at both ends counts,
    # or nearly so, since boxes reach over the edge.
    border = -0.5 * max(camera.width, camera.height)
    ends = np.concatenate([start, end]).astype(np.float32)
    seen = camera.project(ends, min_depth=near * 0.99, border=border)
    uv = seen.uv.reshape(2, -1, 2)
    good = seen.inside.reshape(2, -1).all(axis=0)
    strokes = np.full((int(good.sum()), 3, 2), np.nan, dtype=np.float32)
    strokes[:, 0], strokes[:, 1] = uv[0][good], uv[1][good]
    return strokes.reshape(-1, 2)
