"""A run small enough for many of them: a real data set and real units, a stand-in network, teacher and method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xmodal_core.config import Settings
from xmodal_core.datasets import kitti_raw, open_dataset
from xmodal_core.images.base import Teacher, TeacherConfig
from xmodal_core.methods.base import Method, Outcome
from xmodal_core.points.base import NetworkSettings, PointFeatures, PointNetwork
from xmodal_core.train.batch import Batch
from xmodal_core.train.config import Experiment, read_experiment
from xmodal_core.train.parts import Parts

FRAMES = 5


class StandInSettings(NetworkSettings):
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    preset: str = ""


class StandInNetwork(PointNetwork):
    """Every point by itself; with batch norm, whose statistics must survive, and dropout, whose dice must."""

    width = 16

    def __init__(self, config: StandInSettings) -> None:
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, self.width)
        )

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        return PointFeatures(self.layers(torch.cat([points / 10, channels], dim=1)), None)


class StandInTeacher(Teacher):
    Config: ClassVar[type[TeacherConfig]] = TeacherConfig
    channels, strides = (8,), (4,)

    def __init__(self) -> None:
        super().__init__(TeacherConfig())
        self.layer = nn.Conv2d(3, 8, 4, stride=4).requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layer(images)]


class StandInMethod(Method):
    """Finds each unit among all of the batch; ``meddle`` sees, and may change, every loss."""

    Config = Settings

    def __init__(self, network: PointNetwork, teacher: Teacher, meddle: Callable[[Tensor, Batch], Tensor]) -> None:
        super().__init__(Settings(), network, teacher)
        self.head = nn.Linear(8, network.width)
        self.meddle = meddle

    def forward(self, batch: Batch) -> Outcome:
        lidar = batch.pooling @ self.network(batch.points, batch.channels, batch.offsets).features
        (level,) = self.teacher(batch.images.float() / 255)
        cells = level.permute(0, 2, 3, 1)
        x, y = (batch.pixel_uv / 4).long().unbind(1)
        seen = cells[batch.pixel_image, y.clamp(max=cells.shape[1] - 1), x.clamp(max=cells.shape[2] - 1)]
        image = self.head(batch.image_pooling @ seen)
        cosine = F.normalize(image, dim=1) @ F.normalize(lidar, dim=1).T
        target = torch.arange(len(cosine))
        loss = self.meddle(F.cross_entropy(cosine / 0.1, target), batch)
        accuracy = (cosine.argmax(1) == target).float().mean()
        return Outcome(loss, {"contrastive_accuracy": accuracy, "alignment": cosine.detach().diagonal().mean()})


def _build(experiment: Experiment, meddle: Callable[[Tensor, Batch], Tensor] = lambda loss, batch: loss) -> Parts:
    """The stand-ins on the experiment's data set."""
    dataset = open_dataset(experiment.dataset.name, experiment.root, experiment.dataset.options.model_dump())
    return Parts(dataset, StandInMethod(StandInNetwork(StandInSettings()), StandInTeacher(), meddle))


@pytest.fixture(scope="session")
def build() -> Callable[..., Parts]:
    """Makes the stand-ins on an experiment's data set; ``meddle`` as ``StandInMethod`` takes it."""
    return _build


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KITTI drive of five frames."""
    return kitti_raw.example(tmp_path_factory.mktemp("drive") / "root", frames=FRAMES)


@pytest.fixture
def experiment(drive: Path) -> Callable[..., Experiment]:
    """An experiment on that drive; settings by dotted names with ``__`` for the dots."""

    def make(**settings: Any) -> Experiment:
        assignments = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
        basic = ["units.seeds.count=64", "train.epochs=2", "train.batch_size=2", "train.threads=1", "train.device=cpu"]
        return read_experiment(
            None, [*basic, *assignments], {"dataset.name": "kitti_raw", "dataset.root": drive}, gpu=False
        )

    return make
