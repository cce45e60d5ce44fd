"""ONNX: the dense part of networks with a bird's-eye map, 2D backbone and neck, to run without PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import onnx
import onnxscript  # noqa: F401 (torch's exporter needs it: where it is missing, that is said before anything is done)
import torch
from torch import Tensor, nn

from xmodal_core.errors import InputError
from xmodal_core.exporters._table import Row
from xmodal_core.exporters.base import Checkpoint, Exporter, Step
from xmodal_core.points import load_network, restore_network
from xmodal_core.points._bev import BevNetwork
from xmodal_core.points.base import NetworkSettings
from xmodal_core.train.backbone import Backbone

OPSET = 18
INPUT, OUTPUT = "canvas", "bev"


class Onnx(Exporter):
    """An ``.onnx`` from ``canvas`` (B,F,rows,columns), the map that pillars or the sparse encoder fill, to ``bev``
    (B,W,ny,nx), the bird's-eye map; any number of frames B.

    Pillars and sparse convolutions have no operators in ONNX, so what comes before the canvas stays with PyTorch. The
    graph is in eval mode, with batch norms in the convolutions.
    """

    networks = ("pillars", "voxels")
    suffix = ".onnx"
    part: ClassVar[str | None] = "the 2D backbone and neck"
    as_stored = False

    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        with torch.device("meta"):
            tensors = load_network(network, settings.model_dump()).state_dict()
        return [Row(name, tuple(tensor.shape), name) for name, tensor in tensors.items() if self.carries(name)]

    def carries(self, name: str) -> bool:
        return name.startswith(("levels.", "ups."))

    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        return "", ""

    def usage(self, file: Path) -> tuple[Step, ...]:
        lines = (
            "import onnxruntime",
            f'session = onnxruntime.InferenceSession("{file}")',
            f'({OUTPUT},) = session.run(None, {{"{INPUT}": {INPUT}}})',
        )
        return (Step(f"fill '{INPUT}' (float32, its shape is in the card) from what comes before it, then", lines),)

    def facts(self, network: str, settings: NetworkSettings) -> Mapping[str, object]:
        made = _meta(network, settings)
        width, ny, nx = made.bev_grid.width, made.bev_grid.ny, made.bev_grid.nx  # type: ignore[union-attr]
        return {
            "opset": OPSET,
            "input": {INPUT: ["frames", *_canvas(made)]},
            "output": {OUTPUT: ["frames", width, ny, nx]},
        }

    def write(self, backbone: Backbone, tensors: Mapping[str, Tensor], file: Path) -> None:
        network = restore_network(backbone).eval()
        assert isinstance(network, BevNetwork)
        # Two frames: torch takes a size of one for a constant.
        example = torch.zeros(2, *_canvas(network))
        with _quiet():
            program = torch.onnx.export(
                _Dense(network).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: torch.export.Dim("frames")}},
                external_data=False,
                verbose=False,
            )
        assert program is not None
        onnx.save_model(program.model_proto, str(file))

    def read(self, file: Path) -> Checkpoint:
        """Refuse.

        Raises:
            InputError: always: the file has a part of the network, with the batch norms in other tensors.
        """
        raise InputError(
            f"{file} cannot be read back: an ONNX file has {self.part} alone, without batch norms of their own",
            "give the file that it was exported from, or the other framework's checkpoint",
        )


class _Dense(nn.Module):
    """``network.to_map`` as a module of its own, its tensors named as the network names them."""

    def __init__(self, network: BevNetwork) -> None:
        super().__init__()
        self.levels, self.ups = network.levels, network.ups
        self._to_map = network.to_map

    def forward(self, canvas: Tensor) -> Tensor:
        return self._to_map(canvas)


def _meta(network: str, settings: NetworkSettings) -> BevNetwork:
    with torch.device("meta"):
        made = load_network(network, settings.model_dump())
    assert isinstance(made, BevNetwork)
    return made


def _canvas(network: BevNetwork) -> tuple[int, int, int]:
    """(F, rows, columns) of the map that the 2D part of ``network`` is given."""
    first = next(layer for layer in network.levels.modules() if isinstance(layer, nn.Conv2d))
    columns, rows = network.config.cells
    return first.in_channels, rows, columns


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it, torch's exporter keeps its advice to its own developers to itself."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
