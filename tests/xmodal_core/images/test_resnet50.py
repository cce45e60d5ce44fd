"""ResNet-50: MoCo v3's layout, and where its weights come from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor

from xmodal_core.cache import cache_folder
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.images import load_teacher, resnet50
from xmodal_core.images._timm import build
from xmodal_core.images._weights import sha256

IMAGES = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@cache
def encoder(side: str) -> dict[str, Tensor]:
    network = build("resnet50", len(side), num_classes=0, zero_init_last=False)
    tensors: dict[str, Tensor] = network.state_dict()
    return tensors


def hollow(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Zeros of the same shapes, which take no room in memory or in a file."""
    return {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in state.items()}


def mocov3() -> dict[str, Any]:
    """A checkpoint laid out as facebookresearch/moco-v3 writes it, its projectors and predictor narrower."""
    state = {f"module.base_encoder.{name}": value for name, value in encoder("base").items()}
    state |= {f"module.momentum_encoder.{name}": value for name, value in encoder("momentum").items()}
    for side in ("base", "momentum"):
        state[f"module.{side}_encoder.fc.0.weight"] = torch.zeros(4, 2048)
        state[f"module.{side}_encoder.fc.1.running_mean"] = torch.zeros(4)
        state[f"module.{side}_encoder.fc.3.weight"] = torch.zeros(2, 4)
    state["module.predictor.0.weight"] = torch.zeros(4, 2)
    return {"epoch": 300, "arch": "resnet50", "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("moco") / "r-50-300ep.pth.tar"
    torch.save(mocov3(), file)
    return file


def maps_of(tensors: dict[str, Tensor]) -> list[Tensor]:
    """Layers 1 to 3 of the whole network on ``IMAGES``, normalised with ImageNet's statistics."""
    with torch.device("meta"):
        network = timm.create_model("resnet50", features_only=True, out_indices=(1, 2, 3)).eval()
    needed = {name: value for name, value in tensors.items() if not name.startswith("layer4")}
    network.load_state_dict(needed, assign=True)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.no_grad():
        levels: list[Tensor] = network((IMAGES - mean) / std)
    return levels


@pytest.mark.parametrize("side", ["base", "momentum"])
def test_mocov3s_encoder_is_taken_and_its_projector_dropped(checkpoint: Path, side: str) -> None:
    teacher = load_teacher("resnet50", {"weights_file": checkpoint, "encoder": side})
    assert teacher.channels == (256, 512, 1024)
    for found, wanted in zip(teacher(IMAGES), maps_of(encoder(side)), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4 * float(wanted.max()), rtol=1e-4)


def test_a_plain_resnet_is_taken(tmp_path: Path) -> None:
    """As torchvision publishes ImageNet's: no state_dict around it, a classifier, no counters."""
    plain = {name: value for name, value in encoder("base").items() if "num_batches" not in name}
    torch.save({**plain, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, tmp_path / "plain.pth")
    teacher = load_teacher("resnet50", {"weights": "imagenet", "weights_file": tmp_path / "plain.pth"})
    wanted = maps_of(encoder("base"))[2]
    torch.testing.assert_close(teacher(IMAGES)[2], wanted, atol=1e-4 * float(wanted.max()), rtol=1e-4)


def test_mocov2s_query_encoder_is_taken_without_its_projector(tmp_path: Path) -> None:
    state = {f"module.encoder_q.{name}": value for name, value in encoder("base").items()}
    state |= {
        "module.encoder_q.fc.0.weight": torch.zeros(2048, 2048),
        "module.encoder_q.fc.2.weight": torch.zeros(9, 9),
    }
    torch.save({"epoch": 800, "arch": "resnet50", "state_dict": state}, tmp_path / "v2.pth.tar")
    teacher = load_teacher("resnet50", {"weights": "mocov2", "weights_file": tmp_path / "v2.pth.tar"})
    assert torch.equal(teacher.state_dict()["network.layer3.5.conv3.weight"], encoder("base")["layer3.5.conv3.weight"])
    assert teacher.taken is not None
    assert teacher.taken.left_out == ("module.encoder_q.fc.0.weight", "module.encoder_q.fc.2.weight")
    assert "none missing, 2 left out (module.encoder_q.fc.0, module.encoder_q.fc.2)" in teacher.taken.line()


@pytest.mark.parametrize(("asked", "side"), [(None, "momentum"), ("momentum", "momentum"), ("base", "base")])
def test_dinos_teacher_is_taken_unless_the_student_is_asked_for(tmp_path: Path, asked: str | None, side: str) -> None:
    """With the options, which are no tensors, and the optimiser beside them."""

    def network(of: str) -> dict[str, Tensor]:
        state = encoder(of) if of == side else hollow(encoder(of))
        named = {f"module.backbone.{name}": value for name, value in state.items()}
        return {
            **named,
            "module.head.mlp.0.weight": torch.zeros(4, 2048),
            "module.head.last_layer.weight_v": torch.ones(2),
        }

    whole = {"student": network("base"), "teacher": network("momentum"), "epoch": 1, "args": Namespace(arch="resnet50")}
    torch.save(whole, tmp_path / "dino.pth")
    settings = {"weights": "dino", "weights_file": tmp_path / "dino.pth", "encoder": asked}
    teacher = load_teacher("resnet50", settings)
    assert torch.equal(teacher.state_dict()["network.conv1.weight"], encoder(side)["conv1.weight"])
    assert teacher.taken is not None
    assert len(teacher.taken.left_out) == 2


@pytest.mark.parametrize(("output_stride", "replaced"), [(4, (1, 1, 1)), (16, (0, 0, 1))])
def test_a_dilated_network_is_torchvisions(output_stride: int, replaced: tuple[int, ...]) -> None:
    settings = {"weights": "random", "strides": [output_stride], "output_stride": output_stride}
    teacher = load_teacher("resnet50", settings)
    assert teacher.channels == (2048,)
    with torch.device("meta"):
        peer = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=[bool(each) for each in replaced])
    state = {name.removeprefix("network."): value for name, value in teacher.state_dict().items()}
    peer.load_state_dict(state, strict=False, assign=True)
    body = torch.nn.Sequential(*list(peer.eval().children())[:-2])
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.no_grad():
        wanted = body((IMAGES - mean) / std)
    torch.testing.assert_close(teacher(IMAGES)[0], wanted, atol=1e-4 * float(wanted.max()), rtol=1e-4)


def damaged(what: str) -> Any:
    whole = mocov3()
    state: dict[str, Any] = whole["state_dict"]
    state.update(hollow(state))
    if what == "one missing":
        del state["module.base_encoder.layer3.2.bn1.weight"]
    elif what == "deeper":
        state["module.base_encoder.layer3.6.conv1.weight"] = torch.zeros(256, 1024, 1, 1)
    elif what == "wider":
        state["module.base_encoder.layer2.0.conv1.weight"] = torch.zeros(256, 256, 1, 1)
    elif what == "a transformer":
        whole["state_dict"] = {"module.base_encoder.cls_token": torch.zeros(1, 1, 384)}
    elif what == "an unknown prefix":
        whole["state_dict"] = {f"module.encoder_z.{name}": value for name, value in hollow(encoder("base")).items()}
    elif what == "no tensors":
        whole["state_dict"] = "gone"
    return whole


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("one missing", r"1 missing \(layer3\.2\.bn1\.weight"),
        ("deeper", r"1 unknown \(layer3\.6\.conv1\.weight"),
        ("wider", r"1 of another shape \(layer2\.0\.conv1\.weight"),
        ("a transformer", r"missing \(conv1\.weight.*1 unknown \(cls_token"),
        (
            "an unknown prefix",
            r"neither conv1\.weight nor module\.base_encoder\.\*, but module\.encoder_z\.conv1\.weight",
        ),
        ("no tensors", r"neither conv1\.weight nor module\.base_encoder\.\*, but no tensors"),
    ],
)
def test_another_networks_file_is_refused(tmp_path: Path, what: str, words: str) -> None:
    torch.save(damaged(what), tmp_path / "odd.pth.tar")
    with pytest.raises(DataError, match=rf"odd\.pth\.tar.*{words}"):
        load_teacher("resnet50", {"weights_file": tmp_path / "odd.pth.tar"})


