"""mmdetection3d: a plain state_dict for load_from= or init_cfg=Pretrained, with the part of the config that fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmodal_core.exporters import _mmdet3d_minkunet, _mmdet3d_pillars, _mmdet3d_voxels
from xmodal_core.exporters._table import Row
from xmodal_core.exporters.base import Exporter, Step
from xmodal_core.points.base import NetworkSettings

TABLES = {
    "minkunet_mmdet3d": _mmdet3d_minkunet.TABLE,
    "pillars": _mmdet3d_pillars.TABLE,
    "voxels": _mmdet3d_voxels.TABLE,
}


class Mmdet3d(Exporter):
    """A ``.pth`` with ``state_dict`` in the names of mmdetection3d 1.x, and a fragment of its config beside it.

    Its sparse convolutions permute weights as they are loaded, unless the dictionary says that it is of spconv 2 in an
    attribute which a rebuilt one loses. So the file is a plain dictionary in spconv 1's order, which loads both ways,
    by ``load_from`` and by ``Pretrained(prefix=…)``.
    """

    networks = tuple(TABLES)
    versions = (1,)

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        return list(TABLES[network].rows(settings, self.spconv))

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        return ".py", TABLES[network].fragment(settings)

    def usage(self, file: Path) -> tuple[Step, ...]:
        return (
            Step(f"put the keys of {file.stem}.py in place of the same keys of your config; the head stays yours"),
            Step("add to it", (f'load_from = "{file}"',)),
            Step("read the log: only the head's tensors should be missing"),
        )
