"""xmodal export-ckpt: the pre-trained weights in the form that another framework loads."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Json
from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.exporters._parity import Sweep
    from xmodal_core.train.backbone import Backbone


@cache
def formats() -> str:
    """The help of ``--format``: every format with its line."""
    return "; ".join(
        f"{name}: {plugins.summary(plugins.EXPORTER, name).rstrip('.')}" for name in plugins.names(plugins.EXPORTER)
    )


def export_ckpt(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or the backbone file in it.")],
    format: Annotated[str, typer.Option("--format", metavar="NAME", help=formats())] = "torch",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write; default RUN/export/backbone.*")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write also if only a part of the tensors finds a partner.")
    ] = False,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Write also if the target computes something else from the weights.")
    ] = False,
    spconv: Annotated[
        int | None,
        typer.Option(
            "--spconv",
            help="Order of sparse weights: that of spconv 1 or 2. Default: what the format's loader expects.",
        ),
    ] = None,
    parity: Annotated[
        Path | None,
        typer.Option(
            "--parity",
            metavar="FILE",
            help="Write an input of the network and its output too (.npz), to compare there.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", help="For --parity: the data set's folder. Default: that of the run."),
    ] = None,
    frame: Annotated[int, typer.Option("--frame", help="For --parity: which frame of the data set.", min=0)] = 0,
    json: Json = False,
) -> None:
    """Write a run's network as a checkpoint of another framework; all of it or nothing.

    With --parity the file is accompanied by what the network is fed with and what it gives for one frame, of the data
    set of the run where that is at hand, else of a made-up sweep.
    """
    from xmodal_cli.checkpoint_reports import exported_json, print_exported, print_parity
    from xmodal_cli.console import print_json
    from xmodal_core.exporters._parity import write_parity
    from xmodal_core.files import refuse_unwritable
    from xmodal_core.train.backbone import load_backbone

    exporter = plugins.load(plugins.EXPORTER, format)(spconv)
    backbone = load_backbone(run)
    if parity is not None:
        refuse_unwritable(parity)
    folder = run if run.is_dir() else run.parent
    file = out or folder / "export" / f"backbone_{format}{exporter.suffix}"
    report = exporter.export(backbone, file, partial=partial, inexact=inexact)
    told = exported_json(report, format)
    if not json:
        print_exported(report, backbone.network, format, exporter.part)
    if parity is not None:
        recorded = _sweep(backbone, folder, root, frame, quiet=json)
        write_parity(parity, backbone, recorded, as_stored=exporter.as_stored, canvas=exporter.part is not None)
        told["parity"] = {"file": str(parity), "input": recorded.origin}
        if not json:
            print_parity(parity, recorded)
    if json:
        print_json(told)


def _sweep(backbone: Backbone, folder: Path, root: Path | None, frame: int, *, quiet: bool) -> Sweep:
    """Frame ``frame`` of the data set of the run in ``folder``, or a made-up sweep where that is not at hand."""
    from xmodal_cli.drive import open_from_options
    from xmodal_core.errors import InputError
    from xmodal_core.exporters._parity import Sweep, made_up_sweep
    from xmodal_core.exporters.base import settings_of
    from xmodal_core.train.batch import stack_channels

    settings = settings_of(backbone.network, backbone.card["network_settings"])
    written, name = folder / "settings.yaml", backbone.card.get("dataset")
    if name is None and root is None:
        return made_up_sweep(settings)
    try:
        dataset = open_from_options(name, root, config=written if written.is_file() else None, quiet=quiet)
    except InputError as error:
        if root is not None:
            raise
        made_up = made_up_sweep(settings)
        return replace(made_up, origin=f"{made_up.origin} (the run's data are not at hand: {error.message})")
    read = dataset.frame(frame)
    channels = stack_channels(read, settings.channels)
    return Sweep(read.points, channels, f"frame {frame} ({read.name}) of {plugins.name_of(dataset)}")
