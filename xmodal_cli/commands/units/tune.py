"""xmodal units tune: look at a frame, move a slider, see the units change, save the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmodal_cli.options import (
    Assignments,
    Cameras,
    ConfigFile,
    DatasetName,
    PerturbCalibration,
    Root,
    Split,
    Weights,
    known,
    with_weights,
)
from xmodal_core import plugins


def tune(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frame: Annotated[int, typer.Option("--frame", metavar="K", help="The first frame to look at.", min=0)] = 0,
    cameras: Cameras = None,
    perturb_calibration: PerturbCalibration = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", metavar="NAME", help=f"Image network that compares units: {known(plugins.TEACHER)}."),
    ] = None,
    weights: Weights = None,
    no_teacher: Annotated[
        bool, typer.Option("--no-teacher", help="Look at no picture: no similarity, and no wait for an image network.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the page's button saves the settings.")
    ] = Path("units_tuned.yaml"),
    port: Annotated[
        int,
        typer.Option("--port", help="Of 127.0.0.1; the next free one where it is taken, any for 0.", min=0, max=65535),
    ] = 8050,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser where there is a display.")
    ] = True,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Tune every setting of the units by eye, in a browser: sliders, the scene, images, numbers, two settings compared.

    The page is served on this machine alone; over ssh the line that brings it to yours is printed. Ctrl-C ends it.
    """
    from viz.tuner import serve
    from xmodal_cli.console import err
    from xmodal_cli.tuning import open_source
    from xmodal_core.config import resolve
    from xmodal_core.errors import InputError
    from xmodal_core.units.config import UnitsConfig

    assignments = with_weights(assignments, weights, teacher)
    settings = resolve(UnitsConfig, config, assignments or (), "units")
    source = open_source(
        dataset, root, split, cameras, perturb_calibration, config, assignments, teacher, compared=not no_teacher
    )
    if frame >= len(source):
        raise InputError(
            f"there is no frame {frame}", f"the data set has {len(source):,}: choose 0 to {len(source) - 1}"
        )
    for note in source.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    serve(source, settings, frame=frame, save=out, port=port, ready=lambda port: _say_where(port, browser))


def _say_where(port: int, browser: bool) -> None:
    from viz.tuner.server import tunnel
    from viz.viewers._display import no_display
    from xmodal_cli.console import out

    address = f"http://127.0.0.1:{port}"
    out.print(f"[bold]{address}[/]  Ctrl-C ends it", highlight=False, soft_wrap=True)
    line = tunnel(port)
    if line:
        out.print(f"over ssh, first on your own machine:  {line}", markup=False, highlight=False, soft_wrap=True)
    elif browser and no_display() is None:
        import webbrowser

        webbrowser.open(address)
