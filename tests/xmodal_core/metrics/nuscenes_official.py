"""Golden values of the nuScenes benchmarks: a made-up drive, made-up predictions, and what the official tool says.

``python tests/xmodal_core/metrics/nuscenes_official.py`` in an environment that has nuscenes-devkit 1.2.0 (installed
with ``--no-deps``, with numpy, scipy, pillow, opencv-python-headless, matplotlib, pyquaternion, scikit-learn, tqdm and
cachetools) writes ``nuscenes_golden.json`` beside this file. The tests make the same drives and predictions again and
compare. This file needs NumPy alone to make them; RandomState draws the same numbers in every version of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).with_name("nuscenes_golden.json")
VERSION, SPLIT = "v1.0-mini", "mini_val"
SCENES = ("scene-0103", "scene-0916")
PERIOD = 500_000
"""Microseconds between keyframes."""

SIZES = {
    "vehicle.car": (4.5, 1.9, 1.7),
    "vehicle.truck": (7.5, 2.6, 3.2),
    "vehicle.bus.rigid": (11.0, 2.9, 3.4),
    "vehicle.bus.bendy": (16.0, 2.9, 3.4),
    "vehicle.trailer": (12.0, 2.9, 3.8),
    "vehicle.construction": (6.0, 2.8, 3.1),
    "human.pedestrian.adult": (0.7, 0.7, 1.8),
    "human.pedestrian.child": (0.5, 0.5, 1.3),
    "vehicle.motorcycle": (2.1, 0.8, 1.5),
    "vehicle.bicycle": (1.7, 0.6, 1.3),
    "movable_object.trafficcone": (0.4, 0.4, 1.0),
    "movable_object.barrier": (0.6, 2.4, 1.0),
    "static_object.bicycle_rack": (9.0, 3.0, 1.5),
    "animal": (1.0, 0.5, 0.8),
    "vehicle.emergency.police": (4.8, 1.9, 1.7),
}
DETECTION_OF = {
    "vehicle.car": "car",
    "vehicle.truck": "truck",
    "vehicle.bus.rigid": "bus",
    "vehicle.bus.bendy": "bus",
    "vehicle.trailer": "trailer",
    "vehicle.construction": "construction_vehicle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.bicycle": "bicycle",
    "movable_object.trafficcone": "traffic_cone",
    "movable_object.barrier": "barrier",
}
ATTRIBUTES = {
    "vehicle.c": ("vehicle.moving", "vehicle.parked", "vehicle.stopped"),
    "vehicle.t": ("vehicle.moving", "vehicle.parked", "vehicle.stopped"),
    "vehicle.bus": ("vehicle.moving", "vehicle.parked", "vehicle.stopped"),
    "human": ("pedestrian.moving", "pedestrian.sitting_lying_down", "pedestrian.standing"),
    "vehicle.motorcycle": ("cycle.with_rider", "cycle.without_rider"),
    "vehicle.bicycle": ("cycle.with_rider", "cycle.without_rider"),
}
# The release's categories in the order of their lidarseg numbers.
FINE = (  # noqa: SIM905
    "noise animal human.pedestrian.adult human.pedestrian.child human.pedestrian.construction_worker "
    "human.pedestrian.personal_mobility human.pedestrian.police_officer human.pedestrian.stroller "
    "human.pedestrian.wheelchair movable_object.barrier movable_object.debris movable_object.pushable_pullable "
    "movable_object.trafficcone static_object.bicycle_rack vehicle.bicycle vehicle.bus.bendy vehicle.bus.rigid "
    "vehicle.car vehicle.construction vehicle.emergency.ambulance vehicle.emergency.police vehicle.motorcycle "
    "vehicle.trailer vehicle.truck flat.driveable_surface flat.other flat.sidewalk flat.terrain static.manmade "
    "static.other static.vegetation vehicle.ego"
).split()
COARSE = (  # noqa: SIM905
    "barrier vehicle.bicycle vehicle.bus vehicle.car vehicle.construction motorcycle human.pedestrian trafficcone "
    "trailer truck driveable flat.other sidewalk terrain manmade vegetation"
).split()


@dataclass(frozen=True)
class Case:
    """One drive and its predictions.

    ``decimals`` of scores (few: ties), ``noise`` of predictions in metres, ``found`` the share of labels that are
    predicted, ``categories`` that occur (empty: all), ``attributes`` whether labels have them.
    """

    seed: int
    frames: int = 12
    things: int = 40
    decimals: int = 4
    noise: float = 0.6
    found: float = 0.8
    categories: tuple[str, ...] = ()
    attributes: bool = True


CASES = {
    "typical": Case(seed=1),
    "ties": Case(seed=2, decimals=1, noise=1.2),
    "sparse": Case(seed=3, found=0.15, things=30),
    "few classes": Case(
        seed=4, categories=("vehicle.car", "human.pedestrian.adult", "movable_object.barrier", "animal")
    ),
    "no attributes": Case(seed=5, attributes=False, frames=5),
    "nearly perfect": Case(seed=6, noise=0.01, found=1.0),
}


def write_drive(root: Path, case: Case) -> None:
    """The tables of two scenes, as nuScenes has them, and lidarseg labels of a few hundred points each."""
    random = np.random.RandomState(case.seed)
    tables: dict[str, list[dict[str, Any]]] = {
        "sensor": [{"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"}],
        "calibrated_sensor": [
            {
                "token": "calibration",
                "sensor_token": "lidar",
                "translation": [0.94, 0.0, 1.84],
                "rotation": [0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817],
                "camera_intrinsic": [],
            }
        ],
        "log": [{"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": "made-up"}],
        "map": [{"token": "map", "log_tokens": ["log"], "category": "semantic_prior", "filename": ""}],
        "visibility": [{"token": str(level), "level": "", "description": ""} for level in range(1, 5)],
        "attribute": [
            {"token": f"attribute {name}", "name": name, "description": ""}
            for name in sorted({name for names in ATTRIBUTES.values() for name in names})
        ],
        "category": [
            {"token": f"category {name}", "name": name, "description": "", "index": index}
            for index, name in reversed(list(enumerate(FINE)))
        ],
    }
    for name in ("scene", "sample", "sample_data", "ego_pose", "instance", "sample_annotation", "lidarseg"):
        tables[name] = []
    for scene in SCENES:
        _write_scene(root, tables, scene, case, random)
    (root / VERSION).mkdir(parents=True)
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))


def _write_scene(
    root: Path, tables: dict[str, list[dict[str, Any]]], scene: str, case: Case, random: np.random.RandomState
) -> None:
    samples = [f"{scene} sample {key}" for key in range(case.frames)]
    tables["scene"].append(
        {
            "token": scene,
            "name": scene,
            "description": "",
            "log_token": "log",
            "nbr_samples": case.frames,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
        }
    )
    times = 1_600_000_000_000_000 + PERIOD * np.arange(case.frames)
    start, heading = np.array([400.0, 1200.0]), random.uniform(-np.pi, np.pi)
    ego = start + 4.0 * 1e-6 * (times - times[0])[:, None] * [np.cos(heading), np.sin(heading)]
    for key, token in enumerate(samples):
        data = f"{scene}-data-{key}"
        links = {"prev": samples[key - 1] if key else "", "next": samples[key + 1] if key + 1 < case.frames else ""}
        tables["sample"].append({"token": token, "timestamp": int(times[key]), "scene_token": scene, **links})
        tables["ego_pose"].append(
            {
                "token": data,
                "timestamp": int(times[key]),
                "translation": [*ego[key].tolist(), 0.0],
                "rotation": [np.cos(heading / 2), 0.0, 0.0, np.sin(heading / 2)],
            }
        )
        file = f"lidarseg/{VERSION}/{data}_lidarseg.bin"
        tables["sample_data"].append(
            {
                "token": data,
                "sample_token": token,
                "ego_pose_token": data,
                "calibrated_sensor_token": "calibration",
                "timestamp": int(times[key]),
                "fileformat": "pcd",
                "is_key_frame": True,
                "width": 0,
                "height": 0,
                "filename": f"samples/LIDAR_TOP/{data}.pcd.bin",
                "prev": f"{scene}-data-{key - 1}" if key else "",
                "next": f"{scene}-data-{key + 1}" if key + 1 < case.frames else "",
            }
        )
        tables["lidarseg"].append({"token": data, "sample_data_token": data, "filename": file})
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(random.randint(0, 24 if case.categories else 32, 700).astype(np.uint8).tobytes())
    for number in range(case.things):
        _write_thing(tables, f"{scene} thing {number}", samples, times, ego, case, random)


def _write_thing(
    tables: dict[str, list[dict[str, Any]]],
    name: str,
    samples: list[str],
    times: Any,
    ego: Any,
    case: Case,
    random: np.random.RandomState,
) -> None:
    categories = case.categories or tuple(SIZES)
    category = categories[random.randint(len(categories))]
    place = ego[len(ego) // 2] + random.uniform(-45, 45, 2)
    racks = [row for row in tables["sample_annotation"] if row["instance_token"].endswith("rack")]
    if category in ("vehicle.bicycle", "vehicle.motorcycle") and racks and random.rand() < 0.5:
        place = np.array(racks[random.randint(len(racks))]["translation"][:2]) + random.uniform(-2, 2, 2)
    if category.endswith("rack"):
        name += " rack"
    moving = category.startswith(("vehicle", "human")) and random.rand() < 0.5
    velocity = random.uniform(-5, 5, 2) * moving
    yaw = random.uniform(-np.pi, np.pi)
    size = np.array(SIZES[category]) * random.uniform(0.8, 1.2, 3)
    seen = np.flatnonzero(random.rand(len(samples)) < (0.9 if random.rand() < 0.8 else 0.25))
    if not len(seen):
        seen = np.array([0])
    tokens = [f"{name} in {samples[key]}" for key in seen]
    tables["instance"].append(
        {
            "token": name,
            "category_token": f"category {category}",
            "nbr_annotations": len(seen),
            "first_annotation_token": tokens[0],
            "last_annotation_token": tokens[-1],
        }
    )
    for at, key in enumerate(seen):
        here = place + velocity * 1e-6 * (times[key] - times[len(times) // 2])
        sign = 1.0 if random.rand() < 0.5 else -1.0  # a quaternion and its negative are the same rotation
        attribute = _attribute(category, random)
        tables["sample_annotation"].append(
            {
                "token": tokens[at],
                "sample_token": samples[key],
                "instance_token": name,
                "visibility_token": "4",
                "attribute_tokens": [f"attribute {attribute}"] if attribute and case.attributes else [],
                "translation": [*here.tolist(), float(size[2] / 2)],
                "size": [float(size[1]), float(size[0]), float(size[2])],
                "rotation": [sign * np.cos(yaw / 2), 0.0, 0.0, sign * np.sin(yaw / 2)],
                "prev": tokens[at - 1] if at else "",
                "next": tokens[at + 1] if at + 1 < len(seen) else "",
                "num_lidar_pts": int(random.randint(0, 6)),
                "num_radar_pts": int(random.randint(0, 2)),
            }
        )


def _attribute(category: str, random: np.random.RandomState) -> str:
    for start, names in reversed(ATTRIBUTES.items()):  # those of cycles before those of other vehicles
        if category.startswith(start):
            return names[random.randint(len(names))] if random.rand() < 0.9 else ""
    return ""


def write_predictions(root: Path, file: Path, case: Case) -> None:
    """Predictions for the drive at ``root``: most labels, some twice or of a wrong class, and false ones."""
    random = np.random.RandomState(case.seed + 1000)
    tables = {
        name: json.loads((root / VERSION / f"{name}.json").read_text())
        for name in ("sample", "sample_annotation", "instance")
    }
    category = {row["token"]: row["category_token"][len("category ") :] for row in tables["instance"]}
    classes = sorted(set(DETECTION_OF.values()))
    results: dict[str, list[dict[str, Any]]] = {row["token"]: [] for row in tables["sample"]}
    for row in tables["sample_annotation"]:
        name = DETECTION_OF.get(category[row["instance_token"]], "")
        for _ in range(int(random.rand() < case.found) + int(random.rand() < 0.2 * case.found)):
            wrong = not name or random.rand() < 0.05
            results[row["sample_token"]].append(
                _prediction(row, classes[random.randint(len(classes))] if wrong else name, case, random)
            )
    for token, found in results.items():
        for row in found[::4]:  # false ones, somewhere else
            shifted = {**row, "translation": [row["translation"][0] + random.normal(0, 8), *row["translation"][1:]]}
            found.append({**shifted, "detection_score": round(float(random.beta(1, 4)), case.decimals)})
        random.shuffle(found)
        results[token] = found
    meta = dict.fromkeys(("use_camera", "use_radar", "use_map", "use_external"), False)
    file.write_text(json.dumps({"meta": {**meta, "use_lidar": True}, "results": results}))


def _prediction(row: dict[str, Any], name: str, case: Case, random: np.random.RandomState) -> dict[str, Any]:
    shift = random.normal(0, case.noise * (0.3 + random.rand()), 3)
    yaw = 2 * np.arctan2(row["rotation"][3], row["rotation"][0]) + random.normal(0, 0.3 * case.noise)
    yaw += np.pi * (random.rand() < 0.1 * case.noise)
    attribute = _attribute(next((key for key, value in DETECTION_OF.items() if value == name), ""), random)
    return {
        "sample_token": row["sample_token"],
        "translation": (np.array(row["translation"]) + shift * [1, 1, 0.3]).tolist(),
        "size": (np.array(row["size"]) * np.exp(random.normal(0, 0.2 * case.noise, 3))).tolist(),
        "rotation": [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)],
        "velocity": random.normal(0, 2, 2).tolist(),
        "detection_name": name,
        "detection_score": round(float(random.beta(4, 2) * np.exp(-np.hypot(*shift[:2]) / 3)), case.decimals),
        "attribute_name": attribute,
    }


def write_segments(root: Path, folder: Path, case: Case) -> None:
    """A lidarseg submission for the drive at ``root``: right, wrong and never class 0."""
    random = np.random.RandomState(case.seed + 2000)
    out = folder / "lidarseg" / SPLIT
    out.mkdir(parents=True)
    for row in json.loads((root / VERSION / "lidarseg.json").read_text()):
        fine = np.frombuffer((root / row["filename"]).read_bytes(), dtype=np.uint8)
        near = np.array([_near_class(name) for name in FINE])[fine]
        guess = np.where(
            random.rand(len(fine)) < 0.7, near, random.randint(1, 17 if not case.categories else 9, len(fine))
        )
        (out / f"{row['sample_data_token']}_lidarseg.bin").write_bytes(guess.astype(np.uint8).tobytes())


def _near_class(fine: str) -> int:
    """The benchmark's class of most categories, and some class of the others."""
    for number, part in enumerate(COARSE, start=1):
        if part in fine:
            return number
    return 1 + len(fine) % 16


