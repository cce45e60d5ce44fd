"""Camera images with what lies on them: each point's pixel, and a mask of the pixels each cluster or unit covers.

A sweep is sparse on an image: beams lie many pixels apart. A mask closes the gaps between returns of the same thing, as
wide as the sensor's own spacing and no wider, and nearer things lie over farther ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from scipy import ndimage

from viz.scene import Kind, LineLayer, View
from xmodal_core.types import Bools, Camera, Floats, Frame, Image, Ints, Pixels

NARROW, WIDE = 800, 1100
"""Widths of the shown pictures: several cameras, one camera."""


def make_views(
    frame: Frame, pixels: Pixels, rows: Ints, groups: Mapping[Kind, Ints], lines: Sequence[LineLayer]
) -> tuple[View, ...]:
    """Every camera of ``frame`` as it is shown.

    Args:
        frame: its cameras' pictures are read here.
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
    for number, (camera, place) in enumerate(zip(frame.cameras, rig_places(frame), strict=True)):
        picture, scale = shrink(camera.image(), WIDE if len(frame.cameras) == 1 else NARROW)
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


def shrink(picture: Image, width: int) -> tuple[Image, float]:
    """``picture`` no wider than ``width``, its aspect kept, and the scale that took it there."""
    scale = min(1.0, width / picture.shape[1])
    if scale == 1.0:
        return picture, 1.0
    size = (width, max(1, round(picture.shape[0] * scale)))
    return np.asarray(Pictures.fromarray(picture).resize(size, Pictures.Resampling.LANCZOS)), scale


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


def paint_masks(
    shape: tuple[int, int], uv: Floats, group: Ints, distance: Floats, brush: tuple[float, float]
) -> NDArray[np.int32]:
    """The pixels that each group covers, (h,w) int32 of group numbers, -1 elsewhere.

    Args:
        shape: (h, w).
        uv: (R,2) pixels of points within the picture.
        group: (R,) group of each, or -1.
        distance: (R,) of each from the sensor; a group's median decides what covers what.
        brush: pixels between neighbouring returns, across and down.
    """
    mask = np.full(shape, -1, dtype=np.int32)
    inside = group >= 0
    if not inside.any():
        return mask
    at, group, distance = np.round(uv[inside]).astype(np.int64), group[inside], distance[inside]
    order = np.argsort(group, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    pieces.sort(key=lambda piece: -float(np.median(distance[piece])))
    for piece in pieces:
        _paint_one(mask, at[piece], int(group[piece[0]]), brush)
    return mask


def _paint_one(mask: NDArray[np.int32], at: Ints, number: int, brush: tuple[float, float]) -> None:
    bridge = (brush[0] * 1.8 + 1.0, brush[1] * 0.85 + 1.0)
    touch = (brush[0] * 0.5 + 0.7, max(brush[0] * 0.5, brush[1] * 0.2) + 0.7)
    margin = np.ceil(bridge).astype(np.int64) + 1
    low, high = at.min(axis=0) - margin, at.max(axis=0) + margin + 1
    dots = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.bool_)
    dots[at[:, 1] - low[1], at[:, 0] - low[0]] = True
    closed = ~_grown(~_grown(dots, bridge), bridge)
    body = closed | _grown(dots, touch)
    height, width = mask.shape
    left, top = max(low[0], 0), max(low[1], 0)
    right, bottom = min(high[0], width), min(high[1], height)
    window = mask[top:bottom, left:right]
    window[body[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]] = number


def _grown(shape: Bools, reach: tuple[float, float]) -> Bools:
    """``shape`` (h,w) and all within an ellipse of half axes ``reach`` (across, down) of it."""
    across, down = reach
    grown: Bools = ndimage.distance_transform_edt(~shape, sampling=(across / down, 1.0)) <= across
    return grown


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
