"""Camera pictures in smaller sizes, for networks and for pages, and without their lens."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pictures

from xmodal_core.types import Doubles, Image, Lens


def shrink(picture: Image, width: int) -> Image:
    """``picture`` (h,w,3) no wider than ``width``, its aspect kept up to a whole number of rows."""
    if picture.shape[1] <= width:
        return picture
    size = (width, max(1, round(picture.shape[0] * width / picture.shape[1])))
    # Of the quick filters the one that neither shifts details by half a pixel (box) nor blurs them (bilinear).
    return np.asarray(Pictures.fromarray(picture).resize(size, Pictures.Resampling.HAMMING))


def undistort(picture: Image, intrinsics: Doubles, lens: Lens) -> Image:
    """``picture`` (h,w,3) as a pinhole of the same ``intrinsics`` (3,3) would have taken it, between pixels bilinear.

    What lies outside of the taken picture is black.
    """
    from xmodal_core.geometry import distort

    height, width = picture.shape[:2]
    v, u = np.mgrid[:height, :width].astype(np.float32)
    k = intrinsics.astype(np.float32)
    y = (v - k[1, 2]) / k[1, 1]
    x = (u - k[0, 2] - k[0, 1] * y) / k[0, 0]
    x, y, known = distort(lens, x.ravel(), y.ravel())
    u, v = k[0, 0] * x + k[0, 1] * y + k[0, 2], k[1, 1] * y + k[1, 2]
    within = known & (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    u, v = np.where(within, u, 0), np.where(within, v, 0)
    left, top = np.minimum(u.astype(np.int64), width - 2), np.minimum(v.astype(np.int64), height - 2)
    du, dv = (u - left)[:, None], (v - top)[:, None]
    upper = picture[top, left] * (1 - du) + picture[top, left + 1] * du
    lower = picture[top + 1, left] * (1 - du) + picture[top + 1, left + 1] * du
    mixed = np.round(upper * (1 - dv) + lower * dv) * within[:, None]
    seen: Image = mixed.astype(np.uint8).reshape(picture.shape)
    return seen
