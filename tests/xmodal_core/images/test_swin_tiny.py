"""Swin-T from its authors' files, built by the rule that timm's names are made from, read backwards."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from xmodal_core.errors import DataError, InputError
from xmodal_core.images import load_teacher

PREVIOUS = {"layers.1.": "layers.0.", "layers.2.": "layers.1.", "layers.3.": "layers.2."}


@cache
def network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, strict_img_size=False).eval()


def authors(seed: int, prefix: str) -> dict[str, Tensor]:
    """As microsoft/Swin-Transformer names them, with buffers and a head."""
    named = {}
    for name, value in network(seed).state_dict().items():
        if ".downsample." in name:
            name = PREVIOUS[name[:9]] + name[9:]
        named[prefix + name] = value
    for layer, depth in enumerate((2, 2, 6, 2)):
        for block in range(depth):
            of = f"{prefix}layers.{layer}.blocks.{block}."
            named[f"{of}attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.long)
            if block % 2 and layer < 3:
                named[f"{of}attn_mask"] = torch.zeros(4, 49, 49)
    return named


def esvit(wanted: str) -> dict[str, object]:
    """Both encoders with their heads; all but the one that is ``wanted`` are zeros, which take no room."""
    heads = {"head.mlp.0.weight": torch.zeros(8, 768), "head_dense.mlp.0.weight": torch.zeros(8, 768)}
    state = {"teacher": {**authors(2, ""), **heads}, "student": {**authors(2, "module.")}}
    state["student"] |= {f"module.{name}": value for name, value in heads.items()}
    other = "student" if wanted == "teacher" else "teacher"
    state[other] = {name: torch.zeros(()).expand(value.shape) for name, value in state[other].items()}
    return {**state, "optimizer": {}, "epoch": 300, "args": Namespace(arch="swin_tiny")}


def imagenet() -> dict[str, object]:
    return {"model": {**authors(2, ""), "head.weight": torch.zeros(1000, 768), "head.bias": torch.zeros(1000)}}


@pytest.mark.parametrize(
    ("make", "settings", "left_out"),
    [
        (lambda: esvit("teacher"), {}, 12 + 5 + 2),
        (lambda: esvit("student"), {"encoder": "student"}, 12 + 5 + 2),
        (imagenet, {"weights": "imagenet"}, 12 + 5 + 2),
        (lambda: network(2).state_dict(), {"weights": "imagenet"}, 0),
    ],
    ids=["teacher", "student", "imagenet", "timm"],
)
def test_every_layout_gives_timms_maps(
    tmp_path: Path, make: Callable[[], object], settings: dict[str, object], left_out: int
) -> None:
    torch.save(make(), tmp_path / "swin.pth")
    teacher = load_teacher("swin_tiny", {**settings, "weights_file": tmp_path / "swin.pth", "strides": [4, 8, 16, 32]})
    assert teacher.channels == (96, 192, 384, 768)
    assert teacher.taken is not None
    assert (teacher.taken.taken, len(teacher.taken.left_out)) == (len(network(2).state_dict()), left_out)
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.no_grad():
        wanted = network(2).forward_intermediates((images - mean) / std, intermediates_only=True)
    for found, level in zip(teacher(images), wanted, strict=True):
        torch.testing.assert_close(found, level, atol=1e-5, rtol=1e-4)


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    whole = {"model": {name: torch.zeros(()).expand(value.shape) for name, value in authors(2, "").items()}}
    del whole["model"]["layers.2.downsample.norm.bias"]
    torch.save(whole, tmp_path / "less.pth")
    with pytest.raises(DataError, match=r"less\.pth belongs to another.*1 missing \(layers\.3\.downsample\.norm\.bias"):
        load_teacher("swin_tiny", {"weights_file": tmp_path / "less.pth"})


def test_a_stride_that_it_lacks_is_told_with_those_it_has() -> None:
    with pytest.raises(InputError, match=r"teacher\.strides' cannot have 2: .* 4, 8, 16, 32"):
        load_teacher("swin_tiny", {"weights": "random", "strides": [2]})
