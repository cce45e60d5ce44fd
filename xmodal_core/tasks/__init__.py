"""Tasks: each module but ``base`` is one; a head on a LiDAR network, trained on labels and judged by a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.points.base import PointNetwork
from xmodal_core.tasks.base import Task

__all__ = ["Task", "load_task"]


def load_task(
    name: str, network: PointNetwork, classes: Sequence[str], settings: Mapping[str, Any] | None = None
) -> Task:
    """The task ``name`` with a fresh head on ``network``; ``settings`` are its own options.

    Raises:
        InputError: the name or an option is unknown, or the network does not suit the task.
    """
    kind = plugins.load(plugins.TASK, name)
    task: Task = kind(validate(kind.Config, dict(settings or {}), "task", name), network, tuple(classes))
    return task
