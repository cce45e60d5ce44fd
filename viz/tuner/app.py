"""The tuner's page: what lies where, and what happens when something on it is moved."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shlex import quote
from typing import Any
from uuid import uuid4

from dash import ALL, MATCH, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from viz.tuner import controls
from viz.tuner.keeping import command_line, save_yaml
from viz.tuner.panel import numbers
from viz.tuner.session import Session, Shown, Source
from viz.viewers import _page
from xmodal_core.config import validate
from xmodal_core.errors import XmodalError
from xmodal_core.units.config import UnitsConfig

FOLDER = Path(__file__).parent
HOSTS = ("127.0.0.1", "localhost")
KEPT = 8
"""Answers that the page may still fetch."""

SETTINGS, SWITCHES = (controls.identity(kind, ALL) for kind in (controls.VALUE, controls.AUTOMATIC))
WHAT_THEN = "look at the stage Ground; perhaps the settings of range or ground do not fit this sensor"
INDEX = """<!doctype html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" href="data:,">
{%css%}
<style>{{css}}</style>
</head>
<body>
<template id="skeleton">{{body}}</template>
<script src="plotly.js"></script>
<script src="tuner.js"></script>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>
"""


def make_app(source: Source, start: UnitsConfig, frame: int = 0, save: Path = Path("units_tuned.yaml")) -> Dash:
    """The Dash app.

    Args:
        source: where frames come from.
        start: the settings to start from and to go back to.
        frame: the first one to look at.
        save: where "save" proposes to write.
    """
    app = Dash("xmodal", title=f"{source.title} · xmodal units tune", update_title="", assets_ignore=".*")
    css = _page.read("page.css") + (FOLDER / "tuner.css").read_text(encoding="utf-8")
    app.index_string = _page.fill(INDEX, {"css": css, "body": _page.read("page_body.html")})
    app.layout = lambda: _layout(source, start, frame, save)
    _serve_scripts(app)
    _refuse_other_hosts(app)
    _Callbacks(source, start).attach(app)
    return app


def _layout(source: Source, start: UnitsConfig, frame: int, save: Path) -> Any:
    """Settings at the left; the page of the scene, which its scripts fill; images and numbers at the right."""
    return html.Div(
        [
            html.Div(id="page"),
            html.Div(
                [
                    _frames(len(source), frame),
                    html.Div(controls.groups(start), className="steps"),
                    _keeping(save),
                    html.Div(id="said", role="status"),
                ],
                id="controls",
            ),
            html.Div([_pins(), _tabs(), html.Div(id="numbers")], className="beside"),
            html.Div(id="trouble", role="alert"),
            dcc.Store(id="visit", data=uuid4().hex),
            dcc.Store(id="news"),
            dcc.Store(id="pinned"),
            html.Div(id="sink", hidden=True),
        ],
        id="tuner",
    )


def _frames(frames: int, frame: int) -> Any:
    last = max(1, frames - 1)
    return html.Div(
        [
            html.Label("frame"),
            html.Button("‹", id="previous", title="previous frame (,)"),
            dcc.Slider(0, last, 1, value=frame, id="frame", marks={}, disabled=frames < 2),
            html.Button("›", id="next", title="next frame (.)"),
        ],
        className="frames",
    )


def _keeping(save: Path) -> Any:
    return html.Div(
        [
            dcc.Input(id="file", value=str(save), debounce=True, spellCheck=False),
            html.Button("save as YAML", id="save", title="the file that --config takes"),
            html.Button("copy command", id="copy", title="the command that shows these units"),
            html.Button("reset", id="reset", title="all settings back to where they were"),
        ],
        className="keep",
    )


def _pins() -> Any:
    return html.Div(
        [
            html.Button("pin as A", id="pin", title="keep these settings to compare others with"),
            html.Button("A", id="show-a", title="show the pinned settings (x)"),
            html.Button("B", id="show-b", title="show the settings being tuned (x)"),
            html.Button("unpin", id="unpin"),
        ],
        id="pins",
    )


def _tabs() -> Any:
    return html.Div([html.Button(name, **controls.data(panel=name)) for name in ("numbers", "unit")], id="tabs")


def _serve_scripts(app: Dash) -> None:
    from flask import Response
    from plotly.offline import get_plotlyjs

    ours = "\n".join([*map(_page.read, _page.SCRIPTS), (FOLDER / "tuner.js").read_text(encoding="utf-8")])
    for name, text in {"plotly.js": get_plotlyjs(), "tuner.js": ours}.items():
        app.server.add_url_rule(
            f"/{name}", name, lambda text=text: Response(text, mimetype="text/javascript; charset=utf-8")
        )


def _refuse_other_hosts(app: Dash) -> None:
    """A page elsewhere whose name is made to mean this machine must not reach the settings or the files."""
    from flask import abort, request

    def check() -> None:
        if request.host.rsplit(":", 1)[0] not in HOSTS:
            abort(403)

    app.server.before_request(check)


@dataclass
class _Visit:
    """One opened page: the number of its last request, and whether its next answer has to be whole."""

    last: int = 0
    whole: bool = True


class _Callbacks:
    """What happens when something is moved; one at a time, and of those of a page that wait only the last."""

    def __init__(self, source: Source, start: UnitsConfig) -> None:
        self.source, self.start, self.session = source, start, Session(source)
        self._working, self._counting = threading.Lock(), threading.Lock()
        self._numbers = count(1)
        self._visits: dict[str, _Visit] = {}
        self._scenes: dict[int, bytes] = {}

    def attach(self, app: Dash) -> None:
        """Tell ``app`` of all of them."""
        once = {"prevent_initial_call": True}
        everything = [State(SETTINGS, "value"), State(SWITCHES, "value")]
        app.callback(
            [Output("news", "data"), Output("numbers", "children"), Output("trouble", "children")],
            [Input(SETTINGS, "value"), Input(SWITCHES, "value"), Input("frame", "value"), Input("pinned", "data")],
            State("visit", "data"),
        )(self.look)
        app.callback(Output("said", "children"), Input("save", "n_clicks"), State("file", "value"), everything, **once)(
            self.save
        )
        app.callback([Output(SETTINGS, "value"), Output(SWITCHES, "value")], Input("reset", "n_clicks"), **once)(
            self.reset
        )
        app.callback(
            Output("pinned", "data"), Input("pin", "n_clicks"), Input("unpin", "n_clicks"), everything, **once
        )(self.pin)
        app.callback(
            Output(controls.identity(controls.VALUE, MATCH), "disabled"),
            Input(controls.identity(controls.AUTOMATIC, MATCH), "value"),
        )(bool)
        app.server.add_url_rule("/scene/<int:number>", "scene", self.scene)
        receive = ClientsideFunction("tuner", "receive")
        app.clientside_callback(receive, Output("sink", "children"), Input("news", "data"))

    def look(self, _settings: Any, _switches: Any, frame: int | None, pinned: Any, visit: str) -> tuple[Any, Any, Any]:
        """News of the scene, the numbers and no trouble; or only the trouble."""
        shown = ctx.inputs_list[0] + ctx.inputs_list[1]
        page = self._visits.setdefault(visit, _Visit())
        with self._counting:
            page.last = mine = next(self._numbers)
            # What is asked for and then overtaken must come with the next answer.
            page.whole = page.whole or ctx.triggered_id in (None, "frame", "pinned")
        with self._working:
            if mine != page.last:
                raise PreventUpdate
            try:
                answer = self._look(controls.read(shown), int(frame or 0), pinned, mine, page.whole)
            except XmodalError as error:
                return no_update, no_update, _trouble(error.message, error.hint)
            page.whole = False
            return answer

    def _look(self, config: UnitsConfig, frame: int, pinned: Any, number: int, whole: bool) -> tuple[Any, Any, Any]:
        before = None if pinned is None else validate(UnitsConfig, pinned, "units", "the pinned settings")
        shown = self.session.look(frame, config, before, whole=whole)
        self._keep(number, shown)
        news = {
            "scene": number,
            "whole": whole,
            "pinned": before is not None,
            "changed": list(controls.changed(config, self.start)),
            "command": command_line(self.source.options, frame, config),
        }
        reason = _trouble(f"no units: {shown.reason}", WHAT_THEN) if shown.reason else []
        return news, numbers(shown, config, before), reason

    def _keep(self, number: int, shown: Shown) -> None:
        """Keep the scenes until the page fetches them by their number: Dash would compare millions of characters."""
        text = json.dumps({"a": shown.pinned_scene, "b": shown.scene}, separators=(",", ":"), ensure_ascii=False)
        self._scenes[number] = text.encode("utf-8")
        for old in sorted(self._scenes)[:-KEPT]:
            del self._scenes[old]

    def scene(self, number: int) -> Any:
        """The scenes kept under ``number``."""
        from flask import Response

        kept = self._scenes.get(number)
        return Response(status=410) if kept is None else Response(kept, mimetype="application/json")

    def save(self, _clicks: int, file: str | None, _settings: Any, _switches: Any) -> Any:
        """Write the settings; tell where, and what takes them."""
        try:
            config = controls.read(ctx.states_list[1] + ctx.states_list[2])
            path = save_yaml(Path(file or ""), config)
        except XmodalError as error:
            return _trouble(error.message, error.hint)
        return [
            html.P(["saved as ", html.B(str(path))]),
            html.Code(f"xmodal pretrain --config {quote(str(path))} {self.source.options}"),
        ]

    def reset(self, _clicks: int) -> tuple[list[Any], list[Any]]:
        """All controls as at the start."""
        values, switches = ctx.outputs_list
        return (
            controls.held(self.start, [output["id"] for output in values]),
            controls.held(self.start, [output["id"] for output in switches]),
        )

    def pin(self, _pin: Any, _unpin: Any, _settings: Any, _switches: Any) -> Any:
        """The settings to compare with; None for none."""
        if ctx.triggered_id == "unpin":
            return None
        try:
            return controls.read(ctx.states_list[0] + ctx.states_list[1]).model_dump()
        except XmodalError:
            return no_update  # it is shown where the controls are read


def _trouble(message: str, hint: str) -> list[Any]:
    return [html.P(message), html.Small(hint)]
