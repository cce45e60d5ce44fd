"""Scores two files of boxes with Waymo's own tool; run as a script, in an environment that has it.

    python _waymo_tool.py predictions.bin truth.bin out.json

``waymo-open-dataset-tf-2-12-0==1.6.7`` runs with TensorFlow 2.13 on Python 3.10. The script imports nothing of this
package, which that environment need not have; the files are those that ``WaymoDetection.write_submission`` and
``write_truth`` write.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

KINDS = {"VEHICLE": "vehicle", "PEDESTRIAN": "pedestrian", "SIGN": "sign", "CYCLIST": "cyclist"}


def main(predictions: Path, truth: Path, out: Path) -> None:
    """Write the official figures of two files, and the milliseconds that they took."""
    import tensorflow as tf
    from waymo_open_dataset.metrics.ops import py_metrics_ops
    from waymo_open_dataset.metrics.python import config_util_py
    from waymo_open_dataset.protos import metrics_pb2

    found, labels = (metrics_pb2.Objects.FromString(path.read_bytes()).objects for path in (predictions, truth))
    config = configuration()
    start = perf_counter()
    result = py_metrics_ops.detection_metrics(
        prediction_bbox=tf.constant(rows(found)),
        prediction_type=tf.constant([one.object.type for one in found], dtype=tf.uint8),
        prediction_score=tf.constant([one.score for one in found], dtype=tf.float32),
        prediction_frame_id=tf.constant(frames(found)),
        prediction_overlap_nlz=tf.constant([one.overlap_with_nlz for one in found], dtype=tf.bool),
        ground_truth_bbox=tf.constant(rows(labels)),
        ground_truth_type=tf.constant([one.object.type for one in labels], dtype=tf.uint8),
        ground_truth_frame_id=tf.constant(frames(labels)),
        ground_truth_difficulty=tf.constant([one.object.detection_difficulty_level for one in labels], dtype=tf.uint8),
        config=config.SerializeToString(),
    )
    precision, weighted = result.average_precision.numpy(), result.average_precision_ha_weighted.numpy()
    milliseconds = (perf_counter() - start) * 1e3
    figures: dict[str, dict[str, float]] = {}
    names = config_util_py.get_breakdown_names_from_config(config)
    for name, ap, aph in zip(names, precision, weighted, strict=True):
        part, level = part_of(name)
        figures.setdefault(part, {}).update({f"AP_L{level}": float(ap), f"APH_L{level}": float(aph)})
    out.write_text(json.dumps({"figures": figures, "milliseconds": milliseconds}, indent=1) + "\n")


def configuration() -> Any:
    """That of the official ``compute_detection_metrics_main``."""
    from waymo_open_dataset import label_pb2
    from waymo_open_dataset.protos import breakdown_pb2, metrics_pb2

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


def rows(objects: Any) -> Any:
    """(N,7) float32 centre, length, width, height, heading."""
    names = ("center_x", "center_y", "center_z", "length", "width", "height", "heading")
    boxes = [[getattr(one.object.box, name) for name in names] for one in objects]
    return np.array(boxes, dtype=np.float32).reshape(-1, 7)


def frames(objects: Any) -> Any:
    """(N,) the frame of each box, by its timestamp."""
    return np.array([one.frame_timestamp_micros for one in objects], dtype=np.int64)


def part_of(name: str) -> tuple[str, str]:
    """Our name of a part and its level: "RANGE_TYPE_VEHICLE_[50, +inf)_LEVEL_1" is "vehicle [50, inf)" at 1."""
    part, _, level = name.partition("_TYPE_TYPE_" if name.startswith("OBJECT") else "_TYPE_")[2].rpartition("_LEVEL_")
    kind, _, where = part.partition("_")
    return KINDS[kind] + (f" {where.replace('+inf', 'inf')}" if where else ""), level


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
