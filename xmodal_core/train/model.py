"""The slim files of a fine-tuned model: network, head and a card that says what they are.

``model.safetensors`` is the model as of the last checkpoint, ``best.safetensors`` as of the evaluation that ranked it
highest. The card is that of a pre-trained network (``backbone``) with ``task``, ``task_settings``, ``told_apart`` (the
classes, in the order of the head's outputs) and ``labels`` (the rule, the number of frames).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from xmodal_core.errors import DataError
from xmodal_core.points import load_network
from xmodal_core.tasks import Task, load_task
from xmodal_core.train.backbone import Backbone, read_slim

FILE_NAME, BEST = "model.safetensors", "best.safetensors"


class Model(NamedTuple):
    """A fine-tuned ``task`` with its weights, and the ``saved`` tensors and card that it was made from."""

    task: Task
    saved: Backbone


def load_model(source: Path, *, best: bool = False) -> Model:
    """The model at ``source``, a run folder or a slim file itself.

    Args:
        source: of a run folder the last model is taken.
        best: or the one that was judged best.

    Raises:
        DataError: there is no such file, it is damaged, or holds no fine-tuned model.
        InputError: its card names a plugin or an option that is unknown here.
    """
    file = source / (BEST if best else FILE_NAME) if source.is_dir() else source
    saved = read_slim(file, "fine-tuned model", "finetune")
    card = saved.card
    if "task" not in card:
        raise DataError(
            f"{file} is a pre-trained network without a task's head",
            f"fine-tune it first: xmodal finetune --init {source}",
        )
    network = load_network(str(card["network"]), card["network_settings"])
    task = load_task(str(card["task"]), network, card["told_apart"], card["task_settings"])
    try:
        task.load_trained_state(saved.tensors)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise DataError(
            f"the tensors in {file} are not those of the model in its card: {first}",
            "use the file as it was written, by the version that wrote it",
        ) from None
    return Model(task.eval(), saved)
