"""A small sequence in the format of KITTI's tracking benchmark, with a gap as the release has one."""

from __future__ import annotations

from pathlib import Path

from xmodal_core.datasets._kitti_example import (
    IMU_TO_LIDAR,
    LIDAR_TO_CAMERA,
    PROJECTION,
    RECTIFY,
    label_lines,
    lines,
    oxts_line,
    save,
    save_picture,
    scene,
    write,
)

SEQUENCE = "0001"
GAP = 1
"""The frame of which there is all but the sweep."""

STEP = 0.4
"""Seconds of the little world from frame to frame, so that things move."""


def example(root: Path, frames: int = 2) -> Path:
    """Sequence 0001 with ``frames`` sweeps: 0, 2, 3 …; pictures, labels and oxts are there of frame 1 too."""
    folder = root / "training"
    write(folder / "calib" / f"{SEQUENCE}.txt", _calibration())
    labels, packets = [], []
    for number in range(frames + 1):
        sweep, pixels, _ = scene(number * STEP)
        if number != GAP:
            save(folder / "velodyne" / SEQUENCE / f"{number:06d}.bin", sweep)
        save_picture(folder / "image_02" / SEQUENCE / f"{number:06d}.png", pixels)
        packets.append(oxts_line(number * STEP))
        for place, line in enumerate(label_lines(number * STEP)):
            track = -1 if line.startswith("DontCare") else place
            labels.append(f"{number} {track} {line}")
    write(folder / "label_02" / f"{SEQUENCE}.txt", "\n".join(labels) + "\n")
    write(folder / "oxts" / f"{SEQUENCE}.txt", "\n".join(packets) + "\n")
    return root


def _calibration() -> str:
    """The benchmark writes a colon after the projections' names only."""
    rigid = {"R_rect": RECTIFY, "Tr_velo_cam": LIDAR_TO_CAMERA[:3], "Tr_imu_velo": IMU_TO_LIDAR[:3]}
    return lines({"P2": PROJECTION}) + lines(rigid).replace(":", "")
