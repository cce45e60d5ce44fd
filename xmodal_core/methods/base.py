"""What a pre-training method is: a batch in, a loss and what is worth watching out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from xmodal_core.config import Settings
from xmodal_core.images.base import Teacher
from xmodal_core.points.base import PointNetwork
from xmodal_core.train.batch import Batch


class Outcome(NamedTuple):
    """``loss``, a scalar with its graph; ``measures``, detached scalars to log, by name. Methods that contrast give
    ``contrastive_accuracy`` and ``alignment``."""

    loss: Tensor
    measures: Mapping[str, Tensor]


class Method(nn.Module, ABC):
    """A pre-training method around the network that it trains.

    A plugin gives ``Config`` (its options), ``needs_teacher`` and ``pools_teacher``: it asks its teacher for nothing
    but ``images.unit_features``, so that these can be kept in place of pictures. The network is its submodule
    ``network``, the frozen teacher its submodule ``teacher``; its own heads are submodules of other names.

    Args:
        config: the plugin's own settings.
        network: the LiDAR network that is trained.
        teacher: the frozen image network; None for methods without one.
    """

    Config: ClassVar[type[Settings]]
    needs_teacher: ClassVar[bool] = True
    pools_teacher: ClassVar[bool] = False

    def __init__(self, config: Settings, network: PointNetwork, teacher: Teacher | None) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.teacher = teacher

    @abstractmethod
    def forward(self, batch: Batch) -> Outcome:
        """The loss of ``batch``; every frame in it has at least two units."""

    def trained_state(self) -> dict[str, Tensor]:
        """The ``state_dict`` without the teacher, which never changes and is loaded from its own file."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("teacher.")}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``trained_state`` gave.

        Raises:
            RuntimeError: a tensor is missing, unknown, or of another shape.
        """
        frozen = (
            {f"teacher.{name}": tensor for name, tensor in self.teacher.state_dict().items()} if self.teacher else {}
        )
        self.load_state_dict({**frozen, **state})
