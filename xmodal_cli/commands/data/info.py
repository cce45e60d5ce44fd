"""xmodal data info: what a data set holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import Assignments, Cameras, ConfigFile, DatasetName, Json, Root, Split

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.inspection.frames import Sample


def info(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    cameras: Cameras = None,
    frame: Annotated[
        str | None,
        typer.Option("--frame", metavar="K", help="Read these: one, or a range, 0:40 or 0:400:10. Default: --frames."),
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", metavar="N", help="How many frames to read, evenly spread.", min=1)
    ] = 20,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Say what a data set holds: frames, scenes, splits, sensors, labels, and the numbers of a sample of its frames."""
    from xmodal_cli.console import err, print_json
    from xmodal_cli.drive import open_from_options
    from xmodal_cli.looking_at_data import chosen_frames, patience, read_sample

    with patience("opening"):
        opened = open_from_options(dataset, root, split, config, assignments, cameras=cameras)
    found = read_sample(opened, chosen_frames(frame, frames, len(opened)), pictures=False, skip_bad=True)
    if not found.read:
        if found.damaged:
            raise found.damaged[0][1]
        raise typer.Exit(130)
    stated = facts_of(opened)
    if json:
        print_json({**stated, **found.as_json()})
    else:
        _print(opened.root, stated, found)
    for note in stated["notes"]:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if found.left_out:
        words = f"{found.left_out:,} returns are left out in all: not finite, or the vehicle itself"
        err.print(f"note: {words}", highlight=False, soft_wrap=True)
    if found.damaged:
        number, error = found.damaged[0]
        err.print(
            f"note: left out for a damaged file: {len(found.damaged)} frames; the first, {number}: {error.message}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if found.interrupted:
        raise typer.Exit(130)


def facts_of(dataset: Dataset) -> dict[str, Any]:
    """What is known of a data set without reading a frame."""
    from xmodal_core import plugins

    sensor = dataset.sensor
    return {
        "dataset": plugins.name_of(dataset),
        "root": str(dataset.root),
        "split": getattr(dataset.config, "split", "all"),
        "splits": list(dataset.splits()),
        "frames": len(dataset),
        "scenes": len({dataset.scene(index) for index in range(len(dataset))}),
        "sensor": {
            "name": sensor.name,
            "beams": sensor.beams,
            "forward": list(sensor.forward),
            "height": sensor.height,
            "intensity_max": sensor.intensity_max,
        },
        "stated_channels": list(dataset.channels),
        "notes": list(dataset.notes()),
    }


def _print(root: Path, stated: dict[str, Any], found: Sample) -> None:
    from xmodal_cli.console import out
    from xmodal_cli.data_tables import cameras_table, classes_table, facts_table, numbers_table

    sensor = stated["sensor"]
    height = "height found in each sweep" if sensor["height"] is None else f"{sensor['height']:g} m above the ground"
    forward = ", ".join(f"{side:g}" for side in sensor["forward"])
    read = len(found.read)
    out.print(
        facts_table(
            {
                "data set": f"{stated['dataset']} in {root}",
                "split": f"{stated['split']} of: {', '.join(stated['splits'])}",
                "frames": f"{stated['frames']:,} in {stated['scenes']:,} scenes",
                "LiDAR": f"{sensor['name']}, {sensor['beams']} beams, {height}, forward is ({forward})",
                "channels": f"{', '.join(stated['stated_channels']) or 'none'}; "
                f"intensity up to {sensor['intensity_max']:g}",
                "poses": f"in {found.poses_in} of {read} frames",
                "boxes": f"in {found.boxes_in} of {read} frames",
                "labels of points": f"in {found.semantic_in} of {read} frames",
            }
        )
    )
    out.print(numbers_table(found))
    if found.cameras:
        out.print(cameras_table(found))
    if found.boxes:
        out.print(classes_table("boxes", found.boxes, found.boxes_in))
    if found.semantic:
        out.print(classes_table("labels of points", found.semantic, found.semantic_in))
