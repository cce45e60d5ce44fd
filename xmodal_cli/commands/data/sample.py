"""xmodal data sample: make the sample drive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmodal_cli.options import Json, Seed


def sample(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to; else in the user's cache folder.")
    ] = None,
    scenes: Annotated[int, typer.Option("--scenes", metavar="N", help="Scenes, each another street.")] = 6,
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Keyframes in a scene, two a second.")] = 25,
    seed: Seed = 0,
    width: Annotated[int, typer.Option("--width", metavar="PX", help="Width of the camera images.")] = 640,
    height: Annotated[int, typer.Option("--height", metavar="PX", help="Height of the camera images.")] = 360,
    json: Json = False,
) -> None:
    """Make a drive through a made-up town, in nuScenes format: sweeps, six cameras, boxes, labels of every point."""
    import time

    from sample_data import DriveSettings, ensure_drive
    from xmodal_cli.console import out as console
    from xmodal_cli.console import print_json, progress
    from xmodal_core.config import validate

    settings = validate(
        DriveSettings,
        {"scenes": scenes, "frames": frames, "seed": seed, "image_width": width, "image_height": height},
        origin="the command line",
    )
    begun = time.monotonic()
    with progress() as bar:
        task = bar.add_task("sample drive", total=settings.total, note="")
        folder = ensure_drive(out, settings, lambda done, total: bar.update(task, completed=done, total=total))
        bar.update(task, completed=settings.total)
    seconds = time.monotonic() - begun
    if json:
        print_json({"root": str(folder), **settings.model_dump(), "seconds": round(seconds, 2)})
        return
    scenes_made = "1 scene" if scenes == 1 else f"{scenes} scenes"
    console.print(f"{scenes_made} of {frames} keyframes: [bold]{folder}[/]", soft_wrap=True)
    where = "" if out is None and settings == DriveSettings() else f" --dataset sample --root {folder}"
    console.print(f"to see a frame: xmodal units show{where} --frame {settings.total * 4 // 5}", soft_wrap=True)
