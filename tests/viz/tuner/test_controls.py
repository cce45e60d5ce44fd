"""The controls are the settings: none is missing, none is forgotten when they are read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viz.tuner import controls
from xmodal_core.config import Entry, entries
from xmodal_core.errors import InputError
from xmodal_core.units.config import UnitsConfig


def within(component: Any) -> Iterator[Any]:
    """``component`` and all that lies in it."""
    yield component
    children = getattr(component, "children", None) or []
    for child in children if isinstance(children, list) else [children]:
        if not isinstance(child, (str, int, float)):
            yield from within(child)


def made(config: UnitsConfig) -> dict[tuple[str, str], Any]:
    """The controls by kind and path."""
    found = {}
    for fold in controls.groups(config):
        for component in within(fold):
            own = getattr(component, "id", None)
            if isinstance(own, dict):
                found[own["kind"], own["path"]] = component
    return found


def values_of(entry: Entry) -> st.SearchStrategy[Any]:
    """Any value that the control of a setting can take."""
    if entry.kind is bool:
        return st.booleans()
    if get_origin(entry.kind) is Literal:
        return st.sampled_from(get_args(entry.kind))
    whole = entry.kind is int
    numbers: Any = st.integers(int(entry.ge or 0), int(entry.le or 0)) if whole else st.floats(entry.ge, entry.le)
    return st.none() | numbers if controls.may_be_empty(entry) else numbers


def settings_tree(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        step, name = path.split(".")
        tree.setdefault(step, {})[name] = value
    return tree


CONFIGS = st.fixed_dictionaries({entry.path: values_of(entry) for entry in entries(UnitsConfig)}).map(
    lambda values: UnitsConfig.model_validate(settings_tree(values))
)


def test_every_setting_has_its_control_with_bounds_and_words() -> None:
    config = UnitsConfig()
    found = made(config)
    assert [path for kind, path in found if kind == controls.VALUE] == [entry.path for entry in entries(UnitsConfig)]
    for entry in entries(UnitsConfig):
        control = found[controls.VALUE, entry.path]
        if hasattr(control, "min"):
            assert (control.min, control.max, control.step) == (entry.ge, entry.le, entry.step)
    words = [getattr(part, "children", None) for fold in controls.groups(config) for part in within(fold)]
    for entry in entries(UnitsConfig):
        assert entry.words in words


@settings(max_examples=40, deadline=None)
@given(config=CONFIGS)
def test_what_the_controls_show_reads_back_as_the_settings(config: UnitsConfig) -> None:
    ids = [{"kind": kind, "path": path} for kind, path in made(UnitsConfig())]
    values = controls.held(config, ids)
    assert controls.read([{"id": own, "value": value} for own, value in zip(ids, values, strict=True)]) == config
    for own, component in zip(ids, made(config).values(), strict=True):
        assert component.value == controls.held(config, [own])[0]


def test_a_value_that_is_missing_or_out_of_bounds_is_named() -> None:
    ids = [{"kind": kind, "path": path} for kind, path in made(UnitsConfig())]
    for value in (None, 1e9):
        held = dict(zip([own["path"] for own in ids], controls.held(UnitsConfig(), ids), strict=True))
        held["ground.max_slope"] = value
        with pytest.raises(InputError, match=r"units\.ground\.max_slope"):
            controls.read([{"id": own, "value": held[own["path"]]} for own in ids])


def test_what_changed() -> None:
    config = UnitsConfig.model_validate({"ground": {"sensor_height": 1.8}, "context": {"kind": "pillar"}})
    assert list(controls.changed(config, UnitsConfig())) == ["ground.sensor_height", "context.kind"]
    assert list(controls.changed(config, config)) == []
