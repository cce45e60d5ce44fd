"""xmodal data example: a small data set of a format, to see what it looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmodal_cli.options import Json, known
from xmodal_core import plugins


def example(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"The format: {known(plugins.DATASET)}.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.")],
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="How many frames.", min=1, max=100)] = 2,
    json: Json = False,
) -> None:
    """Write a small made-up data set in a format, true to it file by file: the one that its reader is tested with."""
    import importlib

    from xmodal_cli.console import out as console
    from xmodal_cli.console import print_json
    from xmodal_cli.whole import whole_folder

    kind = plugins.load(plugins.DATASET, name)
    module = importlib.import_module(kind.__module__)
    with whole_folder(out) as making:
        module.example(making, frames=frames)
    if json:
        print_json({"dataset": name, "root": str(out), "frames": frames})
        return
    console.print(f"{frames} frames of '{name}': [bold]{out}[/]", soft_wrap=True)
    console.print(f"to look at it: xmodal data check --root {out}", soft_wrap=True, highlight=False)
