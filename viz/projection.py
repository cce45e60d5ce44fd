"""Points on the pictures of one frame, coloured by depth: how well the calibration holds is seen at edges of things."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from viz.palette import spread
from xmodal_core.errors import InputError
from xmodal_core.files import refuse_unwritable, whole_file
from xmodal_core.geometry import pixels
from xmodal_core.pictures import shrink
from xmodal_core.types import Camera, Floats, Frame, Image

DEPTH = ("#fff6a0", "#ffb13b", "#f0553c", "#c32a86", "#6a3fd0", "#3a8ff0", "#52e0d8")
"""Near to far: distinct at a glance against daylight and asphalt alike."""

NEAR, FAR = 3.0, 60.0
"""Metres: the ends of the colours, which are even in the logarithm of depth, as pictures are."""

WIDTHS = {1: 1600, 2: 1200}
USUAL_WIDTH = 900
"""Pixels of a picture on the sheet, by how many there are."""

LEAST_PICTURE = 480
"""Pixels of a picture on the sheet, at least: smaller ones are enlarged."""

LEAST_WIDTH = 860
"""Pixels of a sheet, so that its words have room."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_GAP, _HEAD, _FOOT = 10, 26, 40
_PAPER, _INK, _QUIET = (18, 21, 27), (238, 241, 246), (150, 158, 170)


def draw_projection(frame: Frame, out: Path, title: str) -> None:
    """Write a sheet of all the frame's pictures with its points on them, as ``out``.

    Args:
        frame: with at least one camera.
        out: an image file; appears whole or not at all.
        title: what is shown, for its head.

    Raises:
        InputError: there is no camera, no such file can be written, or not there.
        DataError: a picture is damaged.
    """
    check_file(out)
    if not frame.cameras:
        raise InputError(f"frame {frame.name} has no camera to draw on", "choose another one with --frame")
    width = WIDTHS.get(len(frame.cameras), USUAL_WIDTH)
    seen = pixels(frame.cameras, frame.points, frame.pixels)
    tiles = []
    for number, camera in enumerate(frame.cameras):
        here = seen.camera == number
        points, uv = frame.points[seen.point[here]], np.stack([seen.u[here], seen.v[here]], axis=1)
        depth = camera.project(points, min_depth=0.0).depth
        tiles.append(_tile(camera, uv, depth, here.sum() / max(len(frame), 1), width))
    sheet = _sheet(tiles, title)
    with whole_file(out) as temporary:
        sheet.save(temporary)


def check_file(out: Path) -> None:
    """Complain now about a picture that could not be written at the end.

    Raises:
        InputError: no picture has such an ending, its folder is not there, or cannot be written to.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"no picture is written as '{out.name}'", f"end it with one of {', '.join(SUFFIXES)}")
    refuse_unwritable(out)
    if not out.absolute().parent.is_dir():
        raise InputError(f"cannot write {out}: its folder is not there", "choose another --out")


def _tile(camera: Camera, uv: Floats, depth: Floats, share: float, width: int) -> Image:
    """A camera's picture, made quiet, with the points that it sees at ``uv`` and its name above."""
    picture = _enlarge(shrink(camera.image(), width))
    scale = picture.shape[1] / camera.width
    uv = (uv + 0.5) * scale
    grey = picture.mean(axis=2, keepdims=True)
    quiet = (0.62 * (0.6 * grey + 0.4 * picture)).astype(np.uint8)
    image = Pictures.fromarray(quiet)
    draw = ImageDraw.Draw(image)
    ramp = spread(DEPTH)
    place = np.log(np.clip(depth, NEAR, FAR) / NEAR) / np.log(FAR / NEAR)
    colours = ramp[np.round(place * (len(ramp) - 1)).astype(int)]
    # About one dot in six pixels at most would hide the picture; beyond, dots are smaller.
    radius = 1.5 if len(depth) < picture.shape[0] * picture.shape[1] / 60 else 1.0
    for number in np.argsort(-depth, kind="stable"):
        u, v = uv[number]
        draw.ellipse((u - radius, v - radius, u + radius, v + radius), fill=tuple(colours[number].tolist()))
    tile = Pictures.new("RGB", (image.width, image.height + _HEAD), _PAPER)
    tile.paste(image, (0, _HEAD))
    words = f"{camera.name}   {camera.width}x{camera.height}   {len(depth):,} points, {share:.1%}"
    ImageDraw.Draw(tile).text((2, 5), words, fill=_INK, font=_font(14))
    return np.asarray(tile)


def _enlarge(picture: Image) -> Image:
    """A small picture with every pixel as several."""
    times = ceil(LEAST_PICTURE / picture.shape[1])
    large: Image = picture.repeat(times, axis=0).repeat(times, axis=1)
    return large


def _sheet(tiles: list[Image], title: str) -> Pictures.Image:
    columns = min(len(tiles), 3 if len(tiles) > 4 else 2 if len(tiles) > 1 else 1)
    rows = ceil(len(tiles) / columns)
    width = max(tile.shape[1] for tile in tiles)
    heights = [max(tile.shape[0] for tile in tiles[row * columns : (row + 1) * columns]) for row in range(rows)]
    size = (max(columns * (width + _GAP) + _GAP, LEAST_WIDTH), _FOOT + sum(heights) + rows * _GAP + _FOOT)
    sheet = Pictures.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 11), title, fill=_INK, font=_font(17))
    top = _FOOT
    for row, height in enumerate(heights):
        for column, tile in enumerate(tiles[row * columns : (row + 1) * columns]):
            sheet.paste(Pictures.fromarray(tile), (_GAP + column * (width + _GAP), top))
        top += height + _GAP
    _scale(draw, top)
    return sheet


def _scale(draw: ImageDraw.ImageDraw, top: int) -> None:
    """The colours of depth with metres beside them."""
    ramp, left = spread(DEPTH), _GAP + 50
    draw.text((_GAP, top + 8), "depth", fill=_QUIET, font=_font(13))
    for step, colour in enumerate(ramp.tolist()):
        draw.line((left + step, top + 4, left + step, top + 12), fill=tuple(colour))
    for metres in (3, 5, 10, 20, 40, 60):
        at = left + np.log(metres / NEAR) / np.log(FAR / NEAR) * (len(ramp) - 1)
        draw.text((at, top + 14), f"{metres}", fill=_QUIET, font=_font(12), anchor="ma")
    words = "m: edges in depth lie on edges in the picture where the calibration holds"
    draw.text((left + len(ramp) + 16, top + 8), words, fill=_QUIET, font=_font(13))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from matplotlib import get_data_path

    return ImageFont.truetype(os.path.join(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
