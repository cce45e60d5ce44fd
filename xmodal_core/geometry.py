"""Rigid transforms, boxes and cameras: the geometry that data sets, units and pictures share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmodal_core.types import Bools, Boxes, Camera, Doubles, Floats, Lens, Pixels, Projection


def rigid(rotation: Doubles, translation: Sequence[float] | Doubles) -> Doubles:
    """A 4x4 float64 transform from a 3x3 ``rotation`` and a ``translation`` in metres."""
    result = np.eye(4)
    result[:3, :3] = rotation
    result[:3, 3] = translation
    return result


def invert(transform: Doubles) -> Doubles:
    """The inverse of a rigid 4x4 transform."""
    rotation = transform[:3, :3].T
    return rigid(rotation, -rotation @ transform[:3, 3])


def rotation_z(angle: float) -> Doubles:
    """The 3x3 rotation by ``angle`` radians about +z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_about(axis: Sequence[float] | Doubles, angle: float) -> Doubles:
    """The 3x3 rotation by ``angle`` radians about ``axis``, which need not be normalised.

    Raises:
        ValueError: the axis has no direction.
    """
    direction = np.asarray(axis, dtype=np.float64)
    length = float(np.linalg.norm(direction))
    if not 0 < length < np.inf:
        raise ValueError(f"axis {tuple(axis)} has no direction")
    return rotation_from_quaternion([np.cos(angle / 2), *(np.sin(angle / 2) / length * direction)])


def rotation_from_quaternion(wxyz: Sequence[float]) -> Doubles:
    """The 3x3 rotation of a quaternion (w, x, y, z); it need not be normalised.

    Raises:
        ValueError: the quaternion is zero or not finite.
    """
    w, x, y, z = np.asarray(wxyz, dtype=np.float64)
    norm = w * w + x * x + y * y + z * z
    if not np.isfinite(norm) or norm < 1e-12:
        raise ValueError(f"quaternion {tuple(wxyz)} has no direction")
    s = 2.0 / norm
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
            [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
            [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: Doubles) -> tuple[float, float, float, float]:
    """The unit quaternion (w, x, y, z) with w >= 0 of a 3x3 rotation."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation).as_quat(canonical=True)
    return float(w), float(x), float(y), float(z)


def yaw_of(rotation: Doubles) -> float:
    """The heading in radians about +z of a 3x3 rotation's x-axis."""
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def transform_points(transform: Doubles, points: Floats) -> Floats:
    """``points`` (N,3) moved by a 4x4 ``transform``; computed in float64, given back in float32."""
    moved = points.astype(np.float64) @ transform[:3, :3].T + transform[:3, 3]
    return np.asarray(moved, dtype=np.float32)


def project(camera: Camera, points: Floats, *, min_depth: float = 1.0, border: float = 1.0) -> Projection:
    """See ``Camera.project``."""
    rotation = camera.lidar_to_camera[:3, :3].astype(np.float32)
    x, y, z = (rotation @ points.T) + camera.lidar_to_camera[:3, 3].astype(np.float32)[:, None]
    front = z > min_depth
    depth = np.where(front, z, np.float32(1.0))
    x, y = x / depth, y / depth
    if not camera.lens.is_pinhole:
        x, y, known = distort(camera.lens, x, y)
        front = front & known
    k = camera.intrinsics.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # of what a lens has put at infinity
        u = k[0, 0] * x + k[0, 1] * y + k[0, 2]
        v = k[1, 1] * y + k[1, 2]
    inside = front & (u > border) & (u < camera.width - border) & (v > border) & (v < camera.height - border)
    return Projection(np.stack([u, v], axis=1), z, inside)


def distort(lens: Lens, x: Floats, y: Floats) -> tuple[Floats, Floats, Bools]:
    """Where ``lens`` puts rays that a pinhole would put at (``x``, ``y``), (N,) each at depth 1, and (N,) bool: whether
    they lie where its polynomial holds."""
    with np.errstate(over="ignore", invalid="ignore"):  # kilometres from the axis float32 ends
        r2 = x * x + y * y
        known = r2 < _turning_point(lens)
        radial = 1 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3))
        u = x * radial + 2 * lens.p1 * x * y + lens.p2 * (r2 + 2 * x * x)
        v = y * radial + lens.p1 * (r2 + 2 * y * y) + 2 * lens.p2 * x * y
    return u, v, known


def _turning_point(lens: Lens) -> float:
    """The squared distance from the axis, at depth 1, from which on the radial polynomial r (1 + k1 r^2 + …) falls:
    what lies farther out would come back into the picture."""
    roots = np.roots([7 * lens.k3, 5 * lens.k2, 3 * lens.k1, 1.0])  # of the derivative, in r^2
    return float(min((root.real for root in roots if root.real > 0 and abs(root.imag) < 1e-9), default=np.inf))


def pixels(
    cameras: Sequence[Camera],
    points: Floats,
    stated: Pixels | None = None,
    *,
    min_depth: float = 1.0,
    border: float = 1.0,
) -> Pixels:
    """Every (point, camera) pair in which the camera sees the point. ``points`` is (N,3) of the LiDAR frame.

    Where the data set says itself which point is seen where (``Frame.pixels``), that is it: ``stated``.
    """
    if stated is not None:
        return stated
    rows, numbers, uvs = [], [], []
    for number, camera in enumerate(cameras):
        seen = camera.project(points, min_depth=min_depth, border=border)
        index = np.flatnonzero(seen.inside)
        rows.append(index)
        numbers.append(np.full(len(index), number, dtype=np.int64))
        uvs.append(seen.uv[index])
    if not rows:
        none = np.zeros(0, dtype=np.int64)
        return Pixels(none, none, np.zeros(0, np.float32), np.zeros(0, np.float32))
    point = np.concatenate(rows).astype(np.int64)
    order = np.argsort(point, kind="stable")
    uv = np.concatenate(uvs)[order]
    return Pixels(point[order], np.concatenate(numbers)[order], uv[:, 0].copy(), uv[:, 1].copy())


def box_corners(boxes: Boxes) -> Floats:
    """The eight corners of each box, (B,8,3) float32 metres: the bottom four counter-clockwise from front left,
    then the top four above them."""
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], dtype=np.float32) / 2
    flat = signs[None] * boxes.size[:, None, :2]
    c, s = np.cos(boxes.yaw)[:, None], np.sin(boxes.yaw)[:, None]
    xy = np.stack([c * flat[..., 0] - s * flat[..., 1], s * flat[..., 0] + c * flat[..., 1]], axis=-1)
    half = boxes.size[:, None, 2:] / 2
    bottom = np.concatenate([xy, np.broadcast_to(-half, xy[..., :1].shape)], axis=-1)
    top = np.concatenate([xy, np.broadcast_to(half, xy[..., :1].shape)], axis=-1)
    corners = np.concatenate([bottom, top], axis=1) + boxes.centre[:, None]
    return np.asarray(corners, dtype=np.float32)


def points_in_box(points: Floats, boxes: Boxes, number: int, *, margin: float = 0.0) -> Bools:
    """(N,) bool: which ``points`` lie in box ``number``, grown by ``margin`` metres on every side."""
    local = points - boxes.centre[number]
    c, s = np.cos(boxes.yaw[number]), np.sin(boxes.yaw[number])
    half = boxes.size[number] / 2 + margin
    along = c * local[:, 0] + s * local[:, 1]
    across = -s * local[:, 0] + c * local[:, 1]
    inside: Bools = (np.abs(along) <= half[0]) & (np.abs(across) <= half[1]) & (np.abs(local[:, 2]) <= half[2])
    return inside
