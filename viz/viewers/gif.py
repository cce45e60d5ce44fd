"""An animated GIF: several frames one after the other, or one frame's stages in turn; no display needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from viz.palette import Colours, rgb
from viz.scene import ALL, Scene, Stage
from viz.viewers.base import Shot, Size, Viewer
from xmodal_core.files import whole_file
from xmodal_core.types import Image

if TYPE_CHECKING:
    from viz.viewers._open3d_drawing import Look

STAGE_SECONDS = 2.0
"""How long each stage of a single frame is shown."""
SHORTEST, LONGEST = 0.05, 2.0
"""Seconds that a frame of a film is shown at least and at most."""
UNRELATED = 1.0
"""Seconds that a frame is shown which the next one does not follow in time."""
APART = 60.0
"""Frames with more seconds between them are not of one drive."""
USUAL = "units"
"""The stage of a film where nobody chose one."""


RAMP_COLOURS = 40
"""Of a ramp that a picture has for certain, so that no bands are seen in it."""


class Still(NamedTuple):
    """A picture (h,w,3), and the colours (K,3) of it that have to be kept."""

    picture: Image
    colours: Colours


class GifViewer(Viewer):
    """Draws in memory: a stage in perspective with the cameras beside it, as wide as asked."""

    suffixes: ClassVar[tuple[str, ...]] = (".gif",)
    films: ClassVar[bool] = True
    file_size: ClassVar[Size] = (1200, 675)

    def available(self) -> str | None:
        return None if find_spec("matplotlib") else "matplotlib is not installed (pip install matplotlib)"

    def show(self, scene: Scene, out: Path | None, size: Size) -> Path | None:
        from viz.viewers._open3d_drawing import from_behind

        look = from_behind(scene)
        stills = [_draw(scene, stage, look, size[0]) for stage in scene.drawn_stages()]
        height = max(len(still.picture) for still in stills)
        return _write(((still, STAGE_SECONDS) for still in stills), out or Path("units.gif"), height)

    def film(self, shots: Iterable[Shot], out: Path, size: Size) -> Path:
        return _write(timed(_stills(shots, size[0])), out)


def _stills(shots: Iterable[Shot], pixels: int) -> Iterator[tuple[Still, float]]:
    """Each shot as a picture, with its time; all are seen from where the first is."""
    from viz.viewers._open3d_drawing import from_behind

    look: Look | None = None
    for scene, time in shots:
        look = look or from_behind(scene)
        still = _draw(scene, scene.stage(USUAL if scene.opening == ALL else scene.opening), look, pixels)
        del scene  # before the next one is made
        yield still, time


def _draw(scene: Scene, stage: Stage, look: Look, pixels: int) -> Still:
    from viz.viewers._film import film_picture
    from viz.viewers._sheet_style import SCREEN, settings

    with settings():
        picture = film_picture(scene, stage, look, pixels)
    page = [rgb(colour) for colour in (SCREEN.page, SCREEN.ink, SCREEN.faint, SCREEN.frame, SCREEN.guide)]
    layers = [layer.colours[:: max(1, len(layer.colours) // RAMP_COLOURS)] for layer in scene.point_layers(stage)]
    colours = np.concatenate([np.array(page, dtype=np.uint8), *layers])
    return Still(picture, colours[np.sort(np.unique(colours, axis=0, return_index=True)[1])])


def timed(stills: Iterable[tuple[Still, float]]) -> Iterator[tuple[Still, float]]:
    """Each picture and for how many seconds it is shown: until the next one came when they were recorded."""
    before: tuple[Still, float] | None = None
    seconds = UNRELATED
    for still, time in stills:
        if before is not None:
            passed = time - before[1]
            seconds = min(max(passed, SHORTEST), LONGEST) if 0 < passed < APART else UNRELATED
            yield before[0], seconds
        before = still, time
    if before is not None:
        yield before[0], seconds


def _write(stills: Iterable[tuple[Still, float]], out: Path, height: int | None = None) -> Path:
    """The file of pictures with their seconds, all ``height`` pixels high or else as high as the first."""
    from viz.viewers._gif import GifWriter

    writer: GifWriter | None = None
    with whole_file(out) as temporary, temporary.open("wb") as file:
        for (picture, colours), seconds in stills:
            writer = writer or GifWriter(file, (picture.shape[1], height or picture.shape[0]))
            writer.add(picture, seconds, colours)
        if writer is not None:
            writer.close()
    return out
