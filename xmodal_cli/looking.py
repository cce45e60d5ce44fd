"""From the shared options to scenes: the frame, its units, and one unit compared with all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmodal_cli.chosen import TEACHER, chosen, chosen_balance, load_on_device
from xmodal_cli.drive import title_of
from xmodal_core import plugins
from xmodal_core.errors import InputError, XmodalError

if TYPE_CHECKING:
    from viz.scene import Scene
    from viz.similarity import Similarity
    from xmodal_core.config import Settings
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.images import Teacher
    from xmodal_core.types import Frame, Units
    from xmodal_core.units.config import UnitsConfig


@dataclass(frozen=True)
class Look:
    """One frame, ready to be drawn.

    Args:
        number: of the frame in its data set.
        frame, units: what is shown.
        scene: the picture of it.
        unit: the one compared with all others; None where none is.
        notes: what is left out and why, one line each.
    """

    number: int
    frame: Frame
    units: Units
    scene: Scene
    unit: int | None
    notes: tuple[str, ...]

    def found(self) -> dict[str, Any]:
        """What was found in the frame, as values that JSON can hold."""
        units = self.units
        return {
            "frame": self.number,
            "name": self.frame.name,
            "unit": self.unit,
            "points": len(self.frame),
            "ground": round(float(units.ground.mean()), 4) if len(self.frame) else 0.0,
            "sensor_height": round(units.sensor_height, 3),
            "seeds": len(units.seeds),
            "clusters": len(units.reasons),
            "instances": sum(reason == "kept" for reason in units.reasons),
            "units": units.count,
            "merged_seeds": int((units.instance[units.seeds] >= 0).sum()),
            "milliseconds": {step: round(value, 2) for step, value in units.milliseconds.items()},
        }


@dataclass
class Looking:
    """Makes scenes of a data set's frames.

    Args:
        dataset: opened.
        units: settings of discovery.
        stage: the stage to open on, or ``all``.
        compared: compare one unit with all others, where that can be done; with ``stage`` similarity it has to be.
        unit: the one to compare; None for one that tells much.
        config, assignments: where the teacher's and the method's settings are read from.
        teacher: its name; None for the one in the settings.
        on_step: told what is being done, in words.
    """

    dataset: Dataset
    units: UnitsConfig
    stage: str = "all"
    compared: bool = True
    unit: int | None = None
    config: Path | None = None
    assignments: Sequence[str] = ()
    teacher: str | None = None
    on_step: Callable[[str], None] = lambda words: None
    _loaded: Teacher | None = None
    _warm: bool = False

    @property
    def steps(self) -> int:
        """How often ``on_step`` is called for a frame with units."""
        return 5 if self.compared else 3

    @cached_property
    def _of_folder(self) -> tuple[str, ...]:
        """What the data set's folder lacks."""
        return self.dataset.notes()

    def look(self, number: int) -> Look:
        """Frame ``number`` as a scene.

        Raises:
            InputError: there is no such frame or unit, or it has nothing to compare and has to.
            DataError: a file of it is missing or damaged.
        """
        from viz.compose import compose
        from xmodal_core.units.discovery import discover
        from xmodal_core.units.miscalibration import measure_miscalibration

        self.on_step("reading")
        frame = self.dataset.frame(number)
        self.on_step("finding units")
        if not self._warm:  # the first call in a process also loads compiled code, which is no time of a step
            discover(frame, self.units)
            self._warm = True
        units = discover(frame, self.units)
        notes = list(self._of_folder)
        if frame.left_out:
            notes.append(f"{frame.left_out:,} returns are left out: not finite, or the vehicle itself")
        chosen = self._choose(frame, units, notes)
        similarity = None if chosen is None else self._compare(frame, units, chosen, notes)
        if self.dataset.rig.perturb_calibration and frame.cameras:
            notes.append(f"miscalibration: {measure_miscalibration(frame, units, self.dataset.rig)}")
        self.on_step("colouring")
        scene = compose(frame, units, similarity, self.stage, title=f"{title_of(self.dataset)} · frame {number}")
        return Look(number, frame, units, scene, similarity.unit if similarity else None, tuple(notes))

    def _choose(self, frame: Frame, units: Units, notes: list[str]) -> int | None:
        """The unit to compare; None where none is to be, or can be."""
        from viz.members import telling_unit
        from xmodal_core.units.members import why_none

        reason = why_none(frame, units)
        if reason:
            if self.stage == "similarity" or self.unit is not None:
                raise InputError(f"there is no unit to compare: {reason}", _what_then(frame))
            notes.append(reason)
            return None
        if self.unit is not None and self.unit >= units.count:
            raise InputError(
                f"there is no unit {self.unit} in frame {frame.name}: it has {units.count:,}",
                f"choose 0 to {units.count - 1}",
            )
        if not self.compared:
            return None
        return telling_unit(frame, units) if self.unit is None else self.unit

    def _compare(self, frame: Frame, units: Units, unit: int, notes: list[str]) -> Similarity | None:
        """``unit`` against all others by the teacher's features, as the method has it."""
        from viz.similarity import compare

        self.on_step("loading the image network")
        if find_spec("torch") is None:
            self._give_up("torch is not installed", "pip install torch", notes)
            return None
        balance = chosen_balance(self.config, self.assignments)
        name, options = chosen(plugins.TEACHER, TEACHER, self.config, self.assignments, self.teacher)
        try:
            teacher = self._load(name, options)
        except XmodalError as error:
            self._give_up(error.message, error.hint, notes)
            return None
        self.on_step("comparing units")
        from xmodal_core.images import unit_image_features

        features = unit_image_features(frame, units, teacher, balance.standardise)
        return compare(features, unit, balance.negatives, literal=balance.literal)

    def _give_up(self, reason: str, hint: str, notes: list[str]) -> None:
        """Go on without comparing units, unless somebody asked for just that."""
        if self.stage == "similarity" or self.unit is not None or self.teacher is not None:
            raise InputError(f"units cannot be compared: {reason}", hint)
        notes.append(f"units are not compared: {reason}")

    def _load(self, name: str, options: Settings) -> Teacher:
        """The teacher with its weights, loaded once."""
        if self._loaded is None:
            self._loaded = load_on_device(name, options)
        return self._loaded


def _what_then(frame: Frame) -> str:
    if not frame.cameras:
        return "choose a frame with pictures; --stage instances shows what the LiDAR alone tells"
    return "look at --stage ground; perhaps units.ground or units.range do not fit this sensor"
