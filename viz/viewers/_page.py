"""A scene as one HTML page: its arrays packed small, and the page's own text around them."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from viz.palette import rgb
from viz.scene import LineLayer, PointLayer, Scene, Stage, View
from viz.viewers._looks import BACK, METRES, POINTS, STROKES
from viz.viewers.base import Links
from xmodal_core.types import Floats, Image

FOLDER = Path(__file__).parent
SCRIPTS = ("page_model.js", "page_space.js", "page_views.js", "page.js")
"""What draws a scene, also in the tuner."""
CENTIMETRE = 0.01
JPEG_QUALITY = 82


def page(scene: Scene, plotly_js: str, links: Links | None = None) -> str:
    """The HTML text of ``scene``; ``plotly_js`` is the library's source, ``links`` the pages it leads to."""
    described = {**describe(scene), "links": links or Links()}
    parts = {
        "title": html.escape(f"{scene.title} · xmodal"),
        "css": read("page.css"),
        "body": read("page_body.html"),
        "plotly": script(plotly_js),
        "scene": json.dumps(described, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"),
        "js": script("\n".join(read(name) for name in (*SCRIPTS, "page_start.js"))),
    }
    return fill(read("page.html"), parts)


def read(name: str) -> str:
    """The text of a file of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


def fill(text: str, parts: Mapping[str, str]) -> str:
    """``text`` with every ``{{name}}`` replaced by that part; braces within the parts mean nothing."""
    head, *rest = text.split("{{")
    pieces = [head]
    for piece in rest:
        name, tail = piece.split("}}", 1)
        pieces += [parts[name], tail]
    return "".join(pieces)


def script(text: str) -> str:
    """``text``, a script's source, without what would end its element; in strings it means the same."""
    return re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE)


def describe(scene: Scene, *, pictures: bool = True) -> dict[str, Any]:
    """``scene`` as values that JSON can hold; without ``pictures`` for a page that shows them already."""
    step = max(CENTIMETRE, float(np.abs(scene.cloud).max(initial=0.0)) / 32_000)
    similar = scene.similarities
    return {
        "title": scene.title,
        "subtitle": scene.subtitle,
        "facts": scene.facts,
        "shown": scene.shown,
        "thing": scene.thing,
        "forward": scene.forward,
        "floor": round(scene.floor, 3),
        "opening": scene.opening,
        "looks": {
            "back": rgb(BACK),
            "metres": METRES,
            "points": {emphasis: asdict(look) for emphasis, look in POINTS.items()},
            "strokes": {emphasis: asdict(look) for emphasis, look in STROKES.items()},
        },
        "cloud": {"array": pack(np.round(scene.cloud / step).astype(np.int16)), "step": step},
        "members": {kind: pack(_small(groups)) for kind, groups in scene.members.items()},
        "words": scene.words,
        "layers": [_layer(layer, len(scene.cloud)) for layer in scene.layers],
        "stages": [_stage(stage) for stage in scene.stages],
        "views": [_view(view, pictures) for view in scene.views],
        "similarities": None
        if similar is None
        else {
            "unit": similar.unit,
            "keep": similar.keep,
            "low": round(similar.low, 4),
            "high": round(similar.high, 4),
            "literal": similar.literal,
            "width": similar.features.shape[1],
            "features": pack(similar.features.astype(np.float32)),
        },
    }


def pack(array: NDArray[Any]) -> dict[str, str]:
    """An array as base64 of its little-endian bytes, with its type."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    return {"kind": kind, "data": base64.b64encode(little.tobytes()).decode("ascii")}


def _small(integers: NDArray[Any]) -> NDArray[Any]:
    """The same integers in as few bytes as hold them."""
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    kinds: tuple[type[np.integer[Any]], ...] = (
        (np.uint8, np.uint16, np.uint32) if low >= 0 else (np.int8, np.int16, np.int32)
    )
    return integers.astype(next(kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max))


def _layer(layer: PointLayer | LineLayer, points: int) -> dict[str, Any]:
    common = {"name": layer.name, "title": layer.title, "emphasis": layer.emphasis}
    if isinstance(layer, LineLayer):
        strokes = np.isnan(layer.points[:, 0])
        words = [words for words, end in zip(layer.words, strokes, strict=True) if end] if layer.words else []
        return {**common, "points": pack(np.round(layer.points, 2)), "colour": layer.colour, "words": words}
    ramp = layer.ramp
    return {
        **common,
        # A layer of the whole cloud needs no list of rows.
        "rows": None if len(layer.rows) == points else pack(_small(layer.rows)),
        "code": pack(layer.code),
        "colours": layer.colours.tolist(),
        "on_images": layer.on_images,
        "ramp": None
        if ramp is None
        else {"low": ramp.low, "high": ramp.high, "middle": ramp.middle, "words": ramp.words},
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "title": stage.title,
        "words": stage.words,
        "caption": stage.caption,
        "layers": stage.layers,
        "kind": stage.kind,
        "tint": pack(stage.tint),
    }


def _view(view: View, picture: bool) -> dict[str, Any]:
    return {
        "name": view.name,
        "title": view.title,
        "place": view.place,
        "size": view.size,
        "image": "data:image/jpeg;base64," + base64.b64encode(jpeg(view.image)).decode("ascii") if picture else None,
        "rows": pack(_small(view.rows)),
        "uv": pack(np.round(view.uv).astype(np.int16)),
        "masks": {kind: runs(mask) for kind, mask in view.masks.items()},
        "strokes": {name: pack(_tenths(strokes)) for name, strokes in view.strokes.items()},
    }


def _tenths(values: Floats) -> Floats:
    return np.asarray(np.round(values, 1), dtype=np.float32)


def jpeg(image: Image) -> bytes:
    """``image`` (h,w,3) uint8 as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    Pictures.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def runs(mask: NDArray[np.int32]) -> dict[str, dict[str, str]]:
    """A mask as the values of its runs and their lengths, row after row."""
    flat = mask.ravel()
    begin = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    length = np.diff(np.r_[begin, len(flat)])
    # A run longer than two bytes can count is several.
    times = (length - 1) // 65_535 + 1
    value = np.repeat(flat[begin], times)
    last = np.cumsum(times) - 1
    lengths = np.full(len(value), 65_535, dtype=np.int64)
    lengths[last] = length - (times - 1) * 65_535
    return {"value": pack(_small(value)), "length": pack(lengths.astype(np.uint16))}
