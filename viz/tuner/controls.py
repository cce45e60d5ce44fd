"""A slider or switch for every setting of the units, made from the settings themselves, grouped by step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby
from typing import Any, Literal, get_args, get_origin

from dash import dcc, html

from xmodal_core.config import Entry, entries, validate
from xmodal_core.errors import InputError
from xmodal_core.units.config import UnitsConfig

VALUE, AUTOMATIC = "setting", "automatic"
"""The kinds of controls: the value of a setting, and whether one that may be empty is."""


def identity(kind: str, path: Any) -> dict[str, Any]:
    """The id of a control."""
    return {"kind": kind, "path": path}


def data(**values: str) -> dict[str, Any]:
    """Attributes ``data-…`` of an element."""
    return {f"data-{name}": value for name, value in values.items()}


def groups(config: UnitsConfig) -> list[Any]:
    """All controls, set to ``config``; a fold for each step."""
    folds = []
    for step, members in groupby(entries(UnitsConfig), lambda entry: entry.path.partition(".")[0]):
        words = (type(getattr(config, step)).__doc__ or "").strip().splitlines()[0]
        summary = html.Summary([html.B(step), html.Span(words, title=words)])
        rows = [_row(entry, value_of(config, entry.path)) for entry in members]
        folds.append(html.Details([summary, *rows], open=True, className="step"))
    return folds


def value_of(config: UnitsConfig, path: str) -> Any:
    """The setting at ``path``, e.g. ``ground.max_slope``."""
    return reduce(getattr, path.split("."), config)


def _row(entry: Entry, value: Any) -> Any:
    name = entry.path.partition(".")[2].replace("_", " ")
    head: list[Any] = [html.Label(name, title=f"units.{entry.path}")]
    if entry.unit:
        head.append(html.Span(entry.unit, className="unit-of"))
    if may_be_empty(entry):
        head.append(_switch(identity(AUTOMATIC, entry.path), value is None, "automatic"))
    start = json.dumps([_held(entry, value, kind) for kind in (VALUE, AUTOMATIC)])
    head.append(html.Button("↺", className="undo", title="back to where it was", **data(start=start)))
    control = _control(entry, value)
    # A switch fits beside its name.
    below = [] if entry.kind is bool else [control]
    if entry.kind is bool:
        head.insert(1, control)
    children = [html.Div(head, className="head"), *below, html.Small(entry.words)]
    return html.Div(children, className="setting", **data(path=entry.path))


def may_be_empty(entry: Entry) -> bool:
    """Whether None is a value of the setting."""
    return type(None) in get_args(entry.kind)


def _control(entry: Entry, value: Any) -> Any:
    own = identity(VALUE, entry.path)
    if entry.kind is bool:
        return _switch(own, bool(value), "on")
    if get_origin(entry.kind) is Literal:
        return dcc.RadioItems(list(get_args(entry.kind)), value, id=own, className="choice", inline=True)
    return dcc.Slider(
        min=entry.ge,
        max=entry.le,
        step=entry.step,
        value=between(entry) if value is None else value,
        id=own,
        marks={},
        disabled=value is None,
        updatemode="drag",
    )


def between(entry: Entry) -> float:
    """Where the slider of an empty setting stands: in the middle."""
    return round(((entry.ge or 0.0) + (entry.le or 0.0)) / 2, 2)


def _switch(own: dict[str, str], on: bool, words: str) -> Any:
    return dcc.Checklist([words], [words] if on else [], id=own, className="switch")


def read(controls: Sequence[Mapping[str, Any]]) -> UnitsConfig:
    """The settings that the controls show; ``controls`` are Dash's ``{"id", "value"}`` of all of both kinds.

    Raises:
        InputError: a value is missing or out of bounds, or several do not fit together.
    """
    shown = {(control["id"]["kind"], control["id"]["path"]): control.get("value") for control in controls}
    tree: dict[str, dict[str, Any]] = {}
    for entry in entries(UnitsConfig):
        step, _, name = entry.path.partition(".")
        value = shown[VALUE, entry.path]
        if entry.kind is bool:
            value = bool(value)
        elif shown.get((AUTOMATIC, entry.path)):
            value = None
        elif value is None:
            raise InputError(f"setting 'units.{entry.path}' has no value", f"type one, {entry.ge:g} to {entry.le:g}")
        tree.setdefault(step, {})[name] = value
    return validate(UnitsConfig, tree, "units", "the sliders")


def held(config: UnitsConfig, controls: Sequence[Mapping[str, str]]) -> list[Any]:
    """What the controls with these ids have to hold to show ``config``."""
    by_path = {entry.path: entry for entry in entries(UnitsConfig)}
    return [_held(by_path[own["path"]], value_of(config, own["path"]), own["kind"]) for own in controls]


def _held(entry: Entry, value: Any, kind: str) -> Any:
    if kind == AUTOMATIC:
        return ["automatic"] if value is None else []
    if entry.kind is bool:
        return ["on"] if value else []
    return between(entry) if value is None else value


def changed(config: UnitsConfig, start: UnitsConfig) -> Iterator[str]:
    """The paths of the settings that differ."""
    for entry in entries(UnitsConfig):
        if value_of(config, entry.path) != value_of(start, entry.path):
            yield entry.path
