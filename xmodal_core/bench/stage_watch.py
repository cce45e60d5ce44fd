"""How long each stage of a network takes in a step, forwards and backwards."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

OTHER = "norms and the rest"
"""What a step does outside all stages: batch norm and ReLU between sparse convolutions, for the most part."""


def now(device: torch.device) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


class StageWatch:
    """Seconds of each stage in a step, without those of stages within it, and to which stage autograd's nodes belong.

    Nodes are numbered as they are made, so those of a stage have the numbers between its beginning and its end.
    """

    def __init__(self, device: torch.device) -> None:
        self.forward: defaultdict[str, float] = defaultdict(float)
        self.backward: defaultdict[str, float] = defaultdict(float)
        self.visits: Counter[str] = Counter()
        self._device = device
        self._within = [OTHER]
        self._since = now(device)
        self._changes: list[tuple[int, str]] = [(_next_node(), OTHER)]
        self._began: list[float] = []

    def enter(self, name: str) -> None:
        """The stage ``name`` begins."""
        self._settle()
        self.visits[name] += 1
        self._within.append(name)
        self._changes.append((_next_node(), name))

    def leave(self, name: str) -> None:
        """It ends."""
        self._settle()
        self._within.pop()
        self._changes.append((_next_node(), self._within[-1]))

    def end_forward(self) -> None:
        """The forward pass is over."""
        self._settle()

    def watch_backward(self, loss: Tensor) -> Callable[[], None]:
        """Time every node that ``loss`` depends on; returns what ends that, and gives what is left to ``OTHER``."""
        assert loss.grad_fn is not None
        for node in _nodes(loss.grad_fn):
            name = self._stage_of(node)
            node.register_prehook(lambda *_: self._began.append(now(self._device)))
            node.register_hook(lambda *_, name=name: self._add_backward(name))
        start = now(self._device)

        def end() -> None:
            whole = now(self._device) - start
            self.backward[OTHER] += max(whole - sum(self.backward.values()), 0.0)

        return end

    def _settle(self) -> None:
        time = now(self._device)
        self.forward[self._within[-1]] += time - self._since
        self._since = time

    def _add_backward(self, name: str) -> None:
        self.backward[name] += now(self._device) - self._began.pop()

    def _stage_of(self, node: Any) -> str:
        number = node._sequence_nr()
        place = bisect_right(self._changes, number, key=lambda change: change[0]) - 1
        return self._changes[place][1]


def _next_node() -> int:
    """The number that autograd will give to the next node of this thread."""
    number: int = torch._C._autograd._get_sequence_nr()
    return number


def _nodes(last: Any) -> list[Any]:
    """``last`` and all nodes that it leads to, but those that gather the gradients of weights."""
    seen, left = {last}, [last]
    while left:
        for node, _ in left.pop().next_functions:
            if node is not None and node not in seen and node.next_functions:
                seen.add(node)
                left.append(node)
    return list(seen)
