"""Where things are put down: the growing list of what stands in a scene and of what moves through it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sample_data.meshes import Mesh
from sample_data.models import Model
from sample_data.motion import Motion, Standing
from sample_data.roads import Roads
from xmodal_core.types import Doubles, Floats


@dataclass(frozen=True)
class Thing:
    """One thing of a scene; ``number`` is what its triangles carry.

    Args:
        number: 0 is the ground.
        model: its triangles and labels.
        motion: where it is.
        attribute: how a person or vehicle behaves when it stands: "parked", "stopped", "standing", "" for the rest.
    """

    number: int
    model: Model
    motion: Motion
    attribute: str = ""

    @property
    def labelled(self) -> bool:
        """It is annotated with a box."""
        return self.model.size is not None

    def mesh(self, time: float, pose: Doubles) -> Mesh:
        """Its triangles where it is, in the phase of its gait."""
        shape = self.model.mesh
        if self.model.stride > 0 and len(self.model.poses) > 1:
            phase = self.motion.gone(time) / self.model.stride
            shape = self.model.poses[int(np.floor(phase * len(self.model.poses))) % len(self.model.poses)]
        return shape.moved(pose[:3, :3], pose[:3, 3])


@dataclass
class Site:
    """A scene under construction.

    Args:
        roads: what it is built along.
        standing, moving: the things in it; their numbers are given out in order, from 1.
    """

    roads: Roads
    standing: list[Thing] = field(default_factory=list)
    moving: list[Thing] = field(default_factory=list)

    @property
    def _next(self) -> int:
        return 1 + len(self.standing) + len(self.moving)

    def stand(
        self, model: Model, x: float, y: float, heading: float, *, upright: bool = False, attribute: str = ""
    ) -> None:
        """Put ``model`` on the ground."""
        motion = Standing(self.roads, float(x), float(y), float(heading), upright)
        self.standing.append(Thing(self._next, model, motion, attribute))

    def plant(self, mesh: Mesh, category: str, x: float, y: float, heading: float) -> None:
        """Put an unlabelled, upright thing on the ground."""
        self.stand(Model(category, (mesh,)), x, y, heading, upright=True)

    def beside(self, mesh: Mesh, category: str, s: float, t: float, turn: float = 0.0) -> None:
        """As ``plant``, at the main road's (s, t), turned from the road's direction by ``turn``."""
        x, y, heading = self.roads.at(s, t)
        self.plant(mesh, category, float(x), float(y), float(heading) + turn)

    def send(self, model: Model, motion: Motion, attribute: str = "") -> None:
        """Let ``model`` move through the scene."""
        self.moving.append(Thing(self._next, model, motion, attribute))

    def parameters(self) -> Floats:
        """(things, ``PARAMETERS``) float32 of all things, the ground's row first."""
        from sample_data.models import PARAMETERS

        table = np.zeros((self._next, PARAMETERS), dtype=np.float32)
        for thing in (*self.standing, *self.moving):
            table[thing.number] = thing.model.row()
        return table

    def categories(self) -> list[str]:
        """The nuScenes category of each thing's points; the ground's are told by its kind."""
        names = ["flat.driveable_surface"] * self._next
        for thing in (*self.standing, *self.moving):
            names[thing.number] = thing.model.category
        return names
