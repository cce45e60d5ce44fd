"""To the ``folder`` format (``datasets.folder``): nothing is lost but what is said of points by pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml

from xmodal_core.conversion.base import Place, Row, Target, encoded, listed, original, put
from xmodal_core.datasets._folder_file import LENS
from xmodal_core.errors import RunError
from xmodal_core.types import Boxes, Camera, Frame


class FolderTarget(Target):
    """Writes .bin sweeps; pictures as they are, or as PNG where they are no files of their own."""

    name: ClassVar[str] = "folder"

    def begin(self, first: Frame) -> Row:
        return {"channels": list(first.channels)}

    def write(self, folder: Path, place: Place, frame: Frame, state: Mapping[str, Any]) -> Row:
        stem = f"{place.number:06d}"
        values = [frame.channels[name] for name in state["channels"]]
        rows = np.column_stack([frame.points, *values]).astype("<f4")
        put(folder / "points" / f"{stem}.bin", rows.tobytes())
        for camera in frame.cameras:
            content, suffix = original(camera, (".jpg", ".jpeg", ".png")) or (encoded(camera.image(), "PNG"), ".png")
            put(folder / "images" / camera.name / f"{stem}{suffix}", content)
        line: Row = {"frame": stem, "name": frame.name, "scene": frame.scene, "timestamp": frame.timestamp}
        if frame.pose is not None:
            line["pose"] = listed(frame.pose)
        if frame.boxes is not None:
            put(folder / "boxes" / f"{stem}.json", json.dumps(_boxes(frame.boxes), indent=0).encode())
        if frame.semantic is not None:
            small = np.uint8 if len(frame.semantic.classes) < 256 else np.uint16
            labels = folder / "semantic" / f"{stem}.npy"
            labels.parent.mkdir(parents=True, exist_ok=True)
            np.save(labels, frame.semantic.label.astype(small))
        return {
            "line": line,
            "cameras": {camera.name: _camera(camera) for camera in frame.cameras},
            "boxes": None if frame.boxes is None else list(frame.boxes.classes),
            "semantic": None if frame.semantic is None else list(frame.semantic.classes),
            "notes": [] if frame.pixels is None else ["which pixel sees which point, as the data set says it, is lost"],
        }

    def finish(self, folder: Path, rows: Sequence[Row], state: Mapping[str, Any]) -> None:
        sensor = self.source.sensor
        tree: Row = {
            "sensor": {
                "name": sensor.name,
                "beams": sensor.beams,
                "forward": list(sensor.forward),
                "height": sensor.height,
                "intensity_max": sensor.intensity_max,
            },
            "columns": ["x", "y", "z", *state["channels"]],
        }
        usual = _usual(rows)
        if usual:
            tree["cameras"] = usual
        classes = dict.fromkeys(name for row in rows for name in row["boxes"] or ())
        if classes:
            tree["boxes"] = {"classes": list(classes)}
        semantic = {tuple(row["semantic"]) for row in rows if row["semantic"] is not None}
        if len(semantic) > 1:
            raise RunError("frames number the classes of their points differently", "convert them split by split")
        if semantic:
            tree["semantic"] = {"classes": list(next(iter(semantic)))}
        put(folder / "frames.jsonl", "".join(json.dumps(_line(row, usual)) + "\n" for row in rows).encode())
        head = f"# Made from '{self.source.name}', split '{self.source.split}'.\n"
        text = head + yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
        put(folder / "calibration.yaml", text.encode())


def _boxes(boxes: Boxes) -> list[Row]:
    rows: list[Row] = []
    for number, label in enumerate(boxes.label.tolist()):
        row: Row = {
            "name": boxes.classes[label],
            "centre": boxes.centre[number].tolist(),
            "size": boxes.size[number].tolist(),
            "yaw": float(boxes.yaw[number]),
            "track": int(boxes.track[number]),
        }
        if np.isfinite(boxes.velocity[number]).all():
            row["velocity"] = boxes.velocity[number].tolist()
        if boxes.points is not None:
            row["points"] = int(boxes.points[number])
        if boxes.difficulty is not None:
            row["difficulty"] = int(boxes.difficulty[number])
        rows.append(row)
    return rows


def _camera(camera: Camera) -> Row:
    return {
        "width": camera.width,
        "height": camera.height,
        "intrinsics": listed(camera.intrinsics),
        "distortion": [] if camera.lens.is_pinhole else [getattr(camera.lens, name) for name in LENS],
        "lidar_to_camera": listed(camera.lidar_to_camera),
    }


def _usual(rows: Sequence[Row]) -> dict[str, Row]:
    """Each camera as its first frame has it; the size of its pictures only where it never changes."""
    usual: dict[str, Row] = {}
    for row in rows:
        for name, camera in row["cameras"].items():
            known = usual.setdefault(name, dict(camera))
            if any(known.get(side) != camera[side] for side in ("width", "height")):
                known.pop("width", None)
                known.pop("height", None)
    return usual


def _line(row: Row, usual: Mapping[str, Row]) -> Row:
    changed: Row = {}
    for name, known in usual.items():
        camera = row["cameras"].get(name)
        names = ("intrinsics", "distortion", "lidar_to_camera")
        different = None if camera is None else {key: camera[key] for key in names if camera[key] != known[key]}
        if different is None or different:
            changed[name] = different
    return {**row["line"], **({"cameras": changed} if changed else {})}
