"""The weights that a run begins with: those of a pre-trained network, and what of them fitted.

A network whose voxels, range or channels are others than in pre-training takes the weights without complaint and
computes nonsense with them, so such differences are looked for and refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isclose
from pathlib import Path
from typing import Any

from xmodal_core import plugins
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import InputError, XmodalError
from xmodal_core.points.base import PointNetwork
from xmodal_core.train.backbone import Backbone, load_backbone
from xmodal_core.train.config import InitConfig

INPUT_SETTINGS = (
    "voxel_size",
    "voxel_angle",
    "pillar_size",
    "range",
    "coordinates",
    "channels",
    "inputs",
    "points_per_pillar",
    "points_per_voxel",
    "centre_offsets",
    "origin",
    "sample",
    "keep_beyond",
    "centres",
    "radii",
    "neighbours",
    "stem_kernel",
)
"""The settings of networks that say how points are taken in, whatever network has them."""


@dataclass(frozen=True)
class Beginning:
    """What became of the tensors of a pre-trained network.

    Args:
        source: its file.
        loaded: names of tensors that the network has from it.
        new: tensors of the network that it lacks, or has in another shape: they stay random.
        unused: tensors of it that the network has no place for.
        mismatches: how the network takes its input otherwise, in words; empty unless that was allowed.
    """

    source: str
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    mismatches: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Its fields, the loaded tensors only counted."""
        return {**asdict(self), "loaded": len(self.loaded)}

    def line(self) -> str:
        """In words, with the first tensors that did not find a partner."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        parts += [f"{len(names)} {what}{_some(names)}" for what, names in (("new", self.new), ("unused", self.unused))]
        return f"{self.source}: {', '.join(parts)}"


def _some(names: tuple[str, ...]) -> str:
    return f" ({_first(names)})" if names else ""


def _first(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"


def begin(network: PointNetwork, config: InitConfig, dataset: Dataset) -> Beginning | None:
    """Give ``network`` the weights that ``config`` names; None where it names none.

    Args:
        network: whose tensors are replaced.
        config: the source, and whether it may differ.
        dataset: what the network is to be fed with, to tell whether it comes in as in pre-training.

    Raises:
        DataError: there is no such file, or it is damaged.
        InputError: the network takes its input otherwise than the pre-trained one, or tensors are missing, and that was
            not allowed; or nothing of the file fits.
    """
    if config.source is None:
        return None
    backbone = load_backbone(Path(config.source))
    own = network.state_dict()
    fitting = {name for name, tensor in backbone.tensors.items() if name in own and own[name].shape == tensor.shape}
    beginning = Beginning(
        source=config.source,
        loaded=tuple(name for name in own if name in fitting),
        new=tuple(name for name in own if name not in fitting),
        unused=tuple(name for name in backbone.tensors if name not in fitting),
        mismatches=tuple(mismatches(backbone, network, dataset)),
    )
    if not beginning.loaded:
        raise InputError(
            f"nothing in {config.source} (network '{backbone.network}') fits the network '{plugins.name_of(network)}'",
            f"choose --network {backbone.network}",
        )
    differences = list(beginning.mismatches)
    if beginning.new:
        differences.append(f"tensors that do not fit: {_first(beginning.new)}")
    if differences and not config.allow_mismatch:
        raise InputError(
            f"the network differs from the pre-trained one of {config.source}: {'; '.join(differences)}",
            "leave these settings as they were in pre-training, or go on with what fits: --allow-mismatch",
        )
    network.load_state_dict({**own, **{name: backbone.tensors[name] for name in fitting}})
    return beginning


def mismatches(backbone: Backbone, network: PointNetwork, dataset: Dataset) -> Iterator[str]:
    """How ``network`` takes its input otherwise than ``backbone`` did in pre-training, in words."""
    name = plugins.name_of(network)
    if name != backbone.network:
        yield f"network is {name}, was {backbone.network}"
    then: Mapping[str, Any] = backbone.card["network_settings"]
    now = network.config.model_dump(mode="json")
    for setting in INPUT_SETTINGS:
        if setting in then and setting in now and then[setting] != now[setting]:
            yield f"{setting} is {_plain(now[setting])}, was {_plain(then[setting])}"
    before = intensity_reach(backbone)
    reach = network.config.intensity_scale * dataset.sensor.intensity_max
    if before is not None and "intensity" in network.config.channels and not isclose(before, reach, rel_tol=1e-6):
        yield f"intensity reaches {reach:g} in the network, was {before:g} (intensity_scale)"
    common = backbone.card.get("settings", {}).get("rig", {}).get("common_frame")
    if common is not None and common != dataset.rig.common_frame:
        yield f"rig.common_frame is {_switch(dataset.rig.common_frame)}, was {_switch(common)}"


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _plain(value: Any) -> str:
    return "[" + ", ".join(str(part) for part in value) + "]" if isinstance(value, list) else str(value)


def intensity_reach(backbone: Backbone) -> float | None:
    """The greatest intensity that the pre-trained network was fed with; None where nobody knows, as of a network that
    was brought in from elsewhere."""
    scale = backbone.card["network_settings"].get("intensity_scale")
    greatest = backbone.card.get("intensity_max")
    if greatest is None and backbone.card.get("dataset"):
        try:
            greatest = plugins.load(plugins.DATASET, str(backbone.card["dataset"])).stated(None)[0].intensity_max
        except XmodalError:  # a data set that states it in its folder, or of another installation
            return None
    return None if scale is None or greatest is None else float(scale) * float(greatest)
