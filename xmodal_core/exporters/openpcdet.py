"""OpenPCDet: pillar encoder, 2D backbone and neck for --pretrained_model, with the part of the cfg that fits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
import yaml
from torch import Tensor

from xmodal_core.config import validate
from xmodal_core.exporters.base import Converted, Exporter
from xmodal_core.points.pillars import PillarsConfig
from xmodal_core.train.backbone import Backbone

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
FEATURE_NAMES = {"time_lag": "timestamp"}
"""OpenPCDet's names of per-point channels, where they are not ours."""

HEADER = """\
# What these weights need of an OpenPCDet cfg; it stands in place of the same keys there.
# Points are in the data set's own LiDAR frame and channels as xmodal's reader of it gives them{scaled}.
# DynPillarVFE (needs torch_scatter) computes what was pre-trained. PillarVFE with transform_points_to_voxels takes the
# same tensors, but sees only MAX_POINTS_PER_VOXEL points of a pillar and lets its padding into the maximum.
"""
HALVING = """\
# UPSAMPLE_STRIDES below 1: there OpenPCDet's base_bev_backbone.py calls np.int, which NumPy 1.24 and later lack; write
# int in its place.
"""


class OpenPCDet(Exporter):
    """A ``.pth`` with ``model_state`` in the names and shapes of OpenPCDet 0.6, and a fragment of its cfg beside it.

    OpenPCDet feeds channels as the data set stores them, so the network's ``intensity_scale`` is multiplied into the
    first matrix; every other tensor goes over as it is.
    """

    networks = ("pillars",)
    suffix = ".pth"

    def convert(self, backbone: Backbone) -> Converted:
        config = _config(backbone)
        origin = {target: ours for ours, target in _names(config) if ours in backbone.tensors}
        tensors = {target: backbone.tensors[ours] for target, ours in origin.items()}
        expected = dict(_expected(config))
        first = "vfe.pfn_layers.0.linear.weight"
        if first in tensors and tuple(tensors[first].shape) == expected[first]:
            tensors[first] = _fold_scale(tensors[first], config)
        return Converted(tensors, origin, expected)

    def write(self, backbone: Backbone, converted: Converted, file: Path) -> None:
        # Only what torch.load(weights_only=True) takes, its default since torch 2.6: tensors, text, numbers, dicts.
        torch.save(
            {
                "epoch": 0,
                "it": 0,
                "model_state": {name: tensor.detach().cpu().clone() for name, tensor in converted.tensors.items()},
                "optimizer_state": None,
                "version": f"xmodal {version('xmodal')}",
                "card": json.dumps(backbone.card),
            },
            file,
        )

    def settings_fragment(self, backbone: Backbone) -> tuple[str, str]:
        config = _config(backbone)
        scaled = "; intensity_scale is in the weights" if config.intensity_scale != 1 else ""
        header = HEADER.format(scaled=scaled) + (HALVING if min(config.up_strides) < 1 else "")
        return ".yaml", header + yaml.safe_dump(_cfg(config), sort_keys=False, default_flow_style=None, width=110)

    def usage(self, file: Path) -> tuple[str, ...]:
        return (
            f"put {file.stem}.yaml's keys into the cfg, then",
            f"python train.py --cfg_file CFG.yaml --pretrained_model {file.name}",
            "its log should say 'Not updated weight' of dense_head and global_step only",
        )


def _config(backbone: Backbone) -> PillarsConfig:
    return validate(PillarsConfig, backbone.card["network_settings"], "network_settings", "the network's card")


def _names(config: PillarsConfig) -> Iterator[tuple[str, str]]:
    """Our name and OpenPCDet's of every tensor."""
    for number in range(len(config.pillar_features)):
        yield from _pair(f"pillar_layers.{number}", "linear", f"vfe.pfn_layers.{number}", "linear", "norm")
    for level, blocks in enumerate(config.blocks):
        for number in range(blocks + 1):
            # In OpenPCDet's sequence a padding comes first, and each convolution is followed by its norm and a ReLU.
            place = 3 * number + 1
            yield from _pair(
                f"levels.{level}.{number}", "conv", f"backbone_2d.blocks.{level}", str(place), str(place + 1)
            )
        yield from _pair(f"ups.{level}", "conv", f"backbone_2d.deblocks.{level}", "0", "1")


