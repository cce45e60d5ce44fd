"""xmodal bench: how fast each step is, against what one would use instead, in the same run on the same data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Assignments, ConfigFile, DatasetName, Json, Root, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmodal_core.bench.networks import Step
    from xmodal_core.bench.pretrain import Bench
    from xmodal_core.bench.timing import Row

app = typer.Typer(no_args_is_help=True, help="Time a part of the engine against what one would use instead.")


@app.callback()
def group() -> None:
    """Time a part of the engine against what one would use instead."""


@app.command("units")
def units(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frame: Annotated[int, typer.Option("--frame", metavar="K", help="Number of the frame, from 0.", min=0)] = 0,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Calls of each; the median counts.", min=1)] = 7,
    radius: Annotated[
        float,
        typer.Option("--radius", metavar="M", help="The one radius at which partitions are compared.", min=0.05, max=5),
    ] = 0.5,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Time the steps of unit discovery beside scikit-learn, Open3D and the naive ways."""
    from xmodal_cli.console import err, print_json
    from xmodal_cli.drive import open_from_options
    from xmodal_core.bench.units import bench_units
    from xmodal_core.config import resolve
    from xmodal_core.units.config import UnitsConfig

    settings = resolve(UnitsConfig, config, assignments or (), "units")
    sweep = open_from_options(dataset, root, split, config, assignments).frame(frame)
    with err.status("discovering units") as status:
        bench = bench_units(
            sweep, settings, repeat=repeat, radius=radius, on_step=lambda step: status.update(f"timing {step}")
        )
    if json:
        print_json([row.as_json() for row in bench.rows])
    else:
        _print_table(bench.rows, bench.notes)


@app.command("tuner")
def tuner(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frame: Annotated[int, typer.Option("--frame", metavar="K", help="Number of the frame, from 0.", min=0)] = 0,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Moves of each; the median counts.", min=1)] = 5,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Time what the tuner's page waits for when a slider moves, beside making the whole picture anew."""
    from viz.tuner.bench import bench_tuner
    from xmodal_cli.console import err, print_json
    from xmodal_cli.tuning import open_source
    from xmodal_core.config import resolve
    from xmodal_core.units.config import UnitsConfig

    settings = resolve(UnitsConfig, config, assignments or (), "units")
    source = open_source(dataset, root, split, None, None, config, assignments)
    with err.status("opening the frame") as status:
        rows = bench_tuner(source, frame, settings, repeat=repeat, on_step=lambda step: status.update(f"timing {step}"))
    if json:
        print_json([row.as_json() for row in rows])
    else:
        _print_table(rows, source.notes)


@app.command("pretrain")
def pretrain(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Frames, evenly spread.", min=1)] = 8,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Timed passes over them.", min=1)] = 3,
    batch_size: Annotated[int | None, typer.Option("--batch-size", metavar="N", help="Frames a step.", min=1)] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Time the parts of a step of pre-training, with the cache of what the teacher sees and without it."""
    from xmodal_cli.console import err, print_json
    from xmodal_cli.training import place
    from xmodal_core.bench.pretrain import bench_pretrain
    from xmodal_core.train.config import read_experiment

    chosen = {
        "dataset.name": dataset,
        "dataset.root": root,
        "dataset.split": split,
        "train.batch_size": batch_size,
    }
    experiment = read_experiment(config, assignments or (), chosen | place(config, assignments or (), chosen))
    with err.status("opening the data set") as status:
        bench = bench_pretrain(
            experiment, frames=frames, repeat=repeat, on_step=lambda step: status.update(f"timing {step}")
        )
    if json:
        print_json({"steps": [part.as_json() for part in bench.parts], "loss_difference": bench.loss_difference})
    else:
        _print_parts(bench)


@app.command("networks")
def networks(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frame: Annotated[int, typer.Option("--frame", metavar="K", help="Number of the frame, from 0.", min=0)] = 0,
    network: Annotated[
        str | None, typer.Option("--network", metavar="NAME", help="Only this one. Default: every network.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="NAME", help="Only presets of this name. Default: tiny.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All presets but 'tiny': the networks of publications.")] = False,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Steps of each; the median counts.", min=1)] = 3,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="cpu or cuda. Default: a GPU, where there is one.")
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Time a training step of each LiDAR network, stage by stage, and its memory; and steps of it beside peers."""
    from xmodal_cli.console import err, print_json
    from xmodal_cli.drive import open_from_options
    from xmodal_core.bench.networks import bench_networks, choose, choose_device

    chosen = choose(network, preset, full=full)
    place = choose_device(device)
    sweep = open_from_options(dataset, root, split, config, assignments).frame(frame)
    with err.status("opening the frame") as status:
        bench = bench_networks(
            sweep, chosen, repeat=repeat, device=place, on_step=lambda step: status.update(f"timing {step}")
        )
    if json:
        print_json(
            {
                "networks": [step.as_json() for step in bench.steps],
                "peers": [row.as_json() for row in bench.peers],
            }
        )
    else:
        _print_steps(bench.steps)
        _print_table(bench.peers, bench.notes)


