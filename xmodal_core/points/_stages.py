"""The stages of a network by name, so that whoever watches a call can tell where its time goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from typing import Protocol

VOXELISE = "voxelise"
SAMPLING = "sampling"
GROUPING = "grouping"
PAIRS = "index pairs"
CONVOLUTIONS = "convolutions"
DENSE = "dense 2D"
LAYERS = "layers"
READ = "read back"
STAGES = (VOXELISE, SAMPLING, GROUPING, PAIRS, CONVOLUTIONS, DENSE, LAYERS, READ)
"""In the order of the way through; of stages within one another the inner one counts."""


class Watcher(Protocol):
    """What is told of stages."""

    def enter(self, name: str) -> None:
        """The stage ``name`` begins."""

    def leave(self, name: str) -> None:
        """It ends."""


_watchers: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Within it, ``watcher`` is told of every stage."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class stage(ContextDecorator):  # noqa: N801 - used as a decorator
    """What is within it, or calls of the function that it decorates, belong to the stage ``name``.

    Nothing is measured here: where nobody watches, it looks into an empty list twice.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        for watcher in _watchers:
            watcher.enter(self.name)

    def __exit__(self, *exception: object) -> None:
        for watcher in _watchers:
            watcher.leave(self.name)
