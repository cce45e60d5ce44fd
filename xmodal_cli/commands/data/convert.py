"""xmodal data convert: any data set to nuScenes' format or to a folder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Assignments, Cameras, ConfigFile, DatasetName, Json, Root, SkipBad, Split

if TYPE_CHECKING:
    from xmodal_core.conversion.convert import Converted
    from xmodal_core.datasets.base import Dataset


def convert(
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="nuscenes or folder.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A folder that is not there yet.")],
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    cameras: Cameras = None,
    frame: Annotated[
        str, typer.Option("--frame", metavar="K", help="Only these: one, or a range, 0:40 or 0:400:10. Default: all.")
    ] = ":",
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="A=B", help="Call a class differently, e.g. Car=car; may be repeated."),
    ] = None,
    skip_bad: SkipBad = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Convert a data set to nuScenes' format, or to a folder with a calibration.yaml.

    The new folder appears whole or not at all. What is stopped, by Ctrl-C or by a damaged file, goes on with the same
    command. For nuScenes, points are turned to its axes (y forward), intensity goes to 255, each camera takes the name
    of the one that looks most nearly where it does, and lens distortion is taken out of the pictures.
    """
    from xmodal_cli.console import err, print_json, progress
    from xmodal_cli.drive import open_from_options
    from xmodal_cli.frames import frame_numbers
    from xmodal_cli.looking_at_data import patience
    from xmodal_cli.stopping import stop_when_asked
    from xmodal_core.conversion import convert as conversion
    from xmodal_core.errors import InputError, known_names

    if to not in conversion.TARGETS:
        raise InputError(f"no data set is converted to '{to}'", known_names(conversion.TARGETS, to))
    conversion.refuse_existing(out)
    with patience("opening"):
        opened = open_from_options(dataset, root, split, config, assignments, cameras=cameras)
    numbers = frame_numbers(frame, len(opened))
    renamed = _renamed(opened, rename or [])
    with progress() as bar, stop_when_asked() as stop:
        task = bar.add_task(f"to {to}", total=len(numbers), note="")
        done = conversion.convert(
            opened,
            to,
            out,
            numbers,
            skip_bad=skip_bad,
            rename=renamed,
            on_frame=lambda count: bar.update(task, completed=count),
            stop=stop,
        )
    if done.interrupted:
        words = f"{done.frames:,} of {len(numbers):,} frames are done and kept; the same command goes on"
        err.print(words, highlight=False, soft_wrap=True)
        raise typer.Exit(130)
    if json:
        skipped = [{"frame": number, "error": reason} for number, reason in done.skipped]
        told = {"root": str(out), "to": to, "frames": done.frames, "done_before": done.before}
        print_json({**told, "skipped": skipped, "notes": done.notes})
    else:
        _report(done, to, out)


def _renamed(dataset: Dataset, texts: list[str]) -> dict[str, str]:
    """The pairs that ``--rename`` names, each of a class that there is."""
    from xmodal_core.errors import InputError, known_names

    if not texts:
        return {}
    known = list(dict.fromkeys(name for names in dataset.label_classes().values() for name in names))
    pairs = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not equals or not new:
            raise InputError(f"cannot read --rename '{text}'", "write it as OLD=NEW, e.g. Car=car")
        if old not in known:
            raise InputError(f"there is no class '{old}' to rename", known_names(known, old))
        pairs[old] = new
    return pairs


def _report(done: Converted, to: str, out: Path) -> None:
    from xmodal_cli.console import err
    from xmodal_cli.console import out as console

    for note, frames in done.notes.items():
        where = "" if frames == done.frames else f" (in {frames:,} of {done.frames:,} frames)"
        err.print(f"note: {note}{where}", markup=False, highlight=False, soft_wrap=True)
    if done.skipped:
        number, reason = done.skipped[0]
        words = f"note: left out for a damaged file: {len(done.skipped):,} frames; the first, {number}: {reason}"
        err.print(words, markup=False, highlight=False, soft_wrap=True)
    before = f", {done.before:,} of them in an earlier sitting" if done.before else ""
    console.print(f"{done.frames:,} frames{before}: [bold]{out}[/]", highlight=False, soft_wrap=True)
    console.print(f"to look at it: xmodal data check --dataset {to} --root {out}", highlight=False, soft_wrap=True)
