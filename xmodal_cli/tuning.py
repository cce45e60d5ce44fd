"""The tuner's frames: those of an open data set, compared by the image network that the settings choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xmodal_cli.drive import open_from_options, options_again, title_of

if TYPE_CHECKING:
    from xmodal_cli.chosen import Balance
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.images import Teacher
    from xmodal_core.types import Bools, Floats, Frame, Units


class TeacherComparison:
    """Compares the units of one frame by a teacher's features, as the method has it in pre-training."""

    def __init__(self, frame: Frame, teacher: Teacher, balance: Balance) -> None:
        from xmodal_core.images import FrameFeatures

        self._balance = balance
        self._features = FrameFeatures(frame, teacher)

    @property
    def share(self) -> float:
        """L, how many least similar units stay negatives."""
        return self._balance.negatives

    @property
    def literal(self) -> bool:
        """The paper's reading of it."""
        return self._balance.literal

    def features(self, units: Units) -> Floats:
        """(U,D) float32 image features of ``units``."""
        return self._features.of(units, self._balance.standardise)

    def negatives(self, features: Floats) -> Bools:
        """(U,U) bool, the negatives of each unit."""
        from xmodal_core.images import negatives_by

        return negatives_by(features, self.share, literal=self.literal)


@dataclass
class DatasetSource:
    """What the tuner looks at.

    Args:
        dataset: opened.
        options: what opens it again on the command line.
        balance: how units are compared.
        teacher: by what; None: they are not.
        notes: what is left out and why, one line each.
    """

    dataset: Dataset
    options: str
    balance: Balance
    teacher: Teacher | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The data set's name, and what was made wrong in it."""
        return title_of(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def frame(self, number: int) -> Frame:
        """Frame ``number``."""
        return self.dataset.frame(number)

    def comparison(self, frame: Frame) -> TeacherComparison | None:
        """How the units of ``frame`` are compared; None without a teacher."""
        return None if self.teacher is None else TeacherComparison(frame, self.teacher, self.balance)


def open_source(
    dataset: str | None,
    root: Path | None,
    split: str | None,
    cameras: str | None,
    perturbation: float | None,
    config: Path | None,
    assignments: Sequence[str] | None,
    teacher: str | None = None,
    *,
    compared: bool = True,
) -> DatasetSource:
    """The frames that the shared options describe, and the image network that compares their units.

    Args:
        dataset, root, split, cameras, perturbation, config, assignments: see ``drive.open_from_options``.
        teacher: its name; None for the one in the settings, or for none, with a note, where that cannot be had.
        compared: without, no image network is loaded.

    Raises:
        InputError, DataError: see ``drive.open_from_options``.
        RunError: the image network that was asked for cannot be had.
    """
    from xmodal_cli.chosen import TEACHER, chosen, chosen_balance, load_on_device
    from xmodal_core import plugins
    from xmodal_core.config import read_sections
    from xmodal_core.errors import XmodalError

    written = tuple(assignments or ())
    opened = open_from_options(dataset, root, split, config, written, cameras=cameras, perturbation=perturbation)
    section = read_sections(config, written)["dataset"]
    where = {"dataset": dataset or section.get("name"), "root": root or section.get("root"), "split": split}
    rig = {"cameras": cameras, "perturb-calibration": perturbation}
    others = [text for text in written if not text.strip().startswith("units.")]
    options = options_again({**where, **rig}, others)
    source = DatasetSource(opened, options, chosen_balance(config, written), notes=opened.notes())
    try:
        if compared:
            source.teacher = load_on_device(*chosen(plugins.TEACHER, TEACHER, config, written, teacher))
    except (XmodalError, ImportError) as error:
        if teacher is not None:
            raise
        source.notes += (f"units are not compared: {error}",)
    return source
