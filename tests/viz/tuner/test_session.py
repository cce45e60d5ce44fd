"""What is worked out when something is moved, and what is not worked out again."""

from __future__ import annotations

import numpy as np
import pytest

from tests.viz.tuner.conftest import ExampleSource
from viz.tuner.session import Session
from xmodal_core.errors import DataError
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.discovery import discover


def changed(config: UnitsConfig, step: str, **values: object) -> UnitsConfig:
    part = getattr(config, step).model_copy(update=values)
    return config.model_copy(update={step: part})


def test_it_shows_what_discover_finds(source: ExampleSource, small: UnitsConfig) -> None:
    session = Session(source)
    for config in (small, changed(small, "instances", max_length=3.0), changed(small, "seeds", count=64)):
        shown = session.look(0, config)
        expected = discover(source.dataset.frame(0), config)
        np.testing.assert_array_equal(shown.found.units.unit, expected.unit)
        assert shown.found.statistics.units == expected.count
        assert shown.reason == ""
        assert shown.milliseconds > 0


def test_only_what_a_setting_touches_is_done_again_and_the_frame_is_read_once(
    source: ExampleSource, small: UnitsConfig
) -> None:
    session = Session(source)
    assert len(session.look(0, small).found.ran) == 7
    assert session.look(0, small, whole=False).found.ran == ()
    assert session.look(0, changed(small, "instances", max_height=1.0), whole=False).found.ran == ("filters", "merge")
    assert source.read == [0]
    assert len(session.look(1, small).found.ran) == 7
    assert source.read == [0, 1]


def test_pictures_go_once(source: ExampleSource, small: UnitsConfig) -> None:
    session = Session(source)
    whole, later = session.look(0, small).scene, session.look(0, small, whole=False).scene
    assert all(view["image"].startswith("data:image/jpeg") for view in whole["views"])
    assert [view["image"] for view in later["views"]] == [None] * 6


def test_pinned_settings_are_shown_beside(source: ExampleSource, small: UnitsConfig) -> None:
    session, other = Session(source), changed(small, "instances", enabled=False)
    shown = session.look(0, other, small)
    assert shown.pinned is not None
    assert shown.pinned_scene is not None
    assert shown.pinned.statistics.units < shown.found.statistics.units == 304
    assert shown.scene["stages"][-1]["name"] == "changes"
    assert "changes" not in [stage["name"] for stage in shown.pinned_scene["stages"]]
    # Each may be the first that is shown of this frame.
    for scene in (shown.scene, shown.pinned_scene):
        assert all(view["image"].startswith("data:image/jpeg") for view in scene["views"])
    again = session.look(0, other, small, whole=False)
    assert again.pinned is not None
    assert again.pinned.ran == ()
    assert again.pinned_scene is None


def test_a_frame_without_units_is_explained(source: ExampleSource, small: UnitsConfig) -> None:
    session = Session(source)
    shown = session.look(2, small)
    assert shown.found.units.count == 0
    assert "nothing but ground" in shown.reason
    assert shown.scene["stages"]
    assert session.look(0, small).reason == ""


def test_a_damaged_frame_leaves_the_one_before(source: ExampleSource, small: UnitsConfig) -> None:
    session = Session(source)
    session.look(0, small)
    with pytest.raises(DataError, match="gone"):
        session.look(3, small)
    assert session.look(0, small, whole=False).found.ran == ()


def test_without_a_comparison_there_is_no_similarity(
    source: ExampleSource, small: UnitsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "comparison", lambda frame: None)
    shown = Session(source).look(0, small)
    assert shown.found.features is None
    assert shown.scene["similarities"] is None
    assert "similarity" not in [stage["name"] for stage in shown.scene["stages"]]
