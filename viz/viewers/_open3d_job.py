"""What passes between the process that asks and the child process in which Open3D runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from viz.scene import Scene
from viz.viewers._open3d_drawing import Look

JOB, PICTURES = "job.pickle", "pictures.npz"
QUESTION, ANSWER = "question.txt", "answer.pickle"
"""Files in their folder: what to do, what was drawn; how many frames on a window wants to go, and the scene there."""


@dataclass(frozen=True)
class Job:
    """What the child is to do.

    Args:
        kind: ``probe`` draws next to nothing, to see whether it can; ``pictures`` draws off screen; ``window``.
        scene: what to draw; None for a probe.
        stages: names of the stages to draw off screen.
        look: where from; for a window, at first.
        size: pixels of each picture, or of the window.
    """

    kind: Literal["probe", "pictures", "window"]
    scene: Scene | None
    stages: tuple[str, ...]
    look: Look
    size: tuple[int, int]
