"""How a benchmark measures, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")

OURS = "xmodal"
"""The name of this project's own row of a step."""


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table.

    Args:
        step: what is done.
        name: who does it; ``OURS`` or a peer.
        milliseconds: median of the repeats, after a warm-up.
        same_result: whether the peer's result equals ours; None where it is another method, and for ours.
        ratio_to_ours: ``milliseconds`` over those of ours in the same step; None where ours did not run.
    """

    step: str
    name: str
    milliseconds: float
    same_result: bool | None = None
    ratio_to_ours: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The row as ``--json`` prints it."""
        return {
            "step": self.step,
            "name": self.name,
            "milliseconds": round(self.milliseconds, 3),
            "ratio_to_ours": None if self.ratio_to_ours is None else round(self.ratio_to_ours, 3),
            "same_result": self.same_result,
        }


def measured(function: Callable[[], T], repeat: int, budget: float = 2.0) -> tuple[T, float]:
    """What ``function`` gives, and the median of its time in milliseconds.

    A first call warms up (compiles, fills caches) and is not counted. Then it is called ``repeat`` times, less often
    where that would take longer than ``budget`` seconds, but once at least.
    """
    result = function()
    times: list[float] = []
    while not times or (len(times) < repeat and sum(times) < budget):
        start = perf_counter()
        result = function()
        times.append(perf_counter() - start)
    return result, median(times) * 1e3


def with_ratios(rows: Iterable[Row]) -> list[Row]:
    """The rows with ``ratio_to_ours`` filled in."""
    rows = list(rows)
    ours = {row.step: row.milliseconds for row in rows if row.name == OURS}
    return [
        replace(row, ratio_to_ours=row.milliseconds / ours[row.step]) if ours.get(row.step) else row for row in rows
    ]
