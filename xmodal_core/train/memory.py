"""How much memory a run takes, and what to do when there is not enough."""

from __future__ import annotations

import sys

import torch

from xmodal_core.errors import RunError
from xmodal_core.train.config import Experiment


def peak_memory(device: torch.device) -> int:
    """The most bytes taken so far: of ``device`` where it is a GPU, else by this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that a GPU or the machine had no memory left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)


def out_of_memory(where: str, experiment: Experiment) -> RunError:
    """The error that names what to change."""
    knobs = "; ".join(experiment.memory_knobs())
    return RunError(f"out of memory {where}", f"make one of these smaller and start again: {knobs}")
