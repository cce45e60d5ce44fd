"""The steps of discovery, run by name: their times, and what of them has to be done again when settings change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from xmodal_core.config import Settings

P = ParamSpec("P")
R = TypeVar("R")


class Steps:
    """Calls functions and remembers, of each step, its last arguments and result: equal arguments give that result
    again.

    Arrays, settings, numbers and tuples of them are compared by value, all else by identity. A step must not change
    what it is given, nor may anyone change what it gave.

    Args:
        milliseconds: how long each step took when it last ran, in the order of first running.
        ran: the steps that ran since ``anew``.
    """

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self.ran: list[str] = []
        self._last: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def anew(self) -> Steps:
        """Itself, at the start of another round."""
        self.ran = []
        return self

    def __call__(self, name: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``function`` gives for these arguments, run only if it was not for them that it ran last as ``name``."""
        given = (function, args, tuple(kwargs.items()))
        if name in self._last and _same(self._last[name][0], given):
            remembered: R = self._last[name][1]
            return remembered
        start = perf_counter()
        result = function(*args, **kwargs)
        self.milliseconds[name] = (perf_counter() - start) * 1e3
        self.ran.append(name)
        self._last[name] = (given, result)
        return result

    @property
    def nbytes(self) -> int:
        """The memory of all arrays that are remembered, as arguments or results."""
        arrays = {id(array): array.nbytes for array in _arrays(tuple(self._last.values()))}
        return sum(arrays.values())


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and bool(np.array_equal(one, other))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, (Settings, str, int, float)) and bool(one == other)


def _arrays(value: Any) -> Iterator[NDArray[Any]]:
    """The arrays in ``value``, in tuples and in the fields of dataclasses."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _arrays(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            yield from _arrays(getattr(value, entry.name))
