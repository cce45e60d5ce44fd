"""What KITTI's data sets of numbered sequences share: frames are those of one sequence after the other."""

from __future__ import annotations

from functools import cached_property
from typing import Generic, Protocol, TypeVar

from xmodal_core.datasets._kitti import notes_by_sequence
from xmodal_core.datasets.base import Dataset


class Numbered(Protocol):
    """One sequence: its ``name``, the ``numbers`` of its frames, and what it does without, in words."""

    name: str
    numbers: list[int]

    def lacks(self) -> list[str]: ...


S = TypeVar("S", bound=Numbered)


class OfSequences(Dataset, Generic[S]):
    """A data set that has filled ``_sequences``."""

    _sequences: list[S]

    @cached_property
    def _frames(self) -> list[tuple[S, int]]:
        return [(sequence, number) for sequence in self._sequences for number in sequence.numbers]

    def __len__(self) -> int:
        return len(self._frames)

    def name(self, index: int) -> str:
        """Sequence and number of the frame, e.g. ``0001/000176``."""
        sequence, number = self._frames[index]
        return f"{sequence.name}/{number:06d}"

    def scene(self, index: int) -> str:
        """The sequence."""
        return self._frames[index][0].name

    def notes(self) -> tuple[str, ...]:
        """What sequences do without; those that lack the same share a line."""
        return notes_by_sequence({sequence.name: sequence.lacks() for sequence in self._sequences})
