"""What a data set is: a numbered row of frames, and what it states about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from xmodal_core import plugins
from xmodal_core.config import Settings
from xmodal_core.errors import InputError
from xmodal_core.rig import RigConfig, perturb, to_common
from xmodal_core.types import Boxes, Frame, Sensor


class Dataset(ABC):
    """Frames of one split of one data set, read lazily.

    A plugin gives ``Config`` (its options; always with ``split``), ``layout`` (the files it expects, one line each: a
    glob pattern, then what it is in words; shown when they are not there) and ``channels`` (the channels every frame
    of it has, in the order networks take them). Its module also has ``example(root, frames=2) -> Path``, which writes
    a small data set of its format for tests.

    Args:
        root: the data set's folder.
        config: the plugin's own settings.

    Raises:
        DataError: the folder does not hold this data set, or a table of it is damaged.
        InputError: the split is unknown.
    """

    Config: ClassVar[type[Settings]]
    layout: ClassVar[tuple[str, ...]]
    channels: ClassVar[tuple[str, ...]]
    sensor: ClassVar[Sensor]
    label_options: ClassVar[Mapping[str, Any]] = {}
    """Values of some of its options under which frames hold no points of where nobody labelled; fine-tuning takes them
    unless told otherwise."""

    rig: RigConfig = RigConfig()
    """How wrong the calibration of the frames' cameras is made."""

    def __init__(self, root: Path, config: Settings) -> None:
        self.root = root
        self.config = config

    @classmethod
    def open(cls, root: Path | None, config: Settings) -> Dataset:
        """The data set at ``root``; a reader that can find or make its files itself takes None too."""
        if root is None:
            raise InputError(f"data set '{plugins.name_of(cls)}' needs its folder", "give it with --root DIR")
        return cls(root, config)

    @classmethod
    def expected(cls) -> str:
        """The layout in one line: the hint of an error about a folder that does not hold this data set."""
        return "expected in it: " + "; ".join(" ".join(line.split()) for line in cls.layout)

    @classmethod
    def stated(cls, root: Path | None) -> tuple[Sensor, tuple[str, ...]]:
        """The sensor and the channels, before the data set is opened; of the files at ``root`` where they say it."""
        return cls.sensor, cls.channels

    def splits(self) -> tuple[str, ...]:
        """What ``split`` can be here, as far as the reader knows: at least the one that is open."""
        return (str(getattr(self.config, "split", "all")),)

    def notes(self) -> tuple[str, ...]:
        """What is not in this folder and is done without, or left out, one line each: to be told once."""
        return ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """The name of frame ``index``, without reading its data."""

    @abstractmethod
    def scene(self, index: int) -> str:
        """The scene of frame ``index``, without reading its data."""

    def scenes(self) -> tuple[str, ...]:
        """The scenes of the frames, in the order of the data set's own tables where it has such, else of frames."""
        return tuple(dict.fromkeys(self.scene(index) for index in range(len(self))))

    @abstractmethod
    def _read(self, index: int) -> Frame:
        """Frame ``index``, which is known to be in range."""

    def frame(self, index: int) -> Frame:
        """Frame ``index`` (0-based).

        Raises:
            InputError: ``index`` is out of range.
            DataError: a file of it is missing or damaged; the message names it.
        """
        self._require_in_range(index)
        return to_common(perturb(self._read(index), self.rig), self.rig)

    def boxes(self, index: int) -> Boxes | None:
        """The boxes of frame ``index``, None where it has no labels; a reader that finds them without the sweep
        does not read it.

        Raises:
            InputError, DataError: as ``frame``.
        """
        self._require_in_range(index)
        # Where the ground is may have to be found in the sweep.
        return self.frame(index).boxes if self.rig.common_frame else self._boxes_alone(index)

    def _boxes_alone(self, index: int) -> Boxes | None:
        """The boxes of frame ``index``, which is known to be in range, in the LiDAR's own coordinates."""
        return self._read(index).boxes

    def _require_in_range(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise InputError(
                f"frame {index} is out of range: {self.root} has {len(self)} frames in this split",
                f"choose 0 to {len(self) - 1}",
            )

    def label_classes(self) -> dict[str, list[str]]:
        """What its labels are called, as its first frame has them: ``boxes`` and ``semantic``, each only where there
        are such labels.

        Raises:
            InputError, DataError: as ``frame``.
        """
        first = self.frame(0)
        labels = {"boxes": first.boxes, "semantic": first.semantic}
        return {kind: list(of.classes) for kind, of in labels.items() if of is not None}

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(len(self)))
