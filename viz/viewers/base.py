"""What a viewer is: it takes a scene and makes a window or a file of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from viz.scene import Scene

Size = tuple[int, int]


class Viewer(ABC):
    """A way to look at a scene.

    A plugin states which files it can write and whether it can open a window.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of the files it writes, the usual one first, each with its dot."""

    window: ClassVar[bool] = False
    """It can show the scene in a window of its own."""

    neighbour: Callable[[int], Scene] | None = None
    """Where the caller can make it: the scene so many frames on (back, for a negative number), for windows that step
    through a drive. It raises InputError past the ends."""

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
