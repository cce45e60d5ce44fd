"""A fine-tuned model brought back to the frames that it is to be judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from xmodal_core.errors import InputError
from xmodal_core.metrics import Protocol
from xmodal_core.train import run
from xmodal_core.train.config import whole_path
from xmodal_core.train.evaluation import Judging
from xmodal_core.train.finetune_config import Finetuning, finetuning_of
from xmodal_core.train.finetune_work import LIST, find_frames, open_split
from xmodal_core.train.model import Model
from xmodal_core.train.plan import evenly_spread

__all__ = ["find_judging", "standing"]


def find_judging(
    source: Path,
    model: Model,
    root: Path | None = None,
    split: str | None = None,
    frames: int | None = None,
    assignments: Sequence[str] = (),
) -> Judging:
    """The frames that ``model`` is to be judged on.

    Args:
        source: where it is from, a run's folder or a file in it.
        model: what is judged.
        root: the data set's folder; None: that of the run.
        split: None: the frames on which the run was judged.
        frames: only so many, evenly spread.
        assignments: ``--set`` texts, options of the data set.

    Raises:
        InputError, DataError: the data set cannot be opened, there is no such split, or nothing says where it is or
            which frames were labelled.
    """
    folder = source if source.is_dir() else source.parent
    experiment = _with_its_list(finetuning_of(model.saved.card["settings"], assignments), folder, split)
    if root is None and (folder / run.SETTINGS).is_file():
        root = run.read_run(folder).root
    experiment = replace(experiment, root=None if root is None else whole_path(root))
    if split is None:
        found = find_frames(experiment)
        dataset, indices, called = found.judged, found.judged_indices, found.judged_split
    else:
        dataset, called = open_split(experiment, split), split
        indices = evenly_spread(len(dataset), None)
    if not len(indices):
        raise InputError(f"there is no frame in split '{called}' of {dataset.root}", "choose another with --split")
    return Judging(dataset, indices[evenly_spread(len(indices), frames)], called, torch.device("cpu"))


def _with_its_list(experiment: Finetuning, folder: Path, split: str | None) -> Finetuning:
    """``experiment`` whose list of labelled frames, if it has one, is that in the run's ``folder``: the card says only
    what the one that it was given was called."""
    if experiment.labels.file is None or split is not None:
        return experiment
    if not (folder / LIST).is_file():
        raise InputError(
            f"which frames are labelled was given by {experiment.labels.file}, and {folder} has no {LIST}",
            "give the run's folder, or say on which split with --split",
        )
    labels = experiment.labels.model_copy(update={"file": str(folder / LIST)})
    return replace(experiment, labels=labels)


def standing(source: Path, model: Model, protocol: Protocol) -> dict[str, Any]:
    """Which model was judged, as ``--json`` says it."""
    card = model.saved.card
    labels = card["labels"]
    return {
        "run": str(source),
        "task": card["task"],
        "protocol": protocol.name,
        "fraction": labels["fraction"],
        "labelled_frames": labels["labelled_frames"],
        "rule": labels["rule"],
        "seed": labels["seed"],
        "metrics_first_epoch": card["metrics"].get("metrics_first_epoch", {}),
    }
