"""ResNet-50 of MoCo v3 (the paper's teacher), MoCo v2 (SLidR's), DINO, of ImageNet, or random.

Weights come from a given file, whose layout is recognised whichever of these wrote it, or once over the network from
their authors' address, into the cache folder. MoCo v3's are published under CC BY-NC 4.0. Where there is no published
checksum, the one of the first download is kept and checked from then on; give ``weights_sha256`` where you know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from xmodal_core.config import setting
from xmodal_core.errors import DataError
from xmodal_core.images._published import Published, PublishedConfig, given_or_fetched
from xmodal_core.images._timm import TimmTeacher, build
from xmodal_core.images._weights import fill, named_tensors, read_checkpoint
from xmodal_core.images.base import OnProgress, TeacherConfig

# The statistics of ImageNet, with which all of them train.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

MOCOV3 = "https://dl.fbaipublicfiles.com/moco-v3/r-50-{epochs}ep/r-50-{epochs}ep.pth.tar"
"""Where facebookresearch/moco-v3 (CONFIG.md) publishes its ResNet-50."""

MOCOV2 = "https://dl.fbaipublicfiles.com/moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar"
"""Where facebookresearch/moco (README.md) publishes MoCo v2 of 800 epochs."""

DINO = "https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth"
"""Where facebookresearch/dino (README.md) publishes its ResNet-50, the backbone alone."""

IMAGENET = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
"""torchvision's ``ResNet50_Weights.IMAGENET1K_V1``; the name ends in the first digits of the checksum."""


ENCODERS = {
    "base": ("module.base_encoder.", "module.encoder_q.", "module.backbone.", "backbone."),
    "momentum": ("module.momentum_encoder.", "module.encoder_k.", "module.backbone.", "backbone."),
}
"""What stands before the names of each encoder, in MoCo v3, MoCo v2, and DINO's student and teacher."""


class ResNet50Config(PublishedConfig):
    """Options of ``resnet50``."""

    weights: Literal["mocov3", "mocov2", "dino", "imagenet", "random"] = setting(
        "mocov3", "MoCo v3's, MoCo v2's (800 epochs), DINO's, torchvision's of ImageNet, or random ones"
    )
    mocov3_epochs: Literal[100, 300, 1000] = setting(
        300, "which MoCo v3 is downloaded, by how long it was trained: 100, 300 or 1000", unit="epochs"
    )
    encoder: Literal["base", "momentum"] | None = setting(
        None, "which of the file's two encoders; empty: its authors' choice, MoCo's base and DINO's momentum (teacher)"
    )
    output_stride: Literal[4, 8, 16, 32] = setting(
        32, "later stages keep this stride and are dilated instead, e.g. 4 with strides [4] as in SLidR"
    )


class ResNet50(TimmTeacher):
    """timm's ``resnet50``: maps of 256, 512, 1024 and 2048 channels at strides 4, 8, 16 and 32; with an
    ``output_stride`` of 4, 2048 channels at stride 4."""

    Config: ClassVar[type[TeacherConfig]] = ResNet50Config

    def __init__(self, config: ResNet50Config) -> None:
        # Blocks that start as identities would make random features those of a much shallower network.
        network = build("resnet50", config.seed, num_classes=0, zero_init_last=False)
        taken = None
        if config.weights != "random":
            file = weights_of(config)
            tensors, left_out = encoder_tensors(read_checkpoint(file), config.encoder, file)
            taken = fill(network, tensors, file, left_out)
        dilate(network, config.output_stride)
        super().__init__(config, network, MEAN, STD, taken=taken)

    @classmethod
    def prepare(cls, config: TeacherConfig, on_progress: OnProgress | None = None) -> None:
        assert isinstance(config, ResNet50Config)
        if config.weights != "random":
            weights_of(config, on_progress)


def weights_of(config: ResNet50Config, on_progress: OnProgress | None = None) -> Path:
    """The file of the weights that ``config`` asks for, its checksum checked; downloaded where none is given.

    Raises:
        DataError: the file is missing or has another checksum.
        RunError: it cannot be downloaded.
    """
    published = {
        "mocov3": Published(MOCOV3.format(epochs=config.mocov3_epochs)),
        "mocov2": Published(MOCOV2),
        "dino": Published(DINO),
        "imagenet": Published(IMAGENET, IMAGENET.rsplit("-", 1)[-1].split(".")[0]),
    }
    return given_or_fetched(config, published[config.weights], on_progress)


def encoder_tensors(
    checkpoint: Mapping[str, Any], encoder: str | None, file: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of the ResNet in ``checkpoint`` without what follows its pooling, and the names of those left out.

    MoCo keeps them under ``state_dict`` with two encoders' names in one (v3: ``module.base_encoder.*`` and
    ``module.momentum_encoder.*``; v2: ``module.encoder_q.*``), with a projector in place of ``fc``; DINO keeps
    ``student`` and ``teacher``, each ``module.backbone.*`` and a head. A plain ResNet-50's own names are taken too.

    Raises:
        DataError: it holds none of these.
    """
    of_dino = "student" if encoder == "base" else "teacher"
    state = named_tensors(checkpoint, ("state_dict", of_dino))
    prefixes = ("",) if any(name.startswith("conv1.") for name in state) else ENCODERS[encoder or "base"]
    prefix = next((each for each in prefixes if any(name.startswith(each) for name in state)), None)
    if prefix is None:
        found = next(iter(state), "no tensors")
        raise DataError(
            f"{file} holds no ResNet: there is neither conv1.weight nor {prefixes[0]}*, but {found}",
            "give a checkpoint of facebookresearch/moco-v3, moco or dino, or a ResNet-50's state_dict",
        )
    tensors = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    tensors = {name: value for name, value in tensors.items() if not name.startswith("fc.")}
    return tensors, [name for name in state if name.removeprefix(prefix) not in tensors or not name.startswith(prefix)]


def dilate(network: Any, output_stride: int) -> None:
    """Let no stage of ``network`` go beyond ``output_stride``: where one would shrink its map, its convolutions and
    those of later stages reach farther instead, as torchvision's ``replace_stride_with_dilation`` has it."""
    dilation = 1
    for number, (stage, stride) in enumerate(
        zip((network.layer2, network.layer3, network.layer4), (8, 16, 32), strict=True), start=2
    ):
        before = dilation
        if stride > output_stride:
            dilation *= 2
            stage[0].conv2.stride = stage[0].downsample[0].stride = (1, 1)
            network.feature_info[number]["reduction"] = output_stride
        for index, block in enumerate(stage):
            block.conv2.dilation = block.conv2.padding = (before if index == 0 else dilation,) * 2
