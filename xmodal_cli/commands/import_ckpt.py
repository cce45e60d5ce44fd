"""xmodal import-ckpt: another framework's backbone as a network of xmodal, to be pre-trained further."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmodal_cli.commands.export_ckpt import formats
from xmodal_cli.options import Json, known
from xmodal_core import plugins


def import_ckpt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The checkpoint that the other framework wrote.")],
    format: Annotated[str, typer.Option("--format", metavar="NAME", help=formats())],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write, e.g. backbone.safetensors.")],
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NAME",
            help=f"Which network it is: {known(plugins.NETWORK)}. Default: what the file says, if xmodal wrote it.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Its settings, e.g. network.preset=waymo; may be repeated."),
    ] = None,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Read also if xmodal computes something else from the weights.")
    ] = False,
    json: Json = False,
) -> None:
    """Read a checkpoint of another framework as a network of xmodal; all of the network or nothing.

    The file may be one that the framework's own trainer wrote: heads and optimisers are left out, sparse weights are
    taken in the order of spconv 1 and 2, and a bias before a batch norm goes into its running mean. What is written can
    be given to --init, exported, and fine-tuned.
    """
    from xmodal_cli.checkpoint_reports import imported_json, print_imported
    from xmodal_cli.console import print_json
    from xmodal_core.exporters._reading import read_backbone, save_imported

    exporter = plugins.load(plugins.EXPORTER, format)()
    backbone, imported = read_backbone(exporter, file, network, assignments or [], inexact=inexact)
    save_imported(out, backbone)
    if json:
        print_json(imported_json(out, format, backbone, imported))
    else:
        print_imported(out, format, backbone, imported)
