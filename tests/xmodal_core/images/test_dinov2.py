"""DINOv2's files, with registers and without, made from timm's weights by the rule read backwards."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from xmodal_core.errors import DataError, RunError
from xmodal_core.images import _dinov2, load_teacher


@cache
def network(registers: bool) -> Any:
    torch.manual_seed(5)
    name = f"vit_small_patch14_{'reg4_' if registers else ''}dinov2"
    return timm.create_model(name, num_classes=0, img_size=518, dynamic_img_size=True).eval()


def authors(state: dict[str, Tensor], registers: bool) -> dict[str, Tensor]:
    """facebookresearch/dinov2's names: positions begin with the class token's."""
    named = {**state, "mask_token": torch.zeros(1, 384)}
    if registers:
        named["register_tokens"] = named.pop("reg_token")
        own = torch.randn(1, 1, 384, generator=torch.Generator().manual_seed(1))
        named["cls_token"] = state["cls_token"] - own
        named["pos_embed"] = torch.cat([own, state["pos_embed"]], dim=1)
    return named


@pytest.mark.parametrize("registers", [False, True])
def test_the_authors_file_gives_timms_map(tmp_path: Path, registers: bool) -> None:
    peer = network(registers)
    torch.save(authors(peer.state_dict(), registers), tmp_path / "dino.pth")
    teacher = load_teacher("dinov2_small", {"weights_file": tmp_path / "dino.pth"})
    assert (teacher.strides, teacher.channels) == ((14,), (384,))
    assert teacher.taken is not None
    assert teacher.taken.left_out == ("mask_token",)
    images = torch.rand(1, 3, 60, 100, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    padded = torch.nn.functional.pad((images - mean) / std, (0, 112 - 100, 0, 70 - 60))
    with torch.no_grad():
        tokens = peer.forward_features(padded)[:, peer.num_prefix_tokens :]
    wanted = tokens.transpose(1, 2).reshape(1, 384, 5, 8)
    torch.testing.assert_close(teacher(images)[0], wanted, atol=1e-4, rtol=1e-4)


def test_training_checkpoints_in_chunks_are_taken(tmp_path: Path) -> None:
    state = authors(network(False).state_dict(), False)
    chunked = {}
    for name, value in state.items():
        head, _, rest = name.partition(".")
        block = rest.partition(".")[0]
        chunked["backbone." + (f"blocks.{int(block) // 3}.{rest}" if head == "blocks" else name)] = value
    torch.save({"teacher": {**chunked, "dino_head.mlp.0.weight": torch.zeros(2)}}, tmp_path / "teacher.pth")
    teacher = load_teacher("dinov2_small", {"weights_file": tmp_path / "teacher.pth"})
    assert torch.equal(teacher.state_dict()["network.blocks.11.ls2.gamma"], state["blocks.11.ls2.gamma"])


def test_another_size_is_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        base = timm.create_model("vit_base_patch14_dinov2", num_classes=0, img_size=518).state_dict()
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in base.items()}, tmp_path / "base.pth")
    with pytest.raises(DataError, match=r"base\.pth belongs to another network: .*of another shape \(cls_token"):
        load_teacher("dinov2_small", {"weights_file": tmp_path / "base.pth"})


def test_without_a_network_the_next_run_finds_what_was_put_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMODAL_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(_dinov2, "URL", "http://127.0.0.1:9/dinov2_vit{letter}14_{registers}pretrain.pth")
    with pytest.raises(RunError) as told:
        load_teacher("dinov2_small", {"registers": True})
    assert "http://127.0.0.1:9/dinov2_vits14_reg4_pretrain.pth" in told.value.message
    file = next(word for word in told.value.hint.replace(",", " ").split() if word.startswith(str(tmp_path)))
    torch.save(authors(network(True).state_dict(), True), file)
    assert load_teacher("dinov2_small", {"registers": True}).channels == (384,)
