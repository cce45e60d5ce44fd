"""nuScenes' tables of a finished drive, from the notes taken frame by frame."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from sample_data import maps
from sample_data.frames import filename
from sample_data.rig import CAMERAS, LIDAR, SENSORS
from sample_data.seeds import token
from sample_data.settings import DriveSettings
from sample_data.styles import style_of
from xmodal_core.datasets._nuscenes_write import CATEGORIES, Calibration, Drive, Row, Scene, write_tables

VERSION = "v1.0-sample"


def scene_name(scene: int) -> str:
    """The name of scene number ``scene`` (0-based)."""
    return f"scene-s{scene + 1:04d}"


def splits(scenes: int) -> dict[str, list[str]]:
    """All scenes but the last two train, the last two validate; with three scenes or fewer only the last one does, and
    a lone scene is in both.

    Each split has a second name, ``sample_train`` and ``sample_val``: nuscenes-devkit takes ``train`` and ``val`` to be
    its own splits whatever this file says, and refuses them for another version.
    """
    names = [scene_name(scene) for scene in range(scenes)]
    held = 2 if scenes > 3 else 1
    train, val = (names, names) if scenes == 1 else (names[:-held], names[-held:])
    return {"train": train, "val": val, "sample_train": train, "sample_val": val}


def write(folder: Path, settings: DriveSettings, records: list[Row]) -> None:
    """Write ``folder``/v1.0-sample/*.json and the lidarseg labels from all frames' ``records``."""
    drive = _drive(settings)
    write_tables(folder, drive, [_note(settings, record) for record in records])
    (folder / "lidarseg" / VERSION).mkdir(parents=True, exist_ok=True)
    for record in records:
        (folder / drive.labels_file(record)).write_bytes(bytes.fromhex(record["points"]))


def _drive(settings: DriveSettings) -> Drive:
    size = settings.image_width, settings.image_height
    lenses = {mount.channel: mount.intrinsics(*size).tolist() for mount in CAMERAS}
    return Drive(
        version=VERSION,
        token=partial(token, settings.seed),
        channels=[mount.channel for mount in SENSORS],
        calibrations=[
            Calibration((m.channel,), m.channel, m.translation, m.rotation, lenses.get(m.channel, ())) for m in SENSORS
        ],
        categories=CATEGORIES,
        scenes=[_scene(settings.seed, scene) for scene in range(settings.scenes)],
        splits=splits(settings.scenes),
    )


def _scene(seed: int, scene: int) -> Scene:
    log = {
        "logfile": f"sample-{scene + 1:04d}",
        "vehicle": "sample",
        "date_captured": "2020-09-13",
        "location": f"sample-town-{scene + 1}",
    }
    return Scene(scene_name(scene), style_of(scene).name, log, maps.filename(seed, scene))


def _note(settings: DriveSettings, record: Row) -> Row:
    """A frame's record with what its files are called and how large its pictures are."""

    def of_sensor(channel: str, sensor: dict[str, Any]) -> Row:
        is_lidar = channel == LIDAR.channel
        return {
            **sensor,
            "calibration": (channel,),
            "filename": filename(record["scene"], channel, sensor["timestamp"]),
            "width": 0 if is_lidar else settings.image_width,
            "height": 0 if is_lidar else settings.image_height,
        }

    sensors = {channel: of_sensor(channel, sensor) for channel, sensor in record["sensors"].items()}
    return {**record, "sensors": sensors, "labelled": True}
