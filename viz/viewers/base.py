"""What a viewer is: it takes a scene and makes a window or a file of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, NamedTuple

from viz.scene import Scene
from xmodal_core.errors import RunError

Size = tuple[int, int]


class Shot(NamedTuple):
    """One scene of a film, and when it was recorded, in seconds."""

    scene: Scene
    time: float


class Links(NamedTuple):
    """The files beside a file that show the frames before and after it; None at the ends."""

    previous: str | None = None
    following: str | None = None


class Viewer(ABC):
    """A way to look at a scene.

    A plugin states which files it can write and whether it can open a window.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of the files it writes, the usual one first, each with its dot."""

    films: ClassVar[bool] = False
    """Its files can hold several frames, one after the other: it has ``film``."""

    file_size: ClassVar[Size] = (2148, 1400)
    """Pixels of a file where nobody asks for others: 300 to the inch at a paper's full width."""

    window: ClassVar[bool] = False
    """It can show the scene in a window of its own."""

    neighbour: Callable[[int], Scene] | None = None
    """Where the caller can make it: the scene so many frames on (back, for a negative number), for windows that step
    through a drive. It raises InputError past the ends."""

    links: Links = Links()
    """Of a frame among several that get a file each, for files that can lead to others."""

    @abstractmethod
    def available(self) -> str | None:
        """None where it can draw here, else why not, in one line. Never raises and never crashes the caller."""

    @abstractmethod
    def show(self, scene: Scene, out: Path | None, size: Size) -> Path | None:
        """Draw ``scene``.

        Args:
            scene: what to draw; its ``opening`` names the stage, or all of them.
            out: the file to write; None opens a window and returns when it is closed.
            size: width and height in pixels.

        Returns:
            The file, which is whole; None for a window.

        Raises:
            RunError: it could not draw, e.g. the graphics driver crashed; nothing was written.
        """

    def film(self, shots: Iterable[Shot], out: Path, size: Size) -> Path:
        """Draw ``shots`` one after the other into one file; each is asked for when the one before it is done with.

        Args:
            shots: at least one; the opening stage of each is drawn.
            out: the file.
            size: width and height in pixels; the height may follow from what is on it.

        Returns:
            The file, which is whole.

        Raises:
            RunError: it could not draw, or makes no films; nothing was written.
        """
        raise RunError(f"{type(self).__name__} makes no films", "give --out a name that ends in .gif")
