"""spconv as the networks use it: its import without noise, its algorithm by device, the precisions it knows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

with warnings.catch_warnings():
    # spconv 2.3 decorates its functions in a way that torch 2.4 and later call deprecated.
    warnings.filterwarnings("ignore", message=r"`torch\.cuda\.amp\.custom_(fwd|bwd)", category=FutureWarning)
    import spconv.pytorch as spconv
    from spconv.core import ConvAlgo
    from spconv.pytorch.conv import SparseConvolution

# A note about torch.fx that torch 2.14 logs whenever spconv makes its first tensor, and that is no user's business.
logging.getLogger("torch.fx._symbolic_trace").addFilter(
    lambda record: not record.getMessage().startswith("is_fx_tracing will return true")
)

__all__ = ["fit_to_device", "spconv", "supported_precision"]


def fit_to_device(network: nn.Module, device: torch.device) -> None:
    """Let every sparse convolution of ``network`` use the algorithm that ``device`` knows.

    spconv chooses when a layer is made, before anybody knows where it will run: on a CPU only ``Native`` works; a
    GPU takes spconv's own choice.
    """
    for module in network.modules():
        if isinstance(module, SparseConvolution):
            if not hasattr(module, "default_algo"):
                module.default_algo = module.algo
            module.algo = ConvAlgo.Native if device.type == "cpu" else module.default_algo


@contextmanager
def supported_precision(device: torch.device) -> Iterator[None]:
    """Within it, automatic mixed precision is off unless spconv can follow: float16 on a GPU, nothing on a CPU."""
    kind = device.type
    follows = kind == "cuda" and torch.get_autocast_dtype(kind) == torch.float16
    with torch.autocast(kind, enabled=follows and torch.is_autocast_enabled(kind)):
        yield
