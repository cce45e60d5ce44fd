"""What LiDAR networks there are: the size of every preset, what it gives for a point, and the formats it can go to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xmodal_core import plugins
from xmodal_core.errors import InputError

if TYPE_CHECKING:
    from xmodal_core.exporters.base import Exporter
    from xmodal_core.points.base import BevGrid, NetworkSettings


@dataclass(frozen=True)
class Way:
    """How the weights of a preset, with its own settings, go to one format.

    Args:
        format: its name.
        part: which part of a network alone the format carries; None: the whole.
        refused: why they cannot go there; None where they can.
        differences: in what the target computes something else from them, which takes ``--inexact``.
    """

    format: str
    part: str | None = None
    refused: str | None = None
    differences: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the target computes the same."""
        return self.refused is None and not self.differences

    def as_json(self) -> dict[str, Any]:
        """The way as ``--json`` prints it."""
        return {
            "format": self.format,
            "part": self.part,
            "exact": self.exact,
            "refused": self.refused,
            "differences": list(self.differences),
        }


@dataclass(frozen=True)
class Preset:
    """A preset of a network.

    Args:
        network, name: which one.
        parameters: how many numbers are trained.
        width: features of a point.
        bev: the bird's-eye map, of networks that have one.
        ways: to every format that carries this network.
    """

    network: str
    name: str
    parameters: int
    width: int
    bev: BevGrid | None
    ways: tuple[Way, ...]

    @property
    def exact(self) -> tuple[Way, ...]:
        """The ways to formats whose target computes the same."""
        return tuple(way for way in self.ways if way.exact)

    @property
    def inexact(self) -> tuple[Way, ...]:
        """The ways to formats whose target computes something else."""
        return tuple(way for way in self.ways if way.differences)

    def as_json(self) -> dict[str, Any]:
        """The preset as ``--json`` prints it."""
        bev = None
        if self.bev is not None:
            bev = {"cell_metres": self.bev.cell, "nx": self.bev.nx, "ny": self.bev.ny, "features": self.bev.width}
        return {
            "network": self.network,
            "preset": self.name,
            "parameters": self.parameters,
            "width": self.width,
            "map": bev,
            "formats": [way.as_json() for way in self.ways],
        }


class Catalogue(NamedTuple):
    """All presets, and what could not be looked into."""

    presets: tuple[Preset, ...]
    notes: tuple[str, ...]


def catalogue(network: str | None = None) -> Catalogue:
    """The presets of every network, or of ``network`` alone; networks are built without memory for their weights.

    A format whose library is not installed is left out, with a note.

    Raises:
        InputError: the network is unknown.
    """
    names = plugins.names(plugins.NETWORK) if network is None else [network]
    known = {name: plugins.load(plugins.NETWORK, name) for name in names}
    opened = {name: _exporter(name) for name in plugins.names(plugins.EXPORTER)}
    exporters = {name: one for name, one in opened.items() if not isinstance(one, InputError)}
    found = (_preset(name, preset, exporters) for name, kind in known.items() for preset in kind.Config.presets)
    notes = (f"{one.message}: {one.hint}" for one in opened.values() if isinstance(one, InputError))
    return Catalogue(tuple(found), tuple(notes))


def _exporter(name: str) -> Exporter | InputError:
    """The exporter, or what it lacks."""
    try:
        exporter: Exporter = plugins.load(plugins.EXPORTER, name)()
    except InputError as error:
        return error
    return exporter


def _preset(network: str, preset: str, exporters: Mapping[str, Exporter]) -> Preset:
    import torch

    from xmodal_core.points import load_network

    with torch.device("meta"):
        made = load_network(network, {"preset": preset})
        ways = tuple(_ways(network, made.config, exporters))
    parameters = sum(parameter.numel() for parameter in made.parameters())
    return Preset(network, preset, parameters, made.width, made.bev_grid, ways)


def _ways(network: str, config: NetworkSettings, exporters: Mapping[str, Exporter]) -> Iterator[Way]:
    for name, exporter in exporters.items():
        if network not in exporter.networks:
            continue
        try:
            exporter.rows(network, config)
        except InputError as error:
            yield Way(name, exporter.part, refused=error.message)
        else:
            differences = (difference.what for difference in exporter.differences(network, config))
            yield Way(name, exporter.part, differences=tuple(differences))
