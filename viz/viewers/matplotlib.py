"""A sheet for print: every stage from above, the cameras with units drawn in; PNG, PDF or SVG, no display needed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from viz.scene import Scene, Stage
from viz.viewers.base import Size, Viewer
from xmodal_core.files import whole_file

UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
"""Without a date the same scene gives the same bytes."""


class MatplotlibViewer(Viewer):
    """Draws in memory with Agg. The sheet is as wide as asked; its height follows from what is on it."""

    suffixes: ClassVar[tuple[str, ...]] = (".png", ".pdf", ".svg")

    def available(self) -> str | None:
        return None if find_spec("matplotlib") else "matplotlib is not installed (pip install matplotlib)"

    def show(self, scene: Scene, out: Path | None, size: Size) -> Path | None:
        from viz.viewers._birdseye import choose_detail, choose_window, draw_birdseye, draw_frame
        from viz.viewers._sheet import make_sheet
        from viz.viewers._sheet_style import PAPER, settings

        path = out or Path("units.png")
        window = choose_window(scene)

        def paint(axes: Any, stage: Stage, width: float, height: float) -> None:
            draw_birdseye(axes, scene, stage, PAPER, window, width)

        def paint_detail(axes: Any, stage: Stage, width: float, height: float) -> None:
            part = choose_detail(scene, stage, window, height / width)
            draw_birdseye(axes, scene, stage, PAPER, part, width)
            draw_frame(axes.figure.axes[0], part)

        with settings(), whole_file(path) as temporary:
            figure = make_sheet(scene, paint, window.aspect, PAPER, size[0], paint_detail)
            figure.savefig(temporary, metadata=UNDATED.get(path.suffix.lower(), {}), facecolor=PAPER.page)
        return path
