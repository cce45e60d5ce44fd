"""Choosing a viewer: by what was asked for, by the file's ending, by what works here. A picture always comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from viz.scene import Scene
from viz.viewers._display import no_display
from viz.viewers.base import Links, Shot, Size, Viewer
from xmodal_core import plugins
from xmodal_core.errors import InputError, RunError
from xmodal_core.files import refuse_unwritable

WINDOW_SIZE: Size = (1500, 900)

USUAL = ("plotly", "matplotlib")
"""What draws a file that nobody named, in this order: a page to turn and click first."""


@dataclass(frozen=True)
class Attempt:
    """A viewer and the file it is to write; None for its window."""

    viewer: str
    out: Path | None


@dataclass(frozen=True)
class Drawn:
    """What came of it.

    Args:
        viewer: which one drew.
        file: what it wrote; None where a window was open and has been closed.
        notes: why it is not what was asked for, one line each.
    """

    viewer: str
    file: Path | None
    notes: tuple[str, ...] = ()


def attempts(out: Path | None = None, viewer: str | None = None, stem: str = "units") -> list[Attempt]:
    """What to try, in order.

    Args:
        out: the file that was asked for; None for a window or, without a display, a page.
        viewer: the viewer that was asked for.
        stem: what the page is called then.

    Raises:
        InputError: there is no such viewer, or none (or not that one) writes such files.
    """
    kinds = {name: _load(name) for name in plugins.names(plugins.VIEWER)}
    if viewer is not None and viewer not in kinds:
        plugins.load(plugins.VIEWER, viewer)  # complains, with the known names
    if out is not None:
        refuse_unwritable(out)
        return [Attempt(name, out) for name in _writers(out, viewer, kinds)]
    wanted = [viewer] if viewer is not None else [name for name, kind in kinds.items() if kind.window]
    windows = [Attempt(name, None) for name in wanted if kinds[name].window and no_display() is None]
    files = [viewer] if viewer is not None and not windows else []
    files += [name for name in USUAL if name in kinds and name not in files]
    return windows + [Attempt(name, Path(stem + kinds[name].suffixes[0])) for name in files]


def _load(name: str) -> type[Viewer]:
    kind: type[Viewer] = plugins.load(plugins.VIEWER, name)
    return kind


def _writers(out: Path, viewer: str | None, kinds: dict[str, type[Viewer]]) -> list[str]:
    """The viewers that write files like ``out``: the one asked for, then those that need no graphics driver."""
    suffix = out.suffix.lower()
    able = [name for name, kind in kinds.items() if suffix in kind.suffixes]
    if viewer is not None and viewer not in able:
        written = ", ".join(kinds[viewer].suffixes)
        raise InputError(f"viewer '{viewer}' cannot write {out.name}", f"it writes {written}")
    if not able:
        known = sorted({known for kind in kinds.values() for known in kind.suffixes})
        raise InputError(f"no viewer can write {out.name}", f"give --out a name that ends in {', '.join(known)}")
    return sorted(able, key=lambda name: (name != viewer, kinds[name].window))


def draw(
    scene: Scene,
    out: Path | None = None,
    viewer: str | None = None,
    size: Size | None = None,
    neighbour: Callable[[int], Scene] | None = None,
    links: Links | None = None,
    stem: str = "units",
) -> Drawn:
    """Show ``scene`` in the first viewer of ``attempts`` that can.

    Args:
        scene: what to draw.
        out, viewer, stem: see ``attempts``.
        size: pixels of the picture or window; None for the usual ones.
        neighbour: gives the scene so many frames on, for a window that steps.
        links: what a file can lead to; None: nothing.

    Raises:
        InputError: see ``attempts``; or the file cannot be written there.
        RunError: no viewer could draw.
    """
    notes: list[str] = []
    for attempt in attempts(out, viewer, stem):
        shown = _load(attempt.viewer)()
        shown.neighbour, shown.links = neighbour, links or Links()
        try:
            file = shown.show(scene, attempt.out, size or (shown.file_size if attempt.out else WINDOW_SIZE))
        except RunError as error:
            notes.append(f"{attempt.viewer}: {error.message}")
            continue
        except ImportError as error:
            notes.append(f"{attempt.viewer}: {error}")
            continue
        if attempt.out is not None and (file is None or not file.is_file() or file.stat().st_size == 0):
            notes.append(f"{attempt.viewer}: it wrote nothing to {attempt.out}")
            continue
        return Drawn(attempt.viewer, file, tuple(notes))
    raise RunError(f"nothing was drawn; {'; '.join(notes)}", "see 'xmodal doctor' for what works here")


def makes_films(attempt: Attempt) -> bool:
    """Whether one file of this attempt can hold several frames."""
    return attempt.out is not None and _load(attempt.viewer).films


def draw_film(shots: Iterable[Shot], attempt: Attempt, size: Size | None = None) -> Drawn:
    """Show ``shots`` one after the other in the file of ``attempt``, one of ``attempts`` that makes films.

    Args:
        shots: at least one; each is asked for when the one before it is drawn.
        attempt: the viewer and the file.
        size: pixels; None for the usual ones.

    Raises:
        InputError: the file cannot be written there.
        RunError: the viewer could not draw; nothing was written.
    """
    shown = _load(attempt.viewer)()
    assert attempt.out is not None
    try:
        return Drawn(attempt.viewer, shown.film(shots, attempt.out, size or shown.file_size))
    except ImportError as error:
        raise RunError(
            f"no film was drawn; {attempt.viewer}: {error}", "see 'xmodal doctor' for what works here"
        ) from None
