"""xmodal data check: whether a data set is whole and its calibration sane."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Assignments, Cameras, ConfigFile, DatasetName, Json, PerturbCalibration, Root, Split

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.inspection.frames import Sample
    from xmodal_core.inspection.layout import Part

MOST_ERRORS = 10
BAD = 2
"""Exit code where something is wrong with the data."""


def check(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    cameras: Cameras = None,
    perturb_calibration: PerturbCalibration = None,
    frame: Annotated[
        str | None,
        typer.Option("--frame", metavar="K", help="Read these: one, or a range, ':' for all. Default: --frames."),
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", metavar="N", help="How many frames to read, evenly spread.", min=1)
    ] = 20,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go on past damaged frames, count them and name the first ones.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Also draw the points on the pictures of the first frame read."),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Check a data set: is what it needs there, can it be read, do its points fall into its pictures?

    Ends with exit code 2 where something is wrong.
    """
    from viz.projection import check_file
    from xmodal_cli.console import print_json
    from xmodal_cli.drive import open_from_options, which
    from xmodal_cli.looking_at_data import chosen_frames, patience, read_sample
    from xmodal_core import plugins
    from xmodal_core.config import read_sections
    from xmodal_core.errors import InputError
    from xmodal_core.inspection.layout import layout_of

    if out is not None:
        check_file(out)
    name, folder = which(dataset, root, read_sections(config, assignments or ())["dataset"])
    kind = plugins.load(plugins.DATASET, name)
    try:
        with patience("opening"):
            opened = open_from_options(
                name, folder, split, config, assignments, cameras=cameras, perturbation=perturb_calibration
            )
    except InputError:
        if folder is not None and folder.is_dir() and not json:
            _show_layout(folder, layout_of(folder, kind))
        raise
    with patience("counting files"):
        parts = layout_of(opened.root, kind)
    if not json:
        _show_layout(opened.root, parts)
    found = read_sample(opened, chosen_frames(frame, frames, len(opened)), pictures=True, skip_bad=skip_bad)
    if out is not None and found.read:
        _draw(opened, found.read[0], out)
    wrong = [*_missing(parts), *found.complaints(opened.sensor)]
    if json:
        layout = [{**vars(part), "ok": part.ok} for part in parts]
        picture = str(out) if out and found.read else None
        told = {"dataset": name, "root": str(opened.root), "frames": len(opened), "layout": layout}
        print_json({**told, **found.as_json(), "picture": picture, "wrong": wrong, "ok": not wrong})
    else:
        _report(opened, found, wrong, out, skip_bad)
    if found.interrupted:
        raise typer.Exit(130)
    if wrong:
        raise typer.Exit(BAD)


def _missing(parts: list[Part]) -> list[str]:
    missing = [f"{part.pattern} is missing: {part.words}" for part in parts if not part.files and not part.optional]
    empty = [
        f"{part.empty:,} empty files {part.pattern}, the first: {part.first_empty}" for part in parts if part.empty
    ]
    return missing + empty


def _show_layout(root: Path, parts: list[Part]) -> None:
    from xmodal_cli.console import out
    from xmodal_cli.data_tables import layout_tree

    out.print(layout_tree(root, parts))


def _draw(dataset: Dataset, number: int, out: Path) -> None:
    from viz.projection import draw_projection
    from xmodal_cli.drive import title_of

    frame = dataset.frame(number)
    draw_projection(frame, out, f"{title_of(dataset)} · frame {number} · {frame.name} · points coloured by depth")


def _report(dataset: Dataset, found: Sample, wrong: list[str], picture: Path | None, skip_bad: bool) -> None:
    from xmodal_cli.console import out
    from xmodal_cli.data_tables import cameras_table, errors

    if found.cameras:
        out.print(cameras_table(found))
    done = f"{len(found.read):,} of {len(dataset):,} frames were read whole, with their pictures"
    damaged = f"; {len(found.damaged):,} are damaged" if found.damaged else ""
    left = len(found.wanted) - len(found.read) - len(found.damaged)
    if left and found.damaged and not skip_bad:
        damaged += f", {left:,} were not looked at: --skip-bad goes on"
    elif left:
        damaged += f"; stopped when asked, {left:,} were not looked at"
    out.print(done + damaged, highlight=False, soft_wrap=True)
    for line in errors(wrong, MOST_ERRORS):
        out.print(line, soft_wrap=True)
    if found.damaged:
        out.print(f"  to mend the first: {found.damaged[0][1].hint}", markup=False, highlight=False, soft_wrap=True)
    if picture is not None and found.read:
        out.print(str(picture), style="bold", markup=False, highlight=False, soft_wrap=True)
    if not wrong:
        out.print("[green]✓[/] nothing is wrong with what was looked at")
