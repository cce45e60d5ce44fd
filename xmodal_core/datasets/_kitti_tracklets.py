"""KITTI's tracklet_labels.xml: one object's box through a drive, by the full drive's frame numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from xmodal_core.datasets._files import FETCH_AGAIN, plausible, read_bytes
from xmodal_core.datasets._kitti import CLASSES, class_number
from xmodal_core.errors import DataError
from xmodal_core.types import Boxes, Doubles


@dataclass(frozen=True)
class Tracklet:
    """One object.

    Args:
        kind: index into KITTI's classes.
        size: length, width, height, metres.
        first: the full drive's number of its first frame.
        poses: (F,4) x, y, z of the *bottom's* middle in the velodyne's frame (metres) and heading about z (radians),
            for frames first, first + 1, …
    """

    kind: int
    size: tuple[float, float, float]
    first: int
    poses: Doubles


def read_tracklets(file: Path) -> list[Tracklet]:
    """All tracklets of a drive.

    Raises:
        DataError: the file is damaged, or labels an unknown class.
    """
    try:
        items = ElementTree.fromstring(read_bytes(file)).findall("tracklets/item")
        return [_tracklet(item, file) for item in items]
    except (ElementTree.ParseError, LookupError, TypeError, ValueError) as error:  # an encoding that nobody knows, too
        raise DataError(f"{file} is damaged: {error}", FETCH_AGAIN) from None


def _tracklet(item: ElementTree.Element, file: Path) -> Tracklet:
    poses = [[_number(pose, name) for name in ("tx", "ty", "tz", "rz")] for pose in item.findall("poses/item")]
    size = (_number(item, "l"), _number(item, "w"), _number(item, "h"))
    if min(size) <= 0:
        raise ValueError(f"a box of size {size}")
    return Tracklet(
        kind=class_number(item.findtext("objectType", "").strip(), file),
        size=size,
        first=int(_number(item, "first_frame")),
        poses=np.array(poses, dtype=np.float64).reshape(-1, 4),
    )


def _number(element: ElementTree.Element, name: str) -> float:
    text = element.findtext(name)
    if text is None:
        raise ValueError(f"an item has no <{name}>")
    if not plausible(number := float(text)):
        raise ValueError(f"<{name}> is {text}")
    return number


def boxes_of_frame(tracklets: list[Tracklet], number: int) -> Boxes:
    """The boxes of the full drive's frame ``number``; ``track`` is the tracklet's place in the file."""
    present = [
        (track, tracklet)
        for track, tracklet in enumerate(tracklets)
        if 0 <= number - tracklet.first < len(tracklet.poses)
    ]
    poses = np.array([tracklet.poses[number - tracklet.first] for _, tracklet in present]).reshape(-1, 4)
    size = np.array([tracklet.size for _, tracklet in present]).reshape(-1, 3)
    centre = poses[:, :3].copy()
    centre[:, 2] += size[:, 2] / 2
    return Boxes(
        centre=centre.astype(np.float32),
        size=size.astype(np.float32),
        yaw=poses[:, 3].astype(np.float32),
        label=np.array([tracklet.kind for _, tracklet in present], dtype=np.int64),
        classes=CLASSES,
        track=np.array([track for track, _ in present], dtype=np.int64),
        velocity=np.full((len(present), 2), np.nan, dtype=np.float32),
    )