@app.command("metrics")
def metrics(
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Frames to score.", min=1)] = 1000,
    boxes: Annotated[
        int, typer.Option("--boxes", metavar="N", help="Labels, and predictions, a frame.", min=1, max=500)
    ] = 100,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Calls of ours; the median counts.", min=1)] = 3,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="FILE", help="A Python interpreter that has nuscenes-devkit."),
    ] = None,
    waymo_python: Annotated[
        Path | None,
        typer.Option("--waymo-python", metavar="FILE", help="A Python interpreter that has waymo-open-dataset."),
    ] = None,
    json: Json = False,
) -> None:
    """Time the scoring of predictions beside the official tools, on made-up boxes and points."""
    from xmodal_cli.console import err, print_json
    from xmodal_core.bench.metrics import bench_metrics
    from xmodal_core.bench.overlaps import bench_overlaps

    with err.status("making predictions") as status:

        def on_step(step: str) -> None:
            status.update(f"timing {step}")

        by_distance = bench_metrics(frames, boxes, repeat=repeat, python=python, on_step=on_step)
        by_overlap = bench_overlaps(frames, boxes, repeat=repeat, python=waymo_python, on_step=on_step)
    rows = [*by_distance.rows, *by_overlap.rows]
    if json:
        print_json([row.as_json() for row in rows])
    else:
        _print_table(rows, [*by_distance.notes, *by_overlap.notes])


def _print_parts(bench: Bench) -> None:
    from rich.table import Table

    from xmodal_cli.console import out
    from xmodal_core.bench.pretrain import TOTAL

    table = Table()
    table.add_column("part of a step", no_wrap=True)
    for title in ("teacher looks:\nmilliseconds", "\nshare", "from the cache:\nmilliseconds", "\nshare", "\nratio"):
        table.add_column(title, justify="right", no_wrap=True)
    total = bench.parts[-1]
    for part in bench.parts:
        if part.step == TOTAL:
            table.add_section()
        ratio = "" if part.ratio is None else f"{part.ratio:,.1f}x"
        shares = (
            f"{value / whole:.0%}" for value, whole in ((part.without, total.without), (part.cached, total.cached))
        )
        without, cached = shares
        table.add_row(part.step, f"{part.without:,.1f}", without, f"{part.cached:,.1f}", cached, ratio)
    out.print(table)
    for note in (*bench.notes, f"losses of the two differ by {bench.loss_difference:.2g} of their value at most"):
        out.print(note, highlight=False, soft_wrap=True, markup=False)


def _print_steps(steps: Sequence[Step]) -> None:
    from rich.table import Table

    from xmodal_cli.console import out

    table = Table()
    table.add_column("network", overflow="fold")  # wraps where the terminal is narrow, so that no figure is cut
    table.add_column("stage", no_wrap=True)
    for title in ("forward\nms", "backward\nms", "share", "memory\nMB"):
        table.add_column(title, justify="right", no_wrap=True)
    for step in steps:
        times = f"{step.forward:,.1f}", f"{step.backward:,.1f}"
        table.add_row(f"{step.network} {step.preset}", "a step", *times, "", f"{step.memory / 1e6:,.0f}")
        for part in step.parts:
            pairs = f" (built {step.pairs}x)" if part.stage == "index pairs" else ""
            times = f"{part.forward:,.1f}", f"{part.backward:,.1f}"
            table.add_row("", f"  {part.stage}{pairs}", *times, f"{part.share:.0%}", "")
        table.add_section()
    out.print(table)


def _print_table(rows: Sequence[Row], notes: Sequence[str]) -> None:
    from collections import Counter

    from rich.table import Table

    from xmodal_cli.console import out

    table = Table()
    table.add_column("step")  # it and the name wrap where the terminal is narrow, so that no figure is cut
    table.add_column("name")
    for title in ("milliseconds", "ratio\nto ours", "same\nresult"):
        table.add_column(title, justify="right", no_wrap=True)
    step, lines = "", Counter(row.step for row in rows)
    for row in rows:
        # A line between steps where they have rows to be told apart.
        if step and row.step != step and max(lines[step], lines[row.step]) > 1:
            table.add_section()
        ratio = "" if row.ratio_to_ours is None else f"{row.ratio_to_ours:.1f}x"
        same = {True: "yes", False: "NO", None: ""}[row.same_result]
        table.add_row("" if row.step == step else row.step, row.name, f"{row.milliseconds:,.1f}", ratio, same)
        step = row.step
    out.print(table)
    for note in notes:
        out.print(note, highlight=False, soft_wrap=True, markup=False)
