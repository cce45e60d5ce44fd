"""What a window shows at the moment, and what its keys and clicks do. No word of any graphics library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from viz.scene import ALL, Scene, Stage
from viz.viewers._chosen import choose_unit
from xmodal_core.types import Doubles, Ints

Change = Literal["nothing", "stage", "look", "step", "close"]
"""What a key changed: the stage shown, the place one looks from, the frame (asked for), or the window is to close."""

KEYS = "1-{stages} stage   click: pick a {thing}   {similarity}N / P next, previous frame   V view   Q close"


@dataclass
class Browsing:
    """The state of a window.

    Args:
        scene: what is looked at.
        stage: the stage shown.
        unit: the picked unit, or -1.
        above: looking from above, not from behind.
        note: a line for the person looking: what the picked unit is, why there is no next frame.
        step: how many frames on the person wants to go; 0 for none.
    """

    scene: Scene
    stage: str = ""
    unit: int = -1
    above: bool = False
    note: str = ""
    step: int = 0

    def __post_init__(self) -> None:
        if not self.stage:
            names = [stage.name for stage in self.scene.stages]
            usual = "units" if "units" in names else names[-1]
            self.stage = usual if self.scene.opening == ALL else self.scene.opening

    @property
    def shown(self) -> Stage:
        return self.scene.stage(self.stage)

    @property
    def keys(self) -> str:
        """What the keys do, in one line."""
        similarity = "S similarity   " if self.scene.similarities is not None else ""
        return KEYS.format(stages=len(self.scene.stages), thing=self.scene.thing, similarity=similarity)

    @property
    def rows(self) -> Ints:
        """Points of the cloud that belong to the picked unit."""
        return np.flatnonzero(self.scene.members["unit"] == self.unit) if self.unit >= 0 else np.zeros(0, np.int64)

    def press(self, key: str) -> Change:
        """A key, as its character in lower case."""
        if key.isdigit() and 1 <= int(key) <= len(self.scene.stages):
            self.stage = self.scene.stages[int(key) - 1].name
            return "stage"
        if key == "s" and self.scene.similarities is not None:
            self.stage = "similarity"
            return "stage"
        if key == "v":
            self.above = not self.above
            return "look"
        if key in ("n", "p") and self.step == 0:
            self.step = 1 if key == "n" else -1
            self.note = (
                "finding units in the next frame ..." if key == "n" else "finding units in the previous frame ..."
            )
            return "step"
        return "close" if key == "q" else "nothing"

    def pick(self, row: int) -> None:
        """Choose the unit of point ``row`` of the cloud; -1 or a point in no unit lets go of it."""
        self.unit = int(self.scene.members["unit"][row]) if row >= 0 else -1
        if self.unit >= 0:
            self.note = self.scene.words["unit"][self.unit]
            self.scene = choose_unit(self.scene, self.unit)
        elif row >= 0 and self.scene.members["cluster"][row] >= 0:
            self.note = self.scene.words["cluster"][int(self.scene.members["cluster"][row])]
        else:
            self.note = ""

    def arrive(self, answer: Scene | str) -> bool:
        """The frame that was asked for, or why there is none; whether the scene changed."""
        self.step = 0
        if isinstance(answer, str):
            self.note = answer
            return False
        self.scene, self.unit, self.note = answer, -1, ""
        if self.stage not in {stage.name for stage in answer.stages}:
            self.stage = "units"
        return True


def nearest_row(
    cloud: NDArray[np.float32], transform: Doubles, size: tuple[int, int], at: tuple[float, float], reach: float = 8.0
) -> int:
    """The row of the point of ``cloud`` that a click at pixel ``at`` means, or -1.

    Args:
        cloud: (M,3) metres.
        transform: (4,4) from the world to clip coordinates.
        size: (width, height) of the view in pixels.
        at: pixels from its upper left corner.
        reach: how far from the click a point may lie, pixels; of those within, the one nearest to the eye is meant.
    """
    clip = cloud.astype(np.float64) @ transform[:, :3].T + transform[:, 3]
    front = np.flatnonzero(clip[:, 3] > 1e-6)
    x, y = (clip[front, :2] / clip[front, 3:]).T
    u, v = (x + 1) / 2 * size[0], (1 - y) / 2 * size[1]
    near = np.flatnonzero(np.hypot(u - at[0], v - at[1]) <= reach)
    if not len(near):
        return -1
    return int(front[near[np.argmin(clip[front[near], 3])]])
