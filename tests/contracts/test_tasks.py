"""What every task promises, on the example of every data set that has labels for it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError
from xmodal_core.points import load_network
from xmodal_core.tasks.base import Judged, LabelledBatch, LabelledExample, Task, collate
from xmodal_core.train.augment import Motion
from xmodal_core.train.batch import stack_channels
from xmodal_core.train.labelled import without_cameras
from xmodal_core.types import Frame

TASKS = plugins.names(plugins.TASK)
DATASETS = plugins.names(plugins.DATASET)
NETWORKS = {"segmentation": ("minkunet", {"voxel_size": 0.5}), "detection": ("pillars", {"pillar_size": 0.8})}
"""A small network that suits a task; another task has to be named here."""

STAY = Motion(np.eye(3), np.zeros(3))


class Case(NamedTuple):
    """A task on a data set's example: its frames that have labels for it."""

    dataset: Dataset
    kind: type[Task]
    config: Any
    classes: tuple[str, ...]
    frames: list[Frame]


@pytest.fixture(scope="module")
def case_of(example_root: Callable[[str], Path]) -> Callable[[str, str], Case]:
    made: dict[tuple[str, str], Case] = {}

    def make(task: str, name: str) -> Case:
        if (task, name) not in made:
            kind = plugins.load(plugins.TASK, task)
            config = validate(kind.Config, {}, "task", task)
            dataset = open_dataset(
                name, example_root(name), dict(kind.defaults(name, pretrained=False).get("dataset", {}))
            )
            try:
                classes = kind.classes_of(dataset, config)
            except DataError as error:
                pytest.skip(error.message)
            frames = [without_cameras(frame) for frame in dataset]
            labelled = [frame for frame in frames if kind.label(frame, classes, config) is not None]
            made[task, name] = Case(dataset, kind, config, classes, labelled)
        return made[task, name]

    return make


def task_on(case: Case, name: str) -> Task:
    network, settings = NETWORKS[name]
    torch.manual_seed(0)
    return case.kind(
        case.config, load_network(network, {"preset": "tiny", "channels": ["intensity"], **settings}), case.classes
    )


def batch_of(case: Case, motion: Motion = STAY) -> LabelledBatch:
    examples = []
    for frame in case.frames:
        labels = case.kind.move(case.kind.label(frame, case.classes, case.config), motion)
        examples.append(
            LabelledExample(frame.name, motion.points(frame.points), stack_channels(frame, ("intensity",)), labels)
        )
    return collate(examples, case.kind)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("data", DATASETS)
class TestEveryTask:
    def test_it_learns_and_is_judged(
        self, name: str, data: str, case_of: Callable[[str, str], Case], tmp_path: Path
    ) -> None:
        """Labels can be pickled, the loss reaches head and trunk, every frame gets a prediction, a protocol takes them
        and so does its submission file."""
        case = case_of(name, data)
        assert case.frames
        assert len(set(case.classes)) == len(case.classes) > 0
        for frame in case.frames:
            pickle.loads(pickle.dumps(case.kind.label(frame, case.classes, case.config)))
        task = task_on(case, name)
        batch = batch_of(case)
        outcome = task.train()(batch)
        assert outcome.loss.shape == ()
        assert torch.isfinite(outcome.loss)
        assert not any(value.requires_grad for value in outcome.measures.values())
        outcome.loss.backward()
        for part in (task.head_parameters(), task.network.parameters()):
            gradients = [parameter.grad for parameter in part if parameter.grad is not None]
            assert gradients
            assert all(torch.isfinite(gradient).all() for gradient in gradients)
            assert any(gradient.any() for gradient in gradients)
        with torch.no_grad():
            predicted = task.eval().predict(batch)
        assert len(predicted) == len(case.frames)
        numbers = {case.dataset.name(index): index for index in range(len(case.dataset))}
        judged = [Judged(numbers[f.name], f, one) for f, one in zip(case.frames, predicted, strict=True)]
        protocol = task.protocol(case.dataset)
        result = task.judge(protocol, case.dataset, iter(judged), "val")
        assert (result.protocol, result.split, result.frames) == (protocol.name, "val", len(case.frames))
        assert 0.0 <= result.main <= 1.0
        task.submit(protocol, case.dataset, iter(judged), tmp_path / "submission", "val")
        assert any(tmp_path.rglob("*"))

    def test_its_state_is_all_of_it(self, name: str, data: str, case_of: Callable[[str, str], Case]) -> None:
        if data != "sample":
            pytest.skip("one data set is enough")
        case = case_of(name, data)
        first, second = task_on(case, name), task_on(case, name)
        with torch.no_grad():
            for parameter in first.parameters():
                parameter.add_(0.01)
        second.load_trained_state(first.trained_state())
        assert all(torch.equal(first.state_dict()[key], value) for key, value in second.state_dict().items())
        second.freeze()
        second.train()
        assert not second.network.training
        assert second.training
        assert all(parameter.requires_grad for parameter in second.head_parameters())
        assert not any(parameter.requires_grad for parameter in second.network.parameters())


def test_both_tasks_are_there() -> None:
    assert {"segmentation", "detection"} <= set(TASKS)