def _pair(ours: str, our_matrix: str, theirs: str, matrix: str, norm: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.{our_matrix}.weight", f"{theirs}.{matrix}.weight"
    for part in NORM:
        yield f"{ours}.norm.{part}", f"{theirs}.{norm}.{part}"


def _expected(config: PillarsConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor that OpenPCDet builds from ``_cfg`` before its head.

    Its rules: a pillar layer that is not the last has half of its features, the other half being the pillar's maximum;
    a level begins with a strided convolution; the neck's convolution is transposed, weights (in, out), unless it
    shrinks.
    """
    width = 3 + len(config.channels) + 6
    for number, out in enumerate(config.pillar_features):
        own = out if number == len(config.pillar_features) - 1 else out // 2
        yield f"vfe.pfn_layers.{number}.linear.weight", (own, width)
        yield from _norm_shapes(f"vfe.pfn_layers.{number}.norm", own)
        width = out
    for level, (out, blocks) in enumerate(zip(config.features, config.blocks, strict=True)):
        prefix = f"backbone_2d.blocks.{level}"
        for place in range(1, 3 * blocks + 2, 3):
            yield f"{prefix}.{place}.weight", (out, width, 3, 3)
            yield from _norm_shapes(f"{prefix}.{place + 1}", out)
            width = out
    for level, (out, stride) in enumerate(zip(config.up_features, config.up_strides, strict=True)):
        prefix, within = f"backbone_2d.deblocks.{level}", config.features[level]
        size = round(stride if stride >= 1 else 1 / stride)
        yield f"{prefix}.0.weight", ((within, out) if stride >= 1 else (out, within)) + (size, size)
        yield from _norm_shapes(f"{prefix}.1", out)


def _norm_shapes(prefix: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in NORM:
        yield f"{prefix}.{part}", () if part == "num_batches_tracked" else (width,)


def _fold_scale(matrix: Tensor, config: PillarsConfig) -> Tensor:
    """The first matrix (F, 3+C+6) for channels as they are stored rather than scaled."""
    folded = matrix.clone()
    for column, name in enumerate(config.channels, start=3):
        if name == "intensity":
            folded[:, column] *= config.intensity_scale
    return folded


def _cfg(config: PillarsConfig) -> dict[str, object]:
    """The part of OpenPCDet's cfg that builds this network."""
    height = config.range[5] - config.range[2]
    features = ["x", "y", "z", *(FEATURE_NAMES.get(name, name) for name in config.channels)]
    return {
        "DATA_CONFIG": {
            "POINT_CLOUD_RANGE": list(config.range),
            "POINT_FEATURE_ENCODING": {
                "encoding_type": "absolute_coordinates_encoding",
                "used_feature_list": features,
            },
            "DATA_PROCESSOR": [
                {"NAME": "mask_points_and_boxes_outside_range", "REMOVE_OUTSIDE_BOXES": True},
                {"NAME": "shuffle_points", "SHUFFLE_ENABLED": {"train": True, "test": True}},
                {
                    "NAME": "transform_points_to_voxels_placeholder",
                    "VOXEL_SIZE": [config.pillar_size, config.pillar_size, height],
                },
            ],
        },
        "MODEL": {
            "VFE": {
                "NAME": "DynPillarVFE",
                "WITH_DISTANCE": False,
                "USE_ABSLOTE_XYZ": True,
                "USE_NORM": True,
                "NUM_FILTERS": list(config.pillar_features),
            },
            "MAP_TO_BEV": {"NAME": "PointPillarScatter", "NUM_BEV_FEATURES": config.pillar_features[-1]},
            "BACKBONE_2D": {
                "NAME": "BaseBEVBackbone",
                "LAYER_NUMS": list(config.blocks),
                "LAYER_STRIDES": list(config.strides),
                "NUM_FILTERS": list(config.features),
                "UPSAMPLE_STRIDES": [round(up) if up >= 1 else up for up in config.up_strides],
                "NUM_UPSAMPLE_FILTERS": list(config.up_features),
            },
        },
    }
