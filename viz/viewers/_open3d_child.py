"""The child process in which Open3D runs, so that a graphics driver that crashes takes nothing else with it.

``python -m viz.viewers._open3d_child FOLDER``: FOLDER holds the pickled ``Job``; what was drawn is left there too.
"""

from __future__ import annotations

import pickle
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from viz.scene import Scene
from viz.viewers._open3d_drawing import BACK, Dots, Lines, Look, drawing
from viz.viewers._open3d_job import JOB, PICTURES, Job
from xmodal_core.types import Image

FINER = 2
"""Drawn so many times finer and averaged, for smooth edges."""


def main(folder: Path) -> None:
    """Do the job in ``folder``."""
    job: Job = pickle.loads((folder / JOB).read_bytes())
    if job.kind == "window" and job.scene is not None:
        from viz.viewers._open3d_window import open_window

        open_window(job.scene, job.look, job.size, folder)
    else:
        np.savez(folder / PICTURES, **draw(job))  # type: ignore[arg-type]


def draw(job: Job) -> dict[str, Image]:
    """The pictures of ``job`` by the names of their stages, (h,w,3) uint8; of a probe one small empty one."""
    rendering = import_module("open3d").visualization.rendering
    width, height = job.size
    renderer = rendering.OffscreenRenderer(width * FINER, height * FINER)
    prepare(renderer.scene)
    pictures = {}
    for name in job.stages if job.scene is not None else ("probe",):
        renderer.scene.clear_geometry()
        if job.scene is not None:
            fill(renderer.scene, job.scene, name, job.look, FINER * dot_pixels(height))
        # After filling: the far plane is set by what is there.
        renderer.setup_camera(job.look.field, job.look.centre, job.look.eye, job.look.up)
        fine = np.asarray(renderer.render_to_image())[..., :3].astype(np.uint16)
        blocks = fine.reshape(height, FINER, width, FINER, 3)
        pictures[name] = np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)
    return pictures


def dot_pixels(height: int) -> float:
    """Diameter of a plain point at middle distance in a picture so many pixels high."""
    return float(np.clip(height / 300, 1.6, 4.5))


def prepare(scene: Any) -> None:
    """Make a rendering scene show colours as they are, on the dark background."""
    # Tone mapping would change every colour; without it the background alone is taken for linear light.
    scene.view.set_post_processing(False)
    back = np.array(BACK) / 255.0
    encoded = np.where(back <= 0.0031308, 12.92 * back, 1.055 * back ** (1 / 2.4) - 0.055)
    scene.set_background([*encoded.tolist(), 1.0])


def fill(target: Any, scene: Scene, stage: str, look: Look, pixels: float) -> None:
    """Put ``stage`` of ``scene`` into the rendering scene ``target``; a plain point is ``pixels`` wide."""
    dots, lines = drawing(scene, scene.stage(stage), look.eye)
    for number, part in enumerate(dots):
        add_dots(target, f"dots {number}", part, pixels)
    for number, line in enumerate(lines):
        add_lines(target, f"lines {number}", line, pixels)


def add_dots(target: Any, name: str, dots: Dots, pixels: float) -> None:
    """Add points under ``name``; a plain one is ``pixels`` wide."""
    open3d = import_module("open3d")
    cloud = open3d.t.geometry.PointCloud(open3d.core.Tensor(np.ascontiguousarray(dots.points)))
    cloud.point.colors = open3d.core.Tensor(np.ascontiguousarray(dots.colours))
    material = open3d.visualization.rendering.MaterialRecord()
    material.shader = "defaultUnlit"
    material.point_size = max(1.0, pixels * dots.size)
    target.add_geometry(name, cloud, material)


def add_lines(target: Any, name: str, lines: Lines, pixels: float) -> None:
    """Add segments under ``name``, as wide as goes with plain points of ``pixels``."""
    open3d = import_module("open3d")
    vector = open3d.utility
    strokes = open3d.geometry.LineSet(vector.Vector3dVector(lines.points), vector.Vector2iVector(lines.ends))
    strokes.paint_uniform_color(lines.colour)
    material = open3d.visualization.rendering.MaterialRecord()
    material.shader = "unlitLine"
    material.line_width = max(1.0, 0.7 * pixels * lines.width)
    target.add_geometry(name, strokes, material)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
