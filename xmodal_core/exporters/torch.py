"""The weights by their own names, as safetensors with a card inside; loads with plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from xmodal_core import plugins
from xmodal_core.exporters._table import Row
from xmodal_core.exporters.base import Checkpoint, Exporter, Step
from xmodal_core.points.base import NetworkSettings
from xmodal_core.train.backbone import Backbone, load_backbone, save_backbone


class Torch(Exporter):
    """Our own names and shapes: nothing is renamed, so the file is also what ``xmodal`` itself reads back.

    The card inside (``safe_open(file).metadata()["card"]``, JSON) says network, settings, data set, channels and
    metrics; the same card lies beside the file for people.
    """

    networks = tuple(plugins.names(plugins.NETWORK))
    suffix = ".safetensors"
    as_stored = False

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        from xmodal_core.points import load_network

        tensors = load_network(network, settings.model_dump()).state_dict()
        return [Row(name, tuple(tensor.shape), name) for name, tensor in tensors.items()]

    def write(self, backbone: Backbone, tensors: Mapping[str, Tensor], file: Path) -> None:
        card = {key: value for key, value in backbone.card.items() if key != "schema"}
        save_backbone(file, tensors, card)

    def read(self, file: Path) -> Checkpoint:
        found = load_backbone(file)
        return Checkpoint(found.tensors, found.card)

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        return "", ""

    def usage(self, file: Path) -> tuple[Step, ...]:
        return (
            Step(
                "its tensors, without xmodal",
                ("from safetensors.torch import load_file", f'tensors = load_file("{file}")'),
            ),
            Step(
                "or the network, with the settings in its card",
                (
                    "from pathlib import Path",
                    "from xmodal_core.points import restore_network",
                    "from xmodal_core.train.backbone import load_backbone",
                    f'network = restore_network(load_backbone(Path("{file}")))',
                ),
            ),
        )
