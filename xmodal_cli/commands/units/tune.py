"""xmodal units tune: look at a frame, move a slider, see the units change, save the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import (
    Assignments,
    Cameras,
    ConfigFile,
    DatasetName,
    PerturbCalibration,
    Root,
    Split,
    known,
)
from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.images import Teacher


def tune(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frame: Annotated[int, typer.Option("--frame", metavar="K", help="The first frame to look at.", min=0)] = 0,
    cameras: Cameras = None,
    perturb_calibration: PerturbCalibration = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher", metavar="NAME", help=f"Image network that compares units: {known(plugins.TEACHER)}; or none."
        ),
    ] = None,
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
    from xmodal_cli.drive import open_from_options
    from xmodal_cli.tuning import DatasetSource, options_of
    from xmodal_core.config import resolve
    from xmodal_core.errors import InputError
    from xmodal_core.units.config import UnitsConfig

    written = tuple(assignments or ())
    settings = resolve(UnitsConfig, config, written, "units")
    opened = open_from_options(dataset, root, split, config, written, cameras=cameras, perturbation=perturb_calibration)
    if frame >= len(opened):
        raise InputError(
            f"there is no frame {frame}", f"the data set has {len(opened):,}: choose 0 to {len(opened) - 1}"
        )
    method, loaded = _teacher(teacher, config, written)
    again = options_of(
        {
            "dataset": dataset,
            "root": root,
            "split": split,
            "cameras": cameras,
            "perturb-calibration": perturb_calibration,
        },
        written,
    )
    source = DatasetSource(opened, again, loaded, method)
    serve(source, settings, frame=frame, save=out, port=port, ready=lambda port: _say_where(port, browser))


def _teacher(name: str | None, config: Path | None, assignments: tuple[str, ...]) -> tuple[Any, Teacher | None]:
    """The method's options, and the image network; None where it cannot be had and nobody asked for it."""
    from xmodal_cli.chosen import METHOD, TEACHER, chosen, load_on_device
    from xmodal_cli.console import err
    from xmodal_core.errors import XmodalError

    method = chosen(plugins.METHOD, METHOD, config, assignments)[1]
    if name == "none":
        return method, None
    try:
        return method, load_on_device(*chosen(plugins.TEACHER, TEACHER, config, assignments, name))
    except (XmodalError, ImportError) as error:
        if name is not None:
            raise
        err.print(f"note: units are not compared: {error}", markup=False, highlight=False, soft_wrap=True)
        return method, None


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
