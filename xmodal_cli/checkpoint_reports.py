"""What became of a network's tensors on the way to another framework or from it, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmodal_cli.console import out

if TYPE_CHECKING:
    from xmodal_core.exporters._parity import Sweep
    from xmodal_core.exporters._table import Imported
    from xmodal_core.exporters.base import Report, Step
    from xmodal_core.train.backbone import Backbone

SHOWN = 8
"""The most tensors of one kind that are printed."""


def exported_json(report: Report, format: str) -> dict[str, Any]:
    """What ``export-ckpt --json`` ends with."""
    return {
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


def print_exported(report: Report, network: str, format: str, part: str | None) -> None:
    """What went over, what did not and why, which files there are, and what to do with them."""
    _say(
        f"{report.exported} of {report.total} tensors ({report.parameters:,} numbers) of '{network}' as '{format}': "
        f"{report.file}"
    )
    _say_some("made up, since only the target has them", [f"{row.theirs} = {row.fill:g}" for row in report.made_up])
    _say_some("left out", list(report.left_out.values()))
    _say_some(f"not in it, since '{format}' carries {part} alone", list(report.beyond))
    _say_some("computed otherwise there", [difference.what for difference in report.differences])
    for path in report.beside:
        _say(f"beside it: {path}")
    _say("to load it:")
    _say_steps(report.usage)


def print_parity(file: Path, recorded: Sweep) -> None:
    """Where a network's input and output are, and of what."""
    _say(f"to compare there: {file} has what the network is fed with and what it gives, for {recorded.origin}")


def imported_json(file: Path, format: str, backbone: Backbone, imported: Imported) -> dict[str, Any]:
    """What ``import-ckpt --json`` ends with."""
    return {
        "file": str(file),
        "format": format,
        "network": backbone.network,
        "tensors": len(imported.tensors),
        "parameters": _numbers(imported),
        "left_out": list(imported.left_out),
        "absorbed": list(imported.absorbed),
    }


def print_imported(file: Path, format: str, backbone: Backbone, imported: Imported) -> None:
    """What was read, what of the file is not in it, and what to do with it."""
    count, numbers = len(imported.tensors), _numbers(imported)
    _say(f"all {count} tensors ({numbers:,} numbers) of '{backbone.network}' from '{format}': {file}")
    _say_some("biases that went into the running mean behind them", list(imported.absorbed))
    _say_some("left out, since they are no part of the network", list(imported.left_out))
    _say(f"to use it: xmodal pretrain --init {file}, or xmodal finetune --init {file}")


def _numbers(imported: Imported) -> int:
    return sum(tensor.numel() for tensor in imported.tensors.values())


def _say_some(what: str, lines: Sequence[str]) -> None:
    """``lines`` under ``what``, the last of many only counted; nothing where there are none."""
    if not lines:
        return
    _say(f"{what} ({len(lines)}):")
    for line in lines if len(lines) <= SHOWN else [*lines[: SHOWN - 1], f"… and {len(lines) - SHOWN + 1} more"]:
        _say(f"    {line}")


def _say_steps(steps: Sequence[Step]) -> None:
    for number, step in enumerate(steps, 1):
        number_of_it = f"{number}. " if len(steps) > 1 else ""
        _say(f"  {number_of_it}{step.words}" + (":" if step.lines else ""))
        for line in step.lines:
            _say(f"         {line}")


def _say(line: str) -> None:
    """One line, however long, as it is: names of files and tensors have brackets and numbers in them."""
    out.print(line, soft_wrap=True, markup=False, highlight=False)
