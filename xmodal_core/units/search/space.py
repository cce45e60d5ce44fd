"""The search space: which settings are varied, and between what; made from the settings themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from xmodal_core.config import Entry, Settings, entries, validate
from xmodal_core.errors import InputError, known_names

if TYPE_CHECKING:
    from optuna.trial import Trial

S = TypeVar("S", bound=Settings)

SECTION = "units"
GIVEN = " given"
"""Behind the name of a setting that may be empty: the parameter that says whether it is not."""

MOVING, NEAR = 2.0, 0.15
"""Of a trial near the best so far: how many settings move, in the mean, and how far a number moves at most, as a share
of its range."""


def varied(kind: type[Settings], names: Sequence[str]) -> tuple[Entry, ...]:
    """The settings that ``names`` stand for: single ones or groups, with or without ``units.`` before them.

    Raises:
        InputError: there is no such setting or group, or one has no bounds to search between.
    """
    every = list(entries(kind))
    chosen: set[str] = set()
    for name in names:
        path = name.strip().removeprefix(f"{SECTION}.")
        found = [entry for entry in every if path in (SECTION, entry.path) or entry.path.startswith(f"{path}.")]
        if not found:
            groups = dict.fromkeys(entry.path.rpartition(".")[0] for entry in every)
            known = [f"{SECTION}.{known}" for known in (*groups, *(entry.path for entry in every)) if known]
            raise InputError(f"there is no setting or group '{name}' to vary", known_names(known, f"{SECTION}.{path}"))
        chosen.update(entry.path for entry in found)
    result = tuple(entry for entry in every if entry.path in chosen)
    for entry in result:
        if not choices(entry) and (entry.ge is None or entry.le is None):
            raise InputError(f"'{SECTION}.{entry.path}' has no bounds to search between", "set it by hand with --set")
    return result


def choices(entry: Entry) -> tuple[Any, ...]:
    """What a switch or a choice can be; empty for a number."""
    kinds = _kinds(entry)
    if bool in kinds:
        return (False, True)
    return tuple(value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))


def may_be_empty(entry: Entry) -> bool:
    """Whether None is a value of a setting."""
    return type(None) in _kinds(entry)


def value_of(settings: Settings, entry: Entry) -> Any:
    """What ``settings`` has for ``entry``."""
    return reduce(getattr, entry.path.split("."), settings)


def with_values(settings: S, values: Mapping[str, Any]) -> S:
    """``settings`` with other ``values``, by path.

    Raises:
        InputError: they do not fit together.
    """
    tree = settings.model_dump()
    for path, value in values.items():
        *groups, leaf = path.split(".")
        reduce(lambda branch, group: branch[group], groups, tree)[leaf] = value
    return validate(type(settings), tree, SECTION)


def changes(before: Settings, after: Settings) -> dict[str, tuple[Any, Any]]:
    """The settings, by path, that two of one class have different values of: before and after."""
    pairs = {entry.path: (value_of(before, entry), value_of(after, entry)) for entry in entries(type(before))}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def suggest(trial: Trial, space: Sequence[Entry]) -> dict[str, Any]:
    """A value of each setting of ``space``, chosen by Optuna; by path."""
    values: dict[str, Any] = {}
    for entry in space:
        if may_be_empty(entry) and not trial.suggest_categorical(entry.path + GIVEN, (False, True)):
            values[entry.path] = None
        else:
            values[entry.path] = _suggest(trial, entry)
    return values


def _suggest(trial: Trial, entry: Entry) -> Any:
    if options := choices(entry):
        return trial.suggest_categorical(entry.path, options)
    low, high, step = bounds(entry)
    if int in _kinds(entry):
        return trial.suggest_int(entry.path, round(low), round(high), step=round(step or 1))
    return tidy(trial.suggest_float(entry.path, low, high, step=step), step)


def parameters(settings: Settings, space: Sequence[Entry]) -> dict[str, Any]:
    """What ``suggest`` would have to be given for these ``settings``, or the nearest that it can give."""
    result: dict[str, Any] = {}
    for entry in space:
        value = value_of(settings, entry)
        if may_be_empty(entry):
            result[entry.path + GIVEN] = value is not None
        if value is not None:
            result[entry.path] = value if choices(entry) else on_grid(entry, value)
    return result


def read(space: Sequence[Entry], found: Mapping[str, Any]) -> dict[str, Any]:
    """The values by path of a trial's parameters: the other way round than ``parameters``."""
    values: dict[str, Any] = {}
    for entry in space:
        if not found.get(entry.path + GIVEN, True):
            values[entry.path] = None
        elif choices(entry) or int in _kinds(entry):
            values[entry.path] = found[entry.path]
        else:
            values[entry.path] = tidy(found[entry.path], bounds(entry)[2])
    return values


def neighbour(settings: Settings, space: Sequence[Entry], random: np.random.Generator) -> dict[str, Any]:
    """Parameters of a trial near ``settings``: a few of them move, at least one, and numbers only a little."""
    result = parameters(settings, space)
    moves = random.random(len(space)) < MOVING / len(space)
    moves[random.integers(len(space))] = True
    for entry in (entry for entry, moved in zip(space, moves, strict=True) if moved):
        if may_be_empty(entry) and random.random() < 0.5:
            result[entry.path + GIVEN] = not result[entry.path + GIVEN]
        if options := choices(entry):
            result[entry.path] = options[int(random.integers(len(options)))]
        else:
            low, high, _ = bounds(entry)
            middle = result.get(entry.path, (low + high) / 2)
            result[entry.path] = on_grid(entry, middle + random.uniform(-NEAR, NEAR) * (high - low))
    return result


def on_grid(entry: Entry, value: float) -> Any:
    """The number nearest to ``value`` that ``entry``'s bounds and step allow."""
    low, high, step = bounds(entry)
    value = min(max(value, low), high)
    if int in _kinds(entry):
        step = step or 1
    if step:
        value = low + round((value - low) / step) * step
    return round(value) if int in _kinds(entry) else tidy(value, step)


def bounds(entry: Entry) -> tuple[float, float, float | None]:
    """Lowest and highest value of a number, and the step between values; the highest lies a whole number of steps
    above the lowest."""
    assert entry.ge is not None
    assert entry.le is not None
    if not entry.step:
        return entry.ge, entry.le, None
    steps = int((entry.le - entry.ge) / entry.step + 1e-9)
    return entry.ge, tidy(entry.ge + steps * entry.step, entry.step), entry.step


def tidy(value: float, step: float | None) -> float:
    """``value`` without the dust of arithmetic: 0.3, not 0.30000000000000004."""
    return round(value, 9) if step else float(f"{value:.4g}")


def _kinds(entry: Entry) -> tuple[Any, ...]:
    """The types that a setting may have; more than one where it may be empty."""
    return get_args(entry.kind) if get_origin(entry.kind) in (Union, UnionType) else (entry.kind,)


def shown(values: Mapping[str, tuple[Any, Any]]) -> Iterator[tuple[str, str, str]]:
    """``changes`` in words: the full name of a setting, before, after."""
    for path, pair in values.items():
        before, after = ("–" if value is None else f"{value:g}" if _number(value) else str(value) for value in pair)
        yield f"{SECTION}.{path}", before, after


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
