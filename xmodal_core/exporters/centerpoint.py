"""CenterPoint (det3d): a state_dict for load_from=, with the part of the config that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from torch import Tensor

from xmodal_core.exporters import _centerpoint_pillars, _centerpoint_voxels
from xmodal_core.exporters._sparse_encoder import SUITED
from xmodal_core.exporters._table import Row
from xmodal_core.exporters.base import Difference, Exporter, Step
from xmodal_core.points.base import NetworkSettings

if TYPE_CHECKING:
    from xmodal_core.points.pillars import PillarsConfig

TABLES = {"pillars": _centerpoint_pillars.TABLE, "voxels": _centerpoint_voxels.TABLE}


class CenterPoint(Exporter):
    """A ``.pth`` with ``state_dict`` in the names of tianweiy/CenterPoint, and a fragment of its config beside it.

    The wrapper is a plain dictionary: of an ordered one its loader takes the outer keys for tensors.
    """

    networks = tuple(TABLES)
    versions = (2, 1)
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "pillars": {"points_per_pillar": 20, "centre_offsets": "xy"},
        "voxels": SUITED,
    }

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        return list(TABLES[network].rows(settings, self.spconv))

    def differences(self, network: str, settings: NetworkSettings) -> Sequence[Difference]:
        if network != "pillars":
            return ()
        return tuple(_centerpoint_pillars.differences(cast("PillarsConfig", settings)))

    def prepared(self, network: str, settings: NetworkSettings, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if network != "pillars":
            return tensors
        return _centerpoint_pillars.without_height(cast("PillarsConfig", settings), tensors)

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        return ".py", TABLES[network].fragment(settings)

    def usage(self, file: Path) -> tuple[Step, ...]:
        return (
            Step(f"put the keys of {file.stem}.py in place of the same keys of your config; the head stays yours"),
            Step("add to it", (f'load_from = "{file}"',)),
            Step("read the log: only bbox_head's tensors should be missing"),
        )
