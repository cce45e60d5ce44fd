"""What ``data info`` and ``data check`` found, as tables and trees for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from xmodal_core.inspection.frames import Sample, Spread
    from xmodal_core.inspection.layout import Part

MOST_CLASSES = 24
"""Rows of a table of classes; what is rarer is added up in one more row."""


def facts_table(facts: Mapping[str, str]) -> Table:
    """Two columns: what, and what it is."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, escape(value))
    return table


def numbers_table(found: Sample) -> Table:
    """Points, distances, coordinates, channels and seconds."""
    table = Table(title=_title(found), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for name in ("mean", "least", "most"):
        table.add_column(name, justify="right")
    table.add_row("points a frame", *_cells(found.points, whole=True))
    table.add_row("distance, m", *_cells(found.distance))
    for axis, spread in found.axes.items():
        table.add_row(f"{axis}, m", *_cells(spread))
    for name, spread in found.channels.items():
        table.add_row(escape(name), *_cells(spread))
    table.add_row("seconds to read a frame", *_cells(found.seconds))
    return table


def cameras_table(found: Sample) -> Table:
    """Size of each camera's pictures and the share of the points that it sees."""
    table = Table(title="share of the points that each camera sees", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("camera")
    table.add_column("pixels", justify="right")
    for name in ("mean", "least", "most"):
        table.add_column(name, justify="right")
    for name, camera in found.cameras.items():
        shares = (camera.share.mean, camera.share.least, camera.share.most)
        cells = [f"{share:.1%}" for share in shares] if camera.share.count else ["-"] * 3
        table.add_row(escape(name), f"{camera.width}x{camera.height}", *cells)
    return table


def classes_table(title: str, counts: Mapping[str, int], frames: int) -> Table:
    """How many there are of each class, the most frequent first."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("class")
    table.add_column("number", justify="right")
    table.add_column("a frame", justify="right")
    table.add_column("share", justify="right")
    total = sum(counts.values())
    for name, count in _shortened(counts):
        share = count / total if total else 0.0
        table.add_row(escape(name), f"{count:,}", f"{count / frames:,.1f}", f"{share:.2%}")
    return table


def _shortened(counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    yield from ordered[:MOST_CLASSES]
    if rest := ordered[MOST_CLASSES:]:
        yield f"{len(rest)} others", sum(count for _, count in rest)


def layout_tree(root: Path, parts: Sequence[Part]) -> Tree:
    """The expected layout with a tick, a cross or a dash (not there, not needed) and a count for each line of it."""
    tree = Tree(Text(str(root), style="bold"))
    branches: dict[tuple[str, ...], Tree] = {(): tree}
    for part in parts:
        *folders, leaf = part.pattern.split("/")
        for depth in range(len(folders)):
            place = tuple(folders[: depth + 1])
            if place not in branches:
                branches[place] = branches[place[:-1]].add(Text(f"{folders[depth]}/", style="dim"))
        branches[tuple(folders)].add(_line(leaf, part))
    return tree


def _line(leaf: str, part: Part) -> Text:
    line = Text()
    mark = ("✓ ", "green") if part.files and not part.empty else ("– ", "dim") if part.ok else ("✗ ", "bold red")
    line.append(*mark)
    line.append(f"{leaf}  ", style="bold" if part.files else "")
    files = "file" if part.files == 1 else "files"
    line.append(f"{part.files:,} {files}" if part.files else "not there", style="" if part.ok else "red")
    if part.empty:
        line.append(f", {part.empty:,} of them empty, the first: {part.first_empty}", style="red")
    line.append(f"  {part.words}", style="dim")
    return line


def _title(found: Sample) -> str:
    return f"{len(found.read):,} frames were read" if len(found.read) != 1 else "one frame was read"


def _cells(spread: Spread, whole: bool = False) -> list[str]:
    if not spread.count:
        return ["-"] * 3
    return [number(value, whole) for value in (spread.mean, spread.least, spread.most)]


def number(value: float, whole: bool = False) -> str:
    """A number with a handful of digits."""
    return f"{value:,.0f}" if whole or abs(value) >= 10_000 else f"{value:.4g}"


def errors(words: Sequence[str], most: int) -> Iterator[Any]:
    """The first ``most`` lines of what is wrong, and how many more there are."""
    for line in words[:most]:
        yield Text.assemble(("✗ ", "bold red"), line)
    if len(words) > most:
        yield Text(f"  and {len(words) - most:,} more", style="dim")
