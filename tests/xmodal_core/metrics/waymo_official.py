"""Scores two files of boxes with Waymo's own tool: how ``waymo_golden.json`` was made. No test runs this.

    python waymo_official.py predictions.bin truth.bin figures.json

It needs an environment of its own (Python 3.10, ``waymo-open-dataset-tf-2-12-0==1.6.7`` with TensorFlow 2.13) and
nothing of xmodal; the files are those that ``WaymoDetection.write_submission`` and ``write_truth`` write.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from waymo_open_dataset import label_pb2
from waymo_open_dataset.metrics.ops import py_metrics_ops
from waymo_open_dataset.metrics.python import config_util_py
from waymo_open_dataset.protos import breakdown_pb2, metrics_pb2

NAMES = {"VEHICLE": "vehicle", "PEDESTRIAN": "pedestrian", "SIGN": "sign", "CYCLIST": "cyclist"}


def configuration() -> metrics_pb2.Config:
    """That of the official ``compute_detection_metrics_main``."""
    config = metrics_pb2.Config(
        matcher_type=metrics_pb2.MatcherProto.TYPE_HUNGARIAN,
        box_type=label_pb2.Label.Box.TYPE_3D,
        iou_thresholds=[0.0, 0.7, 0.5, 0.5, 0.5],
        score_cutoffs=[i * 0.01 for i in range(100)] + [1.0],
    )
    for breakdown in (breakdown_pb2.Breakdown.OBJECT_TYPE, breakdown_pb2.Breakdown.RANGE):
        config.breakdown_generator_ids.append(breakdown)
        config.difficulties.add(levels=[label_pb2.Label.LEVEL_1, label_pb2.Label.LEVEL_2])
    return config


def objects(path: Path) -> metrics_pb2.Objects:
    """The file, read by the official schema."""
    return metrics_pb2.Objects.FromString(path.read_bytes())


def rows(of: metrics_pb2.Objects) -> np.ndarray:
    """(N,7) centre, length, width, height, heading."""
    boxes = [one.object.box for one in of.objects]
    names = ("center_x", "center_y", "center_z", "length", "width", "height", "heading")
    return np.array([[getattr(box, name) for name in names] for box in boxes], dtype=np.float32).reshape(-1, 7)


def frames(of: metrics_pb2.Objects) -> np.ndarray:
    """(N,) the frame of each box, by its timestamp."""
    return np.array([one.frame_timestamp_micros for one in of.objects], dtype=np.int64)


def main(predictions: Path, truth: Path, out: Path) -> None:
    """Write the official figures of two files."""
    found, labels, config = objects(predictions), objects(truth), configuration()
    result = py_metrics_ops.detection_metrics(
        prediction_bbox=tf.constant(rows(found)),
        prediction_type=tf.constant([one.object.type for one in found.objects], dtype=tf.uint8),
        prediction_score=tf.constant([one.score for one in found.objects], dtype=tf.float32),
        prediction_frame_id=tf.constant(frames(found)),
        prediction_overlap_nlz=tf.constant([one.overlap_with_nlz for one in found.objects], dtype=tf.bool),
        ground_truth_bbox=tf.constant(rows(labels)),
        ground_truth_type=tf.constant([one.object.type for one in labels.objects], dtype=tf.uint8),
        ground_truth_frame_id=tf.constant(frames(labels)),
        ground_truth_difficulty=tf.constant(
            [one.object.detection_difficulty_level for one in labels.objects], dtype=tf.uint8
        ),
        config=config.SerializeToString(),
    )
    figures: dict[str, dict[str, float]] = {}
    for full, ap, aph in zip(
        config_util_py.get_breakdown_names_from_config(config),
        result.average_precision.numpy(),
        result.average_precision_ha_weighted.numpy(),
        strict=True,
    ):
        _, _, rest = full.partition("TYPE_TYPE_" if full.startswith("OBJECT") else "RANGE_TYPE_")
        part, _, level = rest.rpartition("_LEVEL_")
        kind, _, where = part.partition("_")
        name = NAMES[kind] + (f" {where.replace('+inf', 'inf')}" if where else "")
        figures.setdefault(name, {}).update({f"AP_L{level}": float(ap), f"APH_L{level}": float(aph)})
    out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