def official_detection(root: Path, results: Path, out: Path) -> dict[str, Any]:
    """What nuscenes-devkit says of the predictions."""
    from nuscenes import NuScenes
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval

    tool = NuScenes(VERSION, str(root), verbose=False)
    config = config_factory("detection_cvpr_2019")
    metrics, _ = DetectionEval(tool, config, str(results), SPLIT, str(out), verbose=False).evaluate()
    found = metrics.serialize()
    kept = ("label_aps", "mean_ap", "label_tp_errors", "tp_errors", "nd_score")
    return {name: found[name] for name in kept}


def official_segments(root: Path, folder: Path) -> dict[str, Any]:
    """What nuscenes-devkit says of the labels of points."""
    from nuscenes import NuScenes
    from nuscenes.eval.lidarseg.evaluate import LidarSegEval

    found = LidarSegEval(NuScenes(VERSION, str(root), verbose=False), str(folder), SPLIT).evaluate()
    return {name: found[name] for name in ("iou_per_class", "miou", "freq_weighted_iou")}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _without_nan(part) for name, part in value.items()}
    return None if np.isnan(value) else round(float(value), 9)


def main() -> None:
    """Write the golden values."""
    golden = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "drive"
            root.mkdir()
            write_drive(root, case)
            write_predictions(root, Path(folder) / "results.json", case)
            write_segments(root, Path(folder) / "segments", case)
            golden[name] = {
                "detection": official_detection(root, Path(folder) / "results.json", Path(folder) / "out"),
                "lidarseg": official_segments(root, Path(folder) / "segments"),
            }
    GOLDEN.write_text(json.dumps(_without_nan(golden), indent=1) + "\n")
    sys.stdout.write(f"wrote {GOLDEN.name}\n")


if __name__ == "__main__":
    main()
