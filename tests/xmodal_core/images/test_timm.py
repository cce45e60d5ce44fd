"""Any network of timm by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.images import load_teacher
from xmodal_core.images import timm as plugin

NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("model", "strides"),
    [
        ("resnet10t", (4, 8, 16)),
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
    whole = timm.create_model("resnet10t").state_dict()
    save_file(whole, tmp_path / "model.safetensors")
    teacher = load_teacher("timm:resnet10t", {"weights_file": tmp_path / "model.safetensors"})
    assert torch.equal(teacher.state_dict()["network.layer3.0.conv2.weight"], whole["layer3.0.conv2.weight"])
    assert teacher.taken is not None
    assert set(teacher.taken.left_out) == {"fc.weight", "fc.bias"}
    with pytest.raises(DataError, match="belongs to another network"):
        load_teacher("timm:resnet14t", {"weights_file": tmp_path / "model.safetensors"})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in any cache, and Hugging Face is at a port where nobody answers."""
    monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(plugin, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(
        plugin, "hf_hub_url", lambda repository, filename, revision: f"{NOBODY}/{repository}/{filename}"
    )


@pytest.mark.usefixtures("hub")
def test_without_a_network_the_next_run_finds_what_was_put_where_it_says() -> None:
    with pytest.raises(RunError, match=f"cannot download {NOBODY}/timm/resnet10t.c3_in1k/model.safetensors") as told:
        load_teacher("timm:resnet10t")
    file = Path(told.value.hint.partition("put it at ")[2].partition(",")[0])
    whole = timm.create_model("resnet10t").state_dict()
    save_file(whole, file)
    teacher = load_teacher("timm:resnet10t")
    assert torch.equal(teacher.state_dict()["network.layer3.0.conv2.weight"], whole["layer3.0.conv2.weight"])
    save_file(timm.create_model("resnet14t").state_dict(), file)
    with pytest.raises(DataError, match=r"does not hold timm's weights of 'resnet10t'"):
        load_teacher("timm:resnet10t")


@pytest.mark.usefixtures("hub")
def test_it_is_downloaded_while_one_is_told(shop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "model.safetensors")
    shop.files["/model.safetensors"] = (tmp_path / "model.safetensors").read_bytes()
    monkeypatch.setattr(plugin, "hf_hub_url", lambda *_, **__: f"{shop.address}/model.safetensors")
    told: list[tuple[int, int]] = []
    load_teacher("timm:resnet10t", {}, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(shop.files["/model.safetensors"]),) * 2


def test_what_hugging_faces_cache_has_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugin, "try_to_load_from_cache", lambda *_, **__: str(tmp_path / "model.safetensors"))
    assert plugin.weights_of("resnet10t") == tmp_path / "model.safetensors"


@pytest.mark.usefixtures("hub")
def test_a_network_without_published_weights_is_told() -> None:
    with pytest.raises(InputError, match="timm knows no weights of 'resnet50t'"):
        load_teacher("timm:resnet50t")


def test_a_mistake_of_ones_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object, **__: object) -> None:
        raise TypeError("unsupported operand")

    monkeypatch.setattr(plugin, "build", mistaken)
    with pytest.raises(TypeError, match="unsupported operand"):
        load_teacher("timm:resnet10t", {"weights": "random"})
