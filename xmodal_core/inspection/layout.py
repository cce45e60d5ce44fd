"""What of a data set's expected layout is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmodal_core.datasets.base import Dataset


@dataclass(frozen=True)
class Part:
    """One line of a layout.

    Args:
        pattern: of its files, below the data set's folder.
        words: what they are.
        optional: whether the data set can be read without.
        files: how many there are.
        empty: how many of them have no content.
        first_empty: the first one of those, or nothing.
    """

    pattern: str
    words: str
    optional: bool
    files: int
    empty: int
    first_empty: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing needed is missing and nothing is empty."""
        return (self.files > 0 or self.optional) and not self.empty


def layout_of(root: Path, kind: type[Dataset]) -> list[Part]:
    """The lines of ``kind``'s layout with what of them is in ``root``."""
    return [_part(root, line) for line in kind.layout]


def _part(root: Path, line: str) -> Part:
    pattern, _, words = line.partition(" ")
    files = [path for path in root.glob(pattern) if path.is_file()]
    empty = sorted(path for path in files if path.stat().st_size == 0)
    return Part(pattern, words.strip(), "optional" in line, len(files), len(empty), str(empty[0]) if empty else "")
