"""The full state of a run, ``checkpoint.pt``: what ``--resume`` needs to go on to the same weights.

Random numbers are not in it: they are drawn anew for every step and every frame from the run's seed (``loop``,
``examples``), as are the order of frames (``plan``) and the learning rate (``optim``). So the position is one number,
the steps done.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xmodal_core.errors import DataError, InputError

FILE_NAME = "checkpoint.pt"
SCHEMA = 1


@dataclass
class Progress:
    """How far a run is, over all its sittings.

    Args:
        step: steps done.
        frames: frames trained on, each as often as it was.
        skipped: frames skipped, each as often as it was.
        seconds: time spent.
        peak_memory: the most memory taken so far, bytes.
    """

    step: int = 0
    frames: int = 0
    skipped: int = 0
    seconds: float = 0.0
    peak_memory: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A run between two steps.

    Args:
        progress: how far it is.
        method: the trained state of the module, a method or a task.
        optimizer: the optimiser's state.
        scaler: the state of the gradient scaler of 16-bit training, else empty.
    """

    progress: Progress
    method: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    scaler: Mapping[str, Any]


def save_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``file``, whole or not at all, even where the power fails."""
    content = {
        "schema": SCHEMA,
        "progress": asdict(checkpoint.progress),
        "method": dict(checkpoint.method),
        "optimizer": dict(checkpoint.optimizer),
        "scaler": dict(checkpoint.scaler),
    }
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(file: Path) -> Checkpoint:
    """Read ``file`` into the CPU's memory.

    Raises:
        InputError: it is no full state (a slim file, another program's).
        DataError: it is missing or damaged.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(
            f"no checkpoint at {file}", "name a run folder made by 'xmodal pretrain' or 'xmodal finetune'"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{file} is damaged or no checkpoint: {first}", "start the run anew") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or "optimizer" not in content:
        raise InputError(
            f"{file} is not the full state of a run (schema {SCHEMA})", "resume from a folder that has checkpoint.pt"
        )
    return Checkpoint(Progress(**content["progress"]), content["method"], content["optimizer"], content["scaler"])