def test_a_file_that_is_missing_or_cut_is_named(checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "cut.pth.tar"
    with pytest.raises(DataError, match=rf"no weights at {file}"):
        load_teacher("resnet50", {"weights_file": file})
    file.write_bytes(checkpoint.read_bytes()[:1_000_000])
    with pytest.raises(DataError, match=rf"{file} is damaged"):
        load_teacher("resnet50", {"weights_file": file})


def test_a_given_checksum_is_checked(checkpoint: Path) -> None:
    digits = sha256(checkpoint)
    settings = resnet50.ResNet50Config(weights_file=checkpoint, weights_sha256=digits[:10].upper())
    assert resnet50.weights_of(settings) == checkpoint
    with pytest.raises(DataError, match=f"{digits}, not 0123456789"):
        load_teacher("resnet50", {"weights_file": checkpoint, "weights_sha256": "0123456789"})
    with pytest.raises(InputError, match=r"weights_sha256.*8 to 64 hexadecimal digits"):
        load_teacher("resnet50", {"weights_sha256": "cafe"})


def test_mocov3_is_downloaded_once_and_checked_from_then_on(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMODAL_CACHE", str(tmp_path))
    checkpoint = tmp_path / "published.pth.tar"
    torch.save({"state_dict": hollow(mocov3()["state_dict"])}, checkpoint)
    monkeypatch.setattr(resnet50, "MOCOV3", shop.address + "/moco-v3/r-50-{epochs}ep/r-50-{epochs}ep.pth.tar")
    shop.files["/moco-v3/r-50-100ep/r-50-100ep.pth.tar"] = checkpoint.read_bytes()
    told: list[tuple[int, int]] = []
    teacher = load_teacher("resnet50", {"mocov3_epochs": 100}, lambda done, total: told.append((done, total)))
    assert told[-1] == (checkpoint.stat().st_size,) * 2
    assert not teacher.state_dict()["network.conv1.weight"].any()
    file = resnet50.weights_of(resnet50.ResNet50Config(mocov3_epochs=100))
    assert file == cache_folder("weights") / "r-50-100ep.pth.tar"
    assert shop.asked == ["/moco-v3/r-50-100ep/r-50-100ep.pth.tar"]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{file}.*SHA-256.*delete it"):
        load_teacher("resnet50", {"mocov3_epochs": 100})


def test_imagenets_checksum_is_in_its_name(shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import ResNet50_Weights

    assert ResNet50_Weights.IMAGENET1K_V1.url == resnet50.IMAGENET
    monkeypatch.setenv("XMODAL_CACHE", str(tmp_path))
    monkeypatch.setattr(resnet50, "IMAGENET", shop.address + "/resnet50-0676ba61.pth")
    shop.files["/resnet50-0676ba61.pth"] = b"something else"
    with pytest.raises(RunError, match=r"resnet50-0676ba61\.pth is not the file it should be.*, not 0676ba61"):
        load_teacher("resnet50", {"weights": "imagenet"})


def test_random_weights_need_no_file() -> None:
    load_teacher("resnet50", {"weights": "random", "weights_file": "/nowhere", "strides": [4]})
