"""xmodal export-ckpt: the pre-trained weights in the form that another framework loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import Json
from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.exporters._parity import Sweep
    from xmodal_core.exporters.base import Report
    from xmodal_core.train.backbone import Backbone

SHOWN = 8
"""The most tensors of one kind that are printed."""


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
    recorded = None
    if parity is not None:
        recorded = _sweep(backbone, folder, root, frame, quiet=json)
        write_parity(parity, backbone, recorded, as_stored=exporter.as_stored, canvas=exporter.part is not None)
    if json:
        _print_json(report, format, parity, recorded)
    else:
        _print_report(report, backbone.network, format, exporter.part)
        if parity is not None and recorded is not None:
            _print_parity(parity, recorded)


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
        read = dataset.frame(frame)
        channels = stack_channels(read, settings.channels)
    except InputError:
        if root is not None:
            raise
        return made_up_sweep(settings)
    return Sweep(read.points, channels, f"frame {frame} ({read.name}) of {plugins.name_of(dataset)}")


def _print_json(report: Report, format: str, parity: Path | None, recorded: Sweep | None) -> None:
    from xmodal_cli.console import print_json

    told: dict[str, Any] = {
        "file": str(report.file),
        "format": format,
        "tensors": report.exported,
        "of": report.total,
        "parameters": report.parameters,
        "made_up": [row.theirs for row in report.made_up],
        "left_out": dict(report.left_out),
        "beyond": list(report.beyond),
        "differences": [difference.what for difference in report.differences],
        "beside": [str(path) for path in report.beside],
    }
    if parity is not None and recorded is not None:
        told["parity"] = {"file": str(parity), "input": recorded.origin}
    print_json(told)


def _print_report(report: Report, network: str, format: str, part: str | None) -> None:
    from rich.markup import escape

    from xmodal_cli.console import out

    out.print(
        f"{report.exported} of {report.total} tensors ({report.parameters:,} numbers) of '{network}' as '{format}': "
        f"[bold]{escape(str(report.file))}[/]",
        soft_wrap=True,
    )
    _print_some("made up, since only the target has them", [f"{row.theirs} = {row.fill:g}" for row in report.made_up])
    _print_some("left out", list(report.left_out.values()))
    _print_some(f"not in it, since '{format}' carries {part} alone", list(report.beyond))
    _print_some("computed otherwise there", [difference.what for difference in report.differences])
    for path in report.beside:
        out.print(f"beside it: {escape(str(path))}", soft_wrap=True)
    out.print("to load it:")
    for line in report.usage:
        out.print(f"    {line}", soft_wrap=True, markup=False, highlight=False)


def _print_some(what: str, lines: list[str]) -> None:
    from xmodal_cli.console import out

    if not lines:
        return
    out.print(f"{what} ({len(lines)}):", markup=False, highlight=False)
    shown = lines if len(lines) <= SHOWN else [*lines[: SHOWN - 1], f"… and {len(lines) - SHOWN + 1} more"]
    for line in shown:
        out.print(f"    {line}", soft_wrap=True, markup=False, highlight=False)


def _print_parity(parity: Path, recorded: Sweep) -> None:
    from xmodal_cli.console import out

    out.print(f"input and output for {recorded.origin}: {parity}", soft_wrap=True, markup=False, highlight=False)
