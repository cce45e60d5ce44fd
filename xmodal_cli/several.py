"""Several frames drawn: one film, or a file each that lead to one another. One frame at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viz.draw import Attempt
    from viz.viewers.base import Links, Shot
    from xmodal_cli.looking import Look, Looking


@dataclass
class Several:
    """What came of several frames.

    Args:
        viewer: which one drew.
        film: the one file of all frames; None where each has its own.
        frames: what was found in each frame, its number and file among it, as values that JSON can hold.
        notes: what is left out and why, with the frames in which it was.
    """

    viewer: str = ""
    film: Path | None = None
    frames: list[dict[str, Any]] = field(default_factory=list)
    notes: dict[str, list[int]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The notes, one line each; those of a single frame say which."""
        return [
            text if len(where) == len(self.frames) else f"frame {where[0]}{_and_more(len(where) - 1)}: {text}"
            for text, where in self.notes.items()
        ]

    def note(self, number: int, notes: Sequence[str]) -> None:
        """Remember ``notes`` of frame ``number``."""
        for text in notes:
            self.notes.setdefault(text, []).append(number)


def draw_several(looking: Looking, numbers: range, out: Path | None, viewer: str | None) -> Several:
    """Draw frames ``numbers``, with a bar; ``out`` and ``viewer`` as ``draw.attempts`` takes them.

    Raises:
        InputError, DataError, RunError: as for one frame; files of earlier frames stay, a film is whole or not there.
    """
    from viz.draw import attempts, makes_films

    first = attempts(out, viewer)[0]
    return _film(looking, numbers, first) if makes_films(first) else _files(looking, numbers, out, viewer)


def _film(looking: Looking, numbers: range, attempt: Attempt) -> Several:
    from viz.draw import draw_film
    from viz.viewers.base import Shot

    several = Several(attempt.viewer, attempt.out)

    def shots() -> Iterator[Shot]:
        for look in _looks(looking, numbers):
            several.frames.append({**look.found(), "file": str(attempt.out)})
            several.note(look.number, look.notes)
            shot = Shot(look.scene, look.frame.timestamp)
            del look
            yield shot
            del shot  # before the next frame is read

    draw_film(shots(), attempt)
    return several


def _files(looking: Looking, numbers: range, out: Path | None, viewer: str | None) -> Several:
    from viz.draw import attempts, draw

    several = Several()
    place = attempts(out, viewer)[0].out
    assert place is not None
    for look in _looks(looking, numbers):
        links = _links(place, look.number, numbers)
        drawn = draw(look.scene, numbered(place, look.number, numbers), viewer, links=links)
        several.viewer = drawn.viewer
        several.frames.append({**look.found(), "file": str(drawn.file)})
        several.note(look.number, (*look.notes, *drawn.notes))
        del look  # before the next frame is read
    return several


def _links(place: Path, number: int, numbers: range) -> Links:
    from viz.viewers.base import Links

    beside = [
        numbered(place, other, numbers).name if other in numbers else None
        for other in (number - numbers.step, number + numbers.step)
    ]
    return Links(*beside)


def numbered(out: Path, number: int, numbers: range) -> Path:
    """The file of frame ``number`` among ``numbers``; all names are as long, so that they sort."""
    digits = max(4, len(str(max(numbers))))
    return out.with_name(f"{out.stem}_{number:0{digits}d}{out.suffix}")


def _looks(looking: Looking, numbers: range) -> Iterator[Look]:
    """Frame after frame, with a bar that says what is being done; the last one is let go before the next is read."""
    with _bar(looking, numbers) as begin:
        for number in numbers:
            begin(number)
            yield looking.look(number)


@contextmanager
def _bar(looking: Looking, numbers: range) -> Iterator[Any]:
    from xmodal_cli.console import progress

    with progress() as bar:
        task = bar.add_task("reading", total=len(numbers), note="")

        def begin(number: int) -> None:
            bar.update(task, completed=numbers.index(number))
            looking.on_step = lambda words: bar.update(task, description=f"frame {number}: {words}")

        yield begin
        bar.update(task, description="done", completed=len(numbers))
    looking.on_step = lambda words: None


def _and_more(count: int) -> str:
    return f" and {count} more" if count else ""
