"""The search space: made from the settings, and nothing in it that they would refuse."""

from __future__ import annotations

from typing import Literal

import numpy as np
import optuna
import pytest

from xmodal_core.config import Settings, entries, setting
from xmodal_core.errors import InputError
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.search import space as spaces
from xmodal_core.units.search.objective import OBJECTIVES
from xmodal_core.units.search.space import changes, neighbour, parameters, read, suggest, varied, with_values

EVERY = varied(UnitsConfig, ["units"])


def paths(*names: str) -> list[str]:
    return [entry.path for entry in varied(UnitsConfig, names)]


def test_groups_and_single_settings_in_the_order_of_the_settings() -> None:
    assert [entry.path for entry in EVERY] == [entry.path for entry in entries(UnitsConfig)]
    assert paths("units.context", "seeds.count") == [
        "seeds.count",
        "context.kind",
        "context.neighbours",
        "context.radius",
        "context.pillar_size",
    ]
    assert paths("instances.radius", " units.instances.radius ") == ["instances.radius"], "no other name begins so"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_an_objective_varies_is_there(name: str) -> None:
    assert sorted(paths(*OBJECTIVES[name].vary)) == sorted(OBJECTIVES[name].vary)


def test_an_unknown_name_is_refused_with_the_near_one() -> None:
    with pytest.raises(InputError, match=r"there is no setting or group 'instances\.radus' to vary") as caught:
        varied(UnitsConfig, ["instances.radus"])
    assert caught.value.hint.startswith("did you mean 'units.instances.radius'? known: units.range, units.ground")


class Odd(Settings):
    free: float = setting(1.0, "without bounds")
    some: int | None = setting(None, "may be empty", ge=1, le=9)
    choice: Literal["a", "b"] | None = setting("a", "one of two, or none")
    rough: float = setting(1.0, "a step that does not divide the range", ge=0, le=1.05, step=0.5)


def test_a_setting_without_bounds_cannot_be_varied() -> None:
    with pytest.raises(InputError, match=r"'units\.free' has no bounds"):
        varied(Odd, ["free"])


def test_every_suggestion_is_a_setting(recwarn: pytest.WarningsRecorder) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    odd = varied(Odd, ["some", "choice", "rough"])
    seen: dict[str, set[object]] = {}
    for _ in range(60):
        trial = study.ask()
        values = suggest(trial, (*EVERY, *odd))
        with_values(UnitsConfig(), {entry.path: values[entry.path] for entry in EVERY})
        with_values(Odd(), {entry.path: values[entry.path] for entry in odd})
        assert read((*EVERY, *odd), trial.params) == values
        for path, value in values.items():
            seen.setdefault(path, set()).add(value)
    assert seen["context.kind"] == {"neighbours", "pillar"}
    assert seen["ground.level"] == seen["instances.enabled"] == {True, False}
    assert {None, 1, 9} < seen["some"] <= {None, *range(1, 10)}
    assert seen["choice"] == {None, "a", "b"}
    assert seen["rough"] == {0.0, 0.5, 1.0}
    assert None in seen["ground.sensor_height"]
    assert len(seen["ground.sensor_height"]) > 10
    assert all(isinstance(value, int) for value in seen["seeds.count"])
    assert all(len(repr(value)) < 8 for value in seen["instances.radius"]), "dust of arithmetic"
    assert not recwarn.list


@pytest.mark.parametrize("height", [None, 1.84])
def test_parameters_read_back_to_the_same_settings(height: float | None) -> None:
    settings = with_values(UnitsConfig(), {"ground.sensor_height": height, "context.kind": "pillar"})
    assert with_values(UnitsConfig(), read(EVERY, parameters(settings, EVERY))) == settings


def test_values_off_the_grid_go_to_the_nearest_on_it() -> None:
    settings = with_values(UnitsConfig(), {"instances.radius": 0.333, "seeds.count": 1000})
    found = read(EVERY, parameters(settings, EVERY))
    assert (found["instances.radius"], found["seeds.count"]) == (0.35, 1008)


def test_neighbours_are_near_and_none_is_the_same() -> None:
    start = UnitsConfig()
    before, moved = parameters(start, EVERY), []
    for number in range(60):
        after = neighbour(start, EVERY, np.random.default_rng(number))
        assert after == neighbour(start, EVERY, np.random.default_rng(number))
        with_values(start, read(EVERY, after))
        moved.append(sum(after.get(name) != value for name, value in before.items()))
        for entry in EVERY:
            if entry.path in before and not spaces.choices(entry):
                low, high, step = spaces.bounds(entry)
                assert abs(after[entry.path] - before[entry.path]) <= spaces.NEAR * (high - low) + (step or 0)
    assert 1 <= np.mean(moved) <= 3
    assert max(moved) > 2


def test_changes_in_words() -> None:
    after = with_values(UnitsConfig(), {"ground.sensor_height": 1.8, "context.kind": "pillar", "ground.level": False})
    assert list(spaces.shown(changes(UnitsConfig(), after))) == [
        ("units.ground.sensor_height", "–", "1.8"),
        ("units.ground.level", "True", "False"),
        ("units.context.kind", "neighbours", "pillar"),
    ]
