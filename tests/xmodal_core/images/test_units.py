"""The image features of units, against loops over pixels and against features known by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from xmodal_core.images import Teacher, load_teacher, unit_features, unit_image_features
from xmodal_core.images._units import pool_map
from xmodal_core.images.base import TeacherConfig
from xmodal_core.train.batch import SparseMatrix, collate, make_example
from xmodal_core.types import Camera, Frame, Pixels, Pooling, Sensor, Units


def naive(level: Tensor, stride: int, pooling: SparseMatrix, image: Tensor, uv: Tensor) -> np.ndarray:
    """Each pixel's feature by four cells, then each unit's by its pixels."""
    maps = level.double().numpy()
    result = np.zeros((pooling.shape[0], maps.shape[1]))
    for row, pixel, weight in zip(pooling.row, pooling.column, pooling.weight, strict=True):
        u, v = (float(value) for value in uv[pixel])
        x = min(max((u - (stride - 1) / 2) / stride, 0), maps.shape[3] - 1)
        y = min(max((v - (stride - 1) / 2) / stride, 0), maps.shape[2] - 1)
        here = maps[int(image[pixel])]
        left, top = int(x), int(y)
        right, bottom = min(left + 1, maps.shape[3] - 1), min(top + 1, maps.shape[2] - 1)
        feature = (1 - y % 1) * ((1 - x % 1) * here[:, top, left] + x % 1 * here[:, top, right])
        feature = feature + y % 1 * ((1 - x % 1) * here[:, bottom, left] + x % 1 * here[:, bottom, right])
        result[row] += float(weight) * feature
    return result


def random_pooling(random: np.random.Generator, units: int, pixels: int) -> SparseMatrix:
    """Units of one to all pixels each, weights summing to 1."""
    rows, columns, weights = [], [], []
    for unit in range(units):
        chosen = np.sort(random.choice(pixels, random.integers(1, pixels + 1), replace=False))
        weight = random.random(len(chosen)) + 0.1
        rows.append(np.full(len(chosen), unit))
        columns.append(chosen)
        weights.append(weight / weight.sum())
    return SparseMatrix(
        torch.from_numpy(np.concatenate(rows)),
        torch.from_numpy(np.concatenate(columns)),
        torch.from_numpy(np.concatenate(weights).astype(np.float32)),
        (units, pixels),
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    images=st.integers(1, 3),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    channels=st.integers(1, 4),
    stride=st.sampled_from([1, 2, 4, 8]),
    units=st.integers(1, 6),
    pixels=st.integers(1, 10),
)
def test_it_is_the_loop_over_units_and_pixels(
    seed: int, images: int, height: int, width: int, channels: int, stride: int, units: int, pixels: int
) -> None:
    random = np.random.default_rng(seed)
    level = torch.from_numpy(random.standard_normal((images, channels, height, width)).astype(np.float32))
    pooling = random_pooling(random, units, pixels)
    image = torch.from_numpy(random.integers(0, images, pixels))
    size = np.array([width, height]) * stride
    uv = torch.from_numpy((random.random((pixels, 2)) * (size + 2) - 1.5).astype(np.float32))  # some lie outside
    found = pool_map(level, stride, pooling, image, uv)
    np.testing.assert_allclose(found.numpy(), naive(level, stride, pooling, image, uv), atol=2e-5)


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_it_reads_as_grid_sample_does(stride: int) -> None:
    random = np.random.default_rng(stride)
    level = torch.from_numpy(random.standard_normal((2, 5, 6, 9)).astype(np.float32))
    image = torch.from_numpy(random.integers(0, 2, 200))
    size = torch.tensor([9 * stride, 6 * stride])
    uv = torch.from_numpy(random.random((200, 2)).astype(np.float32)) * size - 0.5
    grid = (uv + 0.5) / size * 2 - 1
    wanted = torch.empty(200, 5)
    for number in (0, 1):
        rows = image == number
        sampled = F.grid_sample(
            level[number : number + 1], grid[rows][None, None], padding_mode="border", align_corners=False
        )
        wanted[rows] = sampled[0, :, 0].T
    each = SparseMatrix(torch.arange(200), torch.arange(200), torch.ones(200), (200, 200))
    torch.testing.assert_close(pool_map(level, stride, each, image, uv), wanted, atol=1e-5, rtol=1e-5)


def test_a_unit_without_a_pixel_has_zeros() -> None:
    pooling = SparseMatrix(torch.tensor([1]), torch.tensor([0]), torch.ones(1), (3, 1))
    found = pool_map(torch.ones(1, 2, 4, 4), 4, pooling, torch.tensor([0]), torch.tensor([[5.0, 5.0]]))
    assert found.tolist() == [[0, 0], [1, 1], [0, 0]]


class Averages(Teacher):
    """Mean colours of squares: read bilinearly, they give back any colour that changes evenly over the picture."""

    Config = TeacherConfig
    channels = (3, 3)
    strides = (2, 4)

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__(config)
        self.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(images * 255, stride) for stride in self.strides]


def ramp(number: int) -> np.ndarray:
    """Red is the column, green the row, blue the camera's number."""
    v, u = np.mgrid[0:120, 0:240].astype(np.uint8)
    return np.stack([u, v, np.full_like(u, 10 * number)], axis=2)


