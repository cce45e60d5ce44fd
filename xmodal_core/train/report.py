"""What a run tells whoever watches it. The engine never prints: a command line, a notebook or a test listens here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmodal_core.train.config import Experiment
from xmodal_core.train.metrics import Summary
from xmodal_core.train.plan import Plan


@dataclass(frozen=True)
class Header:
    """What runs, on what: known before the first step.

    Args:
        run: the folder.
        experiment: all settings.
        plan: frames, steps, epochs.
        step: steps done before; above 0 where a run is resumed.
        device: e.g. ``cpu, 2 threads`` or the GPU's name.
        precision: of the computation, bits.
        workers: processes that read frames.
        parameters: numbers in the network, which is what is exported.
        head_parameters: numbers trained beside it.
        differences: what is another version than when the run began.
        notes: what the data set's folder lacks, or leaves out.
        details: what else to know of this verb, a title and words each.
    """

    run: Path
    experiment: Experiment
    plan: Plan
    step: int
    device: str
    precision: str
    workers: int
    parameters: int
    head_parameters: int
    differences: tuple[str, ...]
    notes: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()


class Listener:
    """Does nothing; override what you want to hear of. Of several processes only the first one's is told."""

    def begins(self, header: Header) -> None:
        """Once, before the first step."""

    def step(self, line: Mapping[str, Any]) -> None:
        """After each step, its line of ``metrics.jsonl``."""

    def epoch(self, epoch: int, means: Mapping[str, float]) -> None:
        """After each epoch (from 1), its means over frames."""

    def saved(self, step: int) -> None:
        """After each checkpoint, which holds ``step`` steps."""

    def judged(self, line: Mapping[str, Any]) -> None:
        """After each evaluation, its line of ``evaluations.jsonl``."""

    def finishes(self, summary: Summary) -> None:
        """Once, when the last step is done."""
