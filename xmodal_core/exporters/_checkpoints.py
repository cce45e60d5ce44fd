"""Checkpoints of other frameworks' trainers, read without running anything that they name.

Such a file is a pickle: beside tensors it may hold objects of its framework (buffers of a logger, settings, NumPy
numbers), which ``torch.load`` either refuses or builds by running that framework's code. Here every object that is not
a tensor, a container or a plain value becomes an empty stand-in.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from xmodal_core.errors import DataError

_TENSOR_PARTS = {
    "collections": ("OrderedDict",),
    "torch": ("Size", "device"),
    "torch._utils": ("_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_parameter"),
    "torch.storage": ("UntypedStorage", "TypedStorage"),
}
"""What the pickle of a tensor may name, by module."""


class _StandIn:
    """In place of an object that is not wanted: takes every argument, state and item, and keeps none."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """One item of a list that is not wanted."""

    def extend(self, values: Any) -> None:
        """Many."""

    def __hash__(self) -> int:
        return id(self)


def _is_part_of_a_tensor(module: str, name: str) -> bool:
    if module == "torch" and (name.endswith("Storage") or isinstance(getattr(torch, name, None), torch.dtype)):
        return True
    return name in _TENSOR_PARTS.get(module, ())


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if _is_part_of_a_tensor(module, name):
            return super().find_class(module, name)
        return type(name, (_StandIn,), {})


class _TensorsOnly:
    """What ``torch.load`` asks of a ``pickle_module``."""

    Unpickler = _Unpickler

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        return _Unpickler(file, **options).load()


def read_checkpoint(file: Path) -> Mapping[str, Any]:
    """What ``file`` holds, on the CPU: tensors, containers and plain values as they are, stand-ins for all else.

    Raises:
        DataError: the file is missing or damaged, or holds no dictionary.
    """
    if not file.is_file():
        raise DataError(f"no checkpoint at {file}", "give the file that the other framework wrote")
    try:
        content = torch.load(file, map_location="cpu", weights_only=False, pickle_module=_TensorsOnly)
    except Exception as error:
        raise DataError(f"{file} cannot be read as a PyTorch checkpoint: {error}", "copy it again") from error
    if not isinstance(content, Mapping):
        raise DataError(f"{file} holds no dictionary of tensors", "give a checkpoint, not a whole pickled model")
    return content
