"""One HTML page that needs no network: stages in 3D, camera images beside it, units to point at and to compare."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from viz.scene import Scene
from viz.viewers.base import Size, Viewer
from xmodal_core.files import whole_file


class PlotlyViewer(Viewer):
    """Writes the page; any browser opens it. Its size follows the window's."""

    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm")

    def available(self) -> str | None:
        return None if find_spec("plotly") else "plotly is not installed (pip install plotly)"

    def show(self, scene: Scene, out: Path | None, size: Size) -> Path | None:
        from plotly.offline import get_plotlyjs

        from viz.viewers._page import page

        path = out or Path("units.html")
        with whole_file(path) as temporary:
            temporary.write_text(page(scene, get_plotlyjs(), self.links), encoding="utf-8")
        return path