@pytest.fixture
def seen() -> tuple[Frame, Units]:
    """Five points, of which two cameras see the second; three units: points 0 and 1, point 2, points 3 and 4."""
    sensor = Sensor("made-up", 32, (1.0, 0.0), None, 1.0)
    cameras = tuple(
        Camera(f"CAM_{number}", 240, 120, np.eye(3), np.eye(4), lambda number=number: ramp(number))
        for number in range(2)
    )
    points = np.arange(15, dtype=np.float32).reshape(5, 3)
    frame = Frame("made/up", "made", 0.0, points, {}, sensor, cameras)
    pixels = Pixels(
        np.array([0, 1, 1, 2, 3, 4]),
        np.array([0, 0, 1, 1, 0, 0]),
        np.array([20.25, 200.0, 50.5, 120.0, 31.75, 100.0], dtype=np.float32),
        np.array([30.5, 90.0, 60.0, 17.25, 100.0, 44.0], dtype=np.float32),
    )
    pooling = Pooling(
        np.array([0, 0, 1, 2, 2]), np.arange(5), np.array([0.75, 0.25, 1.0, 0.5, 0.5], dtype=np.float32), (3, 5)
    )
    units = Units(
        ground=np.zeros(5, dtype=np.bool_),
        visible=np.ones(5, dtype=np.bool_),
        seeds=np.array([0, 2, 3]),
        clusters=np.full(5, -1),
        reasons=(),
        instance=np.full(5, -1),
        unit=np.array([0, 1, 2]),
        pooling=pooling,
        pixels=pixels,
        sensor_height=1.8,
    )
    return frame, units


# Unit 0: three quarters of (20.25, 30.5) in camera 0, a quarter of the mean of (200, 90) in 0 and (50.5, 60) in 1.
BY_HAND = np.array([[46.5, 41.625, 1.25], [120.0, 17.25, 10.0], [65.875, 72.0, 0.0]])


def test_a_unit_has_the_mean_of_what_its_points_see(seen: tuple[Frame, Units]) -> None:
    found = unit_image_features(*seen, Averages(TeacherConfig()), "none")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.tile(BY_HAND, 2), atol=1e-3)


def test_a_shrunk_picture_gives_the_same_places(seen: tuple[Frame, Units]) -> None:
    found = unit_image_features(*seen, Averages(TeacherConfig(image_width=120)), "none")
    np.testing.assert_allclose(found, np.tile(BY_HAND, 2), atol=0.6)  # colours are whole numbers


def test_units_of_a_batch_are_those_of_its_frames(seen: tuple[Frame, Units]) -> None:
    frame, units = seen
    teacher = load_teacher("efficientnet_lite0")
    other = replace(frame, name="other", cameras=frame.cameras[::-1])
    examples = [make_example(each, units, (), 800) for each in (frame, other)]
    for standardise in ("none", "frame"):
        both = unit_features(collate(examples), teacher, standardise).numpy()
        alone = [unit_image_features(each, units, teacher, standardise) for each in (frame, other)]
        np.testing.assert_allclose(both, np.concatenate(alone), atol=1e-4)
        assert not np.allclose(both[:3], both[3:], atol=1e-2)


def test_channels_are_standardised_over_the_frame_or_the_batch(seen: tuple[Frame, Units]) -> None:
    frame, units = seen
    teacher = load_teacher("efficientnet_lite0")
    examples = [make_example(each, units, (), width) for each, width in ((frame, 240), (frame, 96))]
    batch = collate(examples)
    raw = unit_features(batch, teacher, "none").double().numpy()

    def standard(values: np.ndarray) -> np.ndarray:
        return (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)

    whole = unit_features(batch, teacher, "batch").numpy()
    np.testing.assert_allclose(whole, standard(raw), atol=1e-4)
    each = unit_features(batch, teacher, "frame").numpy()
    np.testing.assert_allclose(each, np.concatenate([standard(raw[:3]), standard(raw[3:])]), atol=1e-4)


def test_a_frame_without_units_has_no_features(seen: tuple[Frame, Units]) -> None:
    frame, units = seen
    none = np.zeros(0, dtype=np.int64)
    empty = replace(
        units,
        visible=np.zeros(5, dtype=np.bool_),
        seeds=none,
        unit=none,
        pooling=Pooling(none, none, np.zeros(0, np.float32), (0, 5)),
        pixels=Pixels(none, none, np.zeros(0, np.float32), np.zeros(0, np.float32)),
    )
    features = unit_image_features(replace(frame, cameras=()), empty, load_teacher("efficientnet_lite0"))
    assert features.shape == (0, 176)
