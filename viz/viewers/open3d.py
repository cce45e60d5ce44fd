"""A window to turn the scene in, with stages by key and units by click; or a PNG drawn off screen, without display."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from viz.scene import Scene, Stage
from viz.viewers._display import no_display
from viz.viewers.base import Size, Viewer
from xmodal_core.errors import RunError
from xmodal_core.files import whole_file

NOT_INSTALLED = "open3d is not installed"

ASPECT = 0.56
"""Height over width of a panel."""


class Open3dViewer(Viewer):
    """Open3D in a child process; a file is a sheet like matplotlib's, with views in perspective, for the screen."""

    suffixes: ClassVar[tuple[str, ...]] = (".png",)
    window: ClassVar[bool] = True

    def available(self) -> str | None:
        from viz.viewers._open3d_process import why_not

        return why_not()

    def show(self, scene: Scene, out: Path | None, size: Size) -> Path | None:
        from viz.viewers._open3d_drawing import from_behind
        from viz.viewers._open3d_job import Job
        from viz.viewers._open3d_process import draw_pictures, show_window

        if find_spec("open3d") is None:
            raise RunError(NOT_INSTALLED, "pip install open3d, or use another --viewer")
        look = from_behind(scene)
        if out is None:
            reason = no_display()
            if reason is not None:
                raise RunError(f"there is no window to open: {reason}", "give a file with --out")
            show_window(Job("window", scene, (), look, size), self.neighbour)
            return None
        stages = scene.drawn_stages()
        share = 1.0 if len(stages) == 1 else 0.5 if len(stages) in (2, 4) else 1 / 3
        width = max(64, int(size[0] * share))
        job = Job("pictures", scene, tuple(stage.name for stage in stages), look, (width, round(width * ASPECT)))
        return _write_sheet(scene, draw_pictures(job), out, size)


def _write_sheet(scene: Scene, pictures: Any, out: Path, size: Size) -> Path:
    from viz.viewers._sheet import make_sheet
    from viz.viewers._sheet_style import SCREEN, settings

    def paint(axes: Any, stage: Stage, width: float, height: float) -> None:
        axes.imshow(pictures[stage.name], interpolation="antialiased", aspect="auto")

    with settings(), whole_file(out) as temporary:
        figure = make_sheet(scene, paint, ASPECT, SCREEN, size[0])
        figure.savefig(temporary, facecolor=SCREEN.page)
    return out
