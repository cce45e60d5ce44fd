"""One stage of a scene as a Plotly figure, for notebooks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from viz.palette import rgb, toward
from viz.scene import LineLayer, PointLayer, Scene, Stage
from viz.viewers._looks import BACK, METRES, POINTS, STROKES


def make_figure(scene: Scene, stage: Stage) -> Any:
    """``stage`` in 3D, a ``plotly.graph_objects.Figure``; pointing at a point names its unit or cluster."""
    import plotly.graph_objects as go

    traces = [_lines(layer) for layer in scene.line_layers(stage)]
    traces += [_points(scene, stage, layer) for layer in scene.point_layers(stage) if len(layer.rows)]
    return go.Figure(traces, _layout(scene, stage))


def _points(scene: Scene, stage: Stage, layer: PointLayer) -> dict[str, Any]:
    kind, look = stage.kind or "unit", POINTS[layer.emphasis]
    x, y, z = np.ascontiguousarray(scene.cloud[layer.rows].T)
    colours = toward(layer.colours, rgb(BACK), look.fade)
    number = scene.members[kind][layer.rows]
    return {
        "type": "scatter3d",
        "mode": "markers",
        "name": layer.title,
        "x": x,
        "y": y,
        "z": z,
        "marker": {"size": look.size, "line": {"width": 0}, "opacity": 1, **_colouring(colours, layer.code)},
        "customdata": number,
        # Words for every point would weigh more than the points.
        "hovertemplate": f"{scene.thing if kind == 'unit' else kind} %{{customdata}}<extra></extra>",
        **({"hoverinfo": "skip", "hovertemplate": None, "customdata": None} if number.max(initial=-1) < 0 else {}),
    }


def _colouring(colours: NDArray[np.uint8], code: NDArray[np.uint8]) -> dict[str, Any]:
    """One colour, or numbers with a scale: a text for every point would weigh more than the point."""
    texts = [_css(colour) for colour in colours.tolist()]
    if len(texts) == 1:
        return {"color": texts[0]}
    last = len(texts) - 1
    scale = [[step / last, text] for step, text in enumerate(texts)]
    return {"color": code, "cmin": 0, "cmax": last, "colorscale": scale, "showscale": False}


def _lines(layer: LineLayer) -> dict[str, Any]:
    look = STROKES[layer.emphasis]
    x, y, z = np.ascontiguousarray(layer.points.T)
    colour = toward(np.array(layer.colour, dtype=np.uint8), rgb(BACK), look.fade)
    return {
        "type": "scatter3d",
        "mode": "lines",
        "name": layer.title,
        "x": x,
        "y": y,
        "z": z,
        "line": {"color": _css(colour.tolist()), "width": look.size},
        "connectgaps": False,
        "hoverinfo": "skip",
    }


def _css(colour: list[int]) -> str:
    return f"rgb({','.join(str(value) for value in colour)})"


def _layout(scene: Scene, stage: Stage) -> dict[str, Any]:
    # Symmetric about the sensor, so that the camera turns around the vehicle.
    reach = np.abs(scene.cloud).max(axis=0, initial=1.0).astype(float) * 1.01
    (ahead, left), floor = scene.forward, scene.floor / METRES
    axes = {
        f"{name}axis": {"visible": False, "range": [-most, most]}
        for name, most in zip("xyz", reach.tolist(), strict=True)
    }
    aspect = dict(zip("xyz", (2 * reach / METRES).tolist(), strict=True))
    camera = {
        "eye": {"x": -1.05 * ahead, "y": -1.05 * left, "z": floor + 0.55},
        "center": {"x": 0.55 * ahead, "y": 0.55 * left, "z": floor},
        "up": {"x": 0, "y": 0, "z": 1},
    }
    return {
        "title": {
            "text": f"{scene.title} · {stage.title}",
            "subtitle": {"text": " · ".join((*stage.caption, scene.shown))},
            "font": {"size": 16},
        },
        "paper_bgcolor": BACK,
        "font": {"color": "#e8ebf0"},
        "margin": {"l": 0, "r": 0, "t": 64, "b": 0},
        "height": 640,
        "legend": {"itemsizing": "constant", "orientation": "h", "y": 0, "bgcolor": "rgba(0,0,0,0)"},
        "uirevision": "stay",
        "scene": {
            **axes,
            "bgcolor": BACK,
            "aspectmode": "manual",
            "aspectratio": aspect,
            "camera": camera,
            "dragmode": "turntable",
            "uirevision": "stay",
        },
    }
