"""xmodal import-ckpt: another framework's backbone as a network of xmodal, to be pre-trained further."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.commands.export_ckpt import formats
from xmodal_cli.options import Json, known
from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.exporters.base import Imported


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
    from xmodal_core.exporters._reading import read_backbone, save_imported

    exporter = plugins.load(plugins.EXPORTER, format)()
    backbone, imported = read_backbone(exporter, file, network, assignments or [], inexact=inexact)
    save_imported(out, backbone)
    if json:
        from xmodal_cli.console import print_json

        print_json(
            {
                "file": str(out),
                "format": format,
                "network": backbone.network,
                "tensors": len(imported.tensors),
                "parameters": sum(tensor.numel() for tensor in imported.tensors.values()),
                "left_out": list(imported.left_out),
                "absorbed": list(imported.absorbed),
            }
        )
    else:
        _print_report(out, backbone.network, format, imported)


def _print_report(file: Path, network: str, format: str, imported: Imported) -> None:
    from xmodal_cli.commands.export_ckpt import _print_some
    from xmodal_cli.console import out

    numbers = sum(tensor.numel() for tensor in imported.tensors.values())
    out.print(
        f"all {len(imported.tensors)} tensors ({numbers:,} numbers) of '{network}' from '{format}': {file}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    _print_some("biases that went into the running mean behind them", list(imported.absorbed))
    _print_some("left out, since they are no part of the network", list(imported.left_out))
