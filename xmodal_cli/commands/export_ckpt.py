"""xmodal export-ckpt: the pre-trained weights in the form that another framework loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Json
from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.exporters.base import Report


def _formats() -> str:
    return "; ".join(
        f"{name}: {plugins.summary(plugins.EXPORTER, name).rstrip('.')}" for name in plugins.names(plugins.EXPORTER)
    )


def export_ckpt(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or the backbone file in it.")],
    format: Annotated[str, typer.Option("--format", metavar="NAME", help=_formats())] = "torch",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write; default RUN/export/backbone.*")
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's network as a checkpoint of another framework; all of it or nothing."""
    from xmodal_core.train.backbone import load_backbone

    exporter = plugins.load(plugins.EXPORTER, format)()
    backbone = load_backbone(run)
    folder = run if run.is_dir() else run.parent
    report = exporter.export(backbone, out or folder / "export" / f"backbone_{format}{exporter.suffix}")
    if json:
        _print_json(report, format)
    else:
        _print_report(report, backbone.network, format)


def _print_json(report: Report, format: str) -> None:
    from xmodal_cli.console import print_json

    print_json(
        {
            "file": str(report.file),
            "format": format,
            "tensors": report.exported,
            "of": report.total,
            "parameters": report.parameters,
            "beside": [str(path) for path in report.beside],
        }
    )


def _print_report(report: Report, network: str, format: str) -> None:
    from rich.markup import escape

    from xmodal_cli.console import out

    out.print(
        f"{report.exported} of {report.total} tensors ({report.parameters:,} numbers) of '{network}' as '{format}': "
        f"[bold]{escape(str(report.file))}[/]",
        soft_wrap=True,
    )
    for path in report.beside:
        out.print(f"beside it: {escape(str(path))}", soft_wrap=True)
    out.print("to load it:")
    for line in report.usage:
        out.print(f"    {line}", soft_wrap=True, markup=False, highlight=False)
