"""Times nuscenes-devkit on what ``metrics.py`` wrote into a folder; run as a script, in an environment that has it.

It imports nothing of this package, which that environment need not have.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

ERRORS = {"trans_err": "ATE", "scale_err": "ASE", "orient_err": "AOE", "vel_err": "AVE", "attr_err": "AAE"}


def main(folder: Path) -> None:
    """Write ``official.json`` into ``folder``."""
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import load_prediction
    from nuscenes.eval.detection.data_classes import DetectionBox
    from nuscenes.eval.detection.evaluate import DetectionEval
    from nuscenes.eval.lidarseg.utils import ConfusionMatrix

    start = perf_counter()
    load_prediction(str(folder / "results.json"), 500, DetectionBox)
    reading = perf_counter() - start

    tool = DetectionEval.__new__(DetectionEval)  # its constructor wants the whole data set
    tool.cfg, tool.verbose = config_factory("detection_cvpr_2019"), False
    tool.pred_boxes, _ = load_prediction(str(folder / "predictions.json"), 500, DetectionBox)
    tool.gt_boxes, _ = load_prediction(str(folder / "labels.json"), 500, DetectionBox)
    start = perf_counter()
    metrics, _ = tool.evaluate()
    scoring = perf_counter() - start

    arrays = np.load(folder / "points.npz")
    pairs = [(arrays[f"true{k}"], arrays[f"predicted{k}"]) for k in range(len(arrays.files) // 2)]
    start = perf_counter()
    counts = ConfusionMatrix(17, 0)
    for true, predicted in pairs:
        counts.update(true, predicted)
    mean = counts.get_mean_iou()
    counting = perf_counter() - start

    seconds = {"read results": reading, "score boxes": scoring, "score points": counting}
    found = {
        "milliseconds": {step: 1e3 * value for step, value in seconds.items()},
        "boxes": _figures(metrics),
        "points": {"mIoU": mean},
    }
    (folder / "official.json").write_text(json.dumps(found), encoding="utf-8")


def _figures(metrics: Any) -> dict[str, float]:
    found = metrics.serialize()
    figures = {"NDS": found["nd_score"], "mAP": found["mean_ap"]}
    figures.update({f"m{ours}": found["tp_errors"][theirs] for theirs, ours in ERRORS.items()})
    for kind, precisions in found["label_aps"].items():
        figures[f"{kind} AP"] = float(np.mean(list(precisions.values())))
        figures.update({f"{kind} AP@{distance:g}m": value for distance, value in precisions.items()})
        for theirs, ours in ERRORS.items():
            figures[f"{kind} {ours}"] = found["label_tp_errors"][kind][theirs]
    return {name: float(value) for name, value in figures.items() if not np.isnan(value)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
