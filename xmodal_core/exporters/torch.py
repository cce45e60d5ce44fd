"""The weights by their own names, as safetensors with a card inside; loads with plain PyTorch."""

from __future__ import annotations

from pathlib import Path

from xmodal_core import plugins
from xmodal_core.exporters.base import Converted, Exporter
from xmodal_core.train.backbone import Backbone, save_backbone


class Torch(Exporter):
    """Our own names and shapes: nothing is renamed, so the file is also what ``xmodal`` itself reads back.

    The card inside (``safe_open(file).metadata()["card"]``, JSON) says network, settings, data set, channels and
    metrics; the same card lies beside the file for people.
    """

    networks = tuple(plugins.names(plugins.NETWORK))
    suffix = ".safetensors"

    def convert(self, backbone: Backbone) -> Converted:
        from xmodal_core.points import load_network

        expected = load_network(backbone.network, backbone.card["network_settings"]).state_dict()
        return Converted(
            tensors=backbone.tensors,
            origin={name: name for name in backbone.tensors},
            expected={name: tuple(tensor.shape) for name, tensor in expected.items()},
        )

    def write(self, backbone: Backbone, converted: Converted, file: Path) -> None:
        card = {key: value for key, value in backbone.card.items() if key != "schema"}
        save_backbone(file, converted.tensors, card)

    def settings_fragment(self, backbone: Backbone) -> tuple[str, str]:
        return "", ""

    def usage(self, file: Path) -> tuple[str, ...]:
        return (
            "from safetensors.torch import load_file",
            f'tensors = load_file("{file.name}")',
            "or as the network itself, with the settings in its card:",
            "from pathlib import Path",
            "from xmodal_core.points import restore_network",
            "from xmodal_core.train.backbone import load_backbone",
            f'network = restore_network(load_backbone(Path("{file.name}")))',
        )
