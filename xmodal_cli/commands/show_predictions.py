"""xmodal show-predictions: what a fine-tuned model predicts of a frame, against its labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import Json, known
from xmodal_core import plugins

if TYPE_CHECKING:
    from viz.scene import Scene
    from xmodal_core.tasks import Task
    from xmodal_core.types import Frame


def show_predictions(
    model: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run of finetune, or its model.safetensors.")],
    frame: Annotated[
        int | None,
        typer.Option(
            "--frame",
            metavar="K",
            help="Number of the frame in the split, from 0. Default: the first on which the run was judged.",
            min=0,
        ),
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="The data set's folder. Default: the run's.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="Default: that of the frames on which the run was judged."),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Of a run the model that was judged best, not the last one.")
    ] = False,
    score: Annotated[
        float, typer.Option("--score", metavar="S", help="Draw boxes that are at least this sure.", min=0, max=1)
    ] = 0.3,
    viewer: Annotated[
        str | None,
        typer.Option(
            "--viewer",
            metavar="NAME",
            help=f"One of {known(plugins.VIEWER)}. Default: what --out says; without it a window, "
            "or where there is no display a page, predictions.html.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write: .html, .png, .pdf or .svg.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="auto (a GPU where there is one), cpu, cuda …")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another option of the data set, e.g. dataset.n_sweeps=10."),
    ] = None,
    json: Json = False,
) -> None:
    """Draw what a fine-tuned model predicts of a frame against its labels, in 3D and on the camera images.

    Boxes: found and missed, right and wrong, and by class. Points: by predicted class, by labelled class, right and
    wrong.
    """
    from viz.draw import attempts, draw
    from xmodal_cli.console import err, print_json
    from xmodal_cli.console import out as console
    from xmodal_cli.drive import title_of

    attempts(out, viewer)  # what cannot be drawn is said before a model is loaded
    with err.status("loading"):
        from xmodal_core.train.judging import find_judging
        from xmodal_core.train.model import load_model

        found = load_model(model, best=best)
        judging = find_judging(model, found, root, split, assignments=assignments or ())
    number = int(judging.indices[0]) if frame is None else frame
    with err.status("predicting"):
        shown = judging.dataset.frame(number)
        title = f"{title_of(judging.dataset)} · frame {number}"
        scene = _scene(found.task, shown, device, score, title)
    drawn = draw(scene, out, viewer, stem="predictions")
    facts = {what: value for value, what in scene.facts}
    if json:
        file = None if drawn.file is None else str(drawn.file)
        told = {
            "file": file,
            "viewer": drawn.viewer,
            "frame": number,
            "name": shown.name,
            "task": found.saved.card["task"],
        }
        print_json({**told, **facts, "notes": list(drawn.notes)})
        return
    for note in drawn.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    console.print(", ".join(f"{value} {what}" for what, value in facts.items()), highlight=False, soft_wrap=True)
    for line in (line for stage in scene.stages for line in stage.caption):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if drawn.file is not None:
        console.print(str(drawn.file), style="bold", markup=False, highlight=False, soft_wrap=True)


def _scene(task: Task, frame: Frame, device: str | None, score: float, title: str) -> Scene:
    """What ``task`` predicts of ``frame``: boxes, or a class for each point."""
    from viz.predictions import compose_boxes, compose_classes
    from xmodal_core.config import validate
    from xmodal_core.metrics import Detections
    from xmodal_core.train.config import EngineConfig
    from xmodal_core.train.devices import find_device
    from xmodal_core.train.evaluation import predict_frame

    place = find_device(validate(EngineConfig, {"device": device or "auto"}, "train", "--device"))
    predicted: Any = predict_frame(task.to(place), frame, place)
    labels: Any = type(task).label(frame, task.classes, task.config)
    if not isinstance(predicted, Detections):
        return compose_classes(frame, predicted, labels, task.classes, title=title)
    boxes = None if labels is None else labels.boxes
    grid = task.network.bev_grid
    beyond = None if boxes is None or grid is None else ~grid.holds(boxes.centre)
    return compose_boxes(frame, predicted, boxes, beyond=beyond, score=score, title=title)
