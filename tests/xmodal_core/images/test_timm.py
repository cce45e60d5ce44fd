"""Any network of timm by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.images import load_teacher
from xmodal_core.images import timm as plugin


@pytest.mark.parametrize(
    ("model", "strides"),
    [
        ("resnet18", (4, 8, 16)),
        ("convnext_atto", (4, 8, 16)),
        ("vit_tiny_patch16_224", (16,)),
        ("swin_tiny_patch4_window7_224", (4, 8, 16)),
    ],
)
def test_families_take_pictures_of_any_size(model: str, strides: tuple[int, ...]) -> None:
    teacher = load_teacher(f"timm:{model}", {"weights": "random"})
    assert teacher.strides == strides
    for level, channels, stride in zip(teacher(torch.rand(1, 3, 50, 70)), teacher.channels, strides, strict=True):
        assert level.shape == (1, channels, -(-50 // stride), -(-70 // stride))


def test_the_name_wins_over_the_option() -> None:
    settings = {"model": "resnet34", "weights": "random"}
    assert load_teacher("timm:resnet18", settings).config.model_dump()["model"] == "resnet18"


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(InputError, match=r"(?s)teacher\.model.*resnet_18.*resnet18"):
        load_teacher("timm:resnet_18")


def test_a_plugin_without_models_says_so() -> None:
    with pytest.raises(InputError, match=r"no setting 'teacher\.model'"):
        load_teacher("resnet50:big")


def test_weights_of_a_file_are_taken_without_the_classifier(tmp_path: Path) -> None:
    whole = timm.create_model("resnet18").state_dict()
    save_file(whole, tmp_path / "model.safetensors")
    teacher = load_teacher("timm:resnet18", {"weights_file": tmp_path / "model.safetensors"})
    assert torch.equal(teacher.state_dict()["network.layer3.1.conv2.weight"], whole["layer3.1.conv2.weight"])
    assert teacher.taken is not None
    assert set(teacher.taken.left_out) == {"fc.weight", "fc.bias"}
    with pytest.raises(DataError, match="belongs to another network"):
        load_teacher("timm:resnet34", {"weights_file": tmp_path / "model.safetensors"})


def test_without_a_network_it_says_what_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(plugin, "build", unreachable)
    with pytest.raises(RunError, match="no route") as told:
        load_teacher("timm:resnet18")
    assert "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors" in told.value.hint
