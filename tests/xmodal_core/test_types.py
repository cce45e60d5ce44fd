"""The vocabulary checks shapes and types on construction, names what is wrong, and cannot be changed afterwards."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from xmodal_core.types import Boxes, Camera, Frame, Lens, Pixels, Pooling, Semantic, Sensor, Units

F32, F64, I64 = np.float32, np.float64, np.int64


def boxes(**changes: Any) -> Boxes:
    values = {
        "centre": np.zeros((2, 3), F32),
        "size": np.ones((2, 3), F32),
        "yaw": np.zeros(2, F32),
        "label": np.zeros(2, I64),
        "classes": ("car",),
        "track": np.arange(2),
        "velocity": np.full((2, 2), np.nan, F32),
    }
    return Boxes(**{**values, **changes})


def camera(**changes: Any) -> Camera:
    values = {
        "name": "front",
        "width": 4,
        "height": 3,
        "intrinsics": np.eye(3),
        "lidar_to_camera": np.eye(4),
        "read": lambda: np.full((3, 4, 3), 7, np.uint8),
    }
    return Camera(**{**values, **changes})


def frame(**changes: Any) -> Frame:
    values = {
        "name": "a/0",
        "scene": "a",
        "timestamp": 0.0,
        "points": np.zeros((5, 3), F32),
        "channels": {"intensity": np.zeros(5, F32)},
        "sensor": Sensor("made-up", 32, (1.0, 0.0), None, 1.0),
        "pose": np.eye(4),
        "semantic": Semantic(np.zeros(5, I64), ("ignore",)),
    }
    return Frame(**{**values, **changes})


def pixels(**changes: Any) -> Pixels:
    values = {"point": np.zeros(3, I64), "camera": np.zeros(3, I64), "u": np.zeros(3, F32), "v": np.zeros(3, F32)}
    return Pixels(**{**values, **changes})


def pooling(**changes: Any) -> Pooling:
    values = {"row": np.array([0, 1]), "column": np.array([0, 4]), "weight": np.ones(2, F32), "shape": (2, 5)}
    return Pooling(**{**values, **changes})


def units(**changes: Any) -> Units:
    """Five points, three seeds; the first two are of one instance."""
    values = {
        "ground": np.zeros(5, np.bool_),
        "visible": np.ones(5, np.bool_),
        "seeds": np.array([0, 1, 4]),
        "clusters": np.array([0, 0, 0, -1, 1]),
        "reasons": ("kept", "too_small"),
        "instance": np.array([0, 0, 0, -1, -1]),
        "unit": np.array([0, 0, 1]),
        "pooling": pooling(),
        "pixels": pixels(),
        "sensor_height": 1.8,
    }
    return Units(**{**values, **changes})


WRONG = [
    (boxes, "centre", np.zeros((2, 2), F32), ValueError),
    (boxes, "centre", np.zeros((2, 3), F64), TypeError),
    (boxes, "size", np.ones((3, 3), F32), ValueError),
    (boxes, "yaw", np.zeros((2, 1), F32), ValueError),
    (boxes, "label", np.zeros(2, np.int32), TypeError),
    (boxes, "track", np.zeros(3, I64), ValueError),
    (boxes, "velocity", np.zeros((2, 3), F32), ValueError),
    (boxes, "points", np.zeros(3, I64), ValueError),
    (boxes, "difficulty", np.zeros(2, np.int8), TypeError),
    (camera, "intrinsics", np.eye(4), ValueError),
    (camera, "intrinsics", np.eye(3, dtype=F32), TypeError),
    (camera, "lidar_to_camera", np.eye(3), ValueError),
    (frame, "points", np.zeros((5, 4), F32), ValueError),
    (frame, "points", np.zeros((5, 3)), TypeError),
    (frame, "pose", np.eye(4, dtype=F32), TypeError),
    (pixels, "camera", np.zeros(2, I64), ValueError),
    (pixels, "u", np.zeros(3), TypeError),
    (pooling, "column", np.zeros(3, I64), ValueError),
    (pooling, "weight", np.ones(2), TypeError),
    (units, "ground", np.zeros(5, np.uint8), TypeError),
    (units, "visible", np.zeros(4, np.bool_), ValueError),
    (units, "seeds", np.zeros(3, np.int32), TypeError),
    (units, "clusters", np.zeros(6, I64), ValueError),
    (units, "instance", np.zeros((5, 1), I64), ValueError),
    (units, "unit", np.zeros(2, I64), ValueError),
]


@pytest.mark.parametrize(("make", "name", "value", "error"), WRONG)
def test_a_wrong_array_is_named_with_what_it_must_be(make: Any, name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"{name} must (have shape \(|be an array of )"):
        make(**{name: value})


@pytest.mark.parametrize(("make", "name"), [(boxes, "yaw"), (frame, "points"), (units, "seeds")])
def test_a_list_is_no_array(make: Any, name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name} must be an array of \w+, not list"):
        make(**{name: [0, 0, 0]})


def test_channels_and_labels_are_one_a_point() -> None:
    with pytest.raises(ValueError, match=r"channel ring must have shape \(5,\), not \(4,\)"):
        frame(channels={"ring": np.zeros(4, F32)})
    with pytest.raises(ValueError, match=r"semantic\.label must have shape \(5,\)"):
        frame(semantic=Semantic(np.zeros(6, I64), ("ignore",)))
    with pytest.raises(TypeError, match=r"label must be an array of int64"):
        Semantic(np.zeros(5, np.uint8), ("ignore",))


def test_pixels_of_a_frame_are_of_its_points_and_cameras() -> None:
    assert frame(cameras=(camera(),), pixels=pixels(point=np.array([0, 4, 4]))).pixels is not None
    with pytest.raises(ValueError, match=r"pixels\.point must lie in 0\.\.4"):
        frame(cameras=(camera(),), pixels=pixels(point=np.array([0, 4, 5])))
    with pytest.raises(ValueError, match=r"pixels\.camera must lie in 0\.\.0"):
        frame(cameras=(camera(),), pixels=pixels(camera=np.array([0, -1, 0])))


def test_a_pooling_matrix_has_a_column_for_every_point() -> None:
    with pytest.raises(ValueError, match="pooling has 7 columns for 5 points"):
        units(pooling=pooling(shape=(2, 7)))


def test_lengths() -> None:
    assert (len(boxes()), len(frame()), len(pixels()), units().count) == (2, 5, 3, 2)


def test_which_units_are_instances() -> None:
    assert units().merged.tolist() == [True, False]
    assert units(instance=np.full(5, -1)).merged.tolist() == [False, False]
    none = units(
        seeds=np.zeros(0, I64),
        unit=np.zeros(0, I64),
        pooling=pooling(row=np.zeros(0, I64), column=np.zeros(0, I64), weight=np.zeros(0, F32), shape=(0, 5)),
    )
    assert none.merged.shape == (0,)


def test_they_cannot_be_changed() -> None:
    for value, name in ((frame(), "points"), (boxes(), "yaw"), (camera(), "width"), (units(), "seeds")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


def test_a_picture_is_read_each_time_it_is_asked_for() -> None:
    calls: list[int] = []

    def read() -> np.ndarray:
        calls.append(1)
        return np.zeros((3, 4, 3), np.uint8)

    seen = camera(read=read)
    assert not calls
    assert seen.image().shape == (3, 4, 3)
    seen.image()
    assert len(calls) == 2


def test_a_lens_without_distortion_is_a_pinhole() -> None:
    assert Lens().is_pinhole
    assert not any(Lens(**{name: 0.01}).is_pinhole for name in ("k1", "k2", "p1", "p2", "k3"))
