"""Batches against a construction that follows the words, one frame, one unit, one pixel at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core import geometry
from xmodal_core.errors import DataError, InputError
from xmodal_core.train.batch import Batch, Example, SparseMatrix, collate, make_example, stack_channels
from xmodal_core.types import Camera, Frame, Image, Lens, Pixels, Pooling, Sensor, Units
from xmodal_core.units.pool import image_pooling

SEEDS = st.integers(0, 2**20)


def some_pooling(rng: np.random.Generator, rows: int, columns: int) -> Pooling:
    """Every row averages one to five columns with weights of its own."""
    row, column, weight = [], [], []
    for number in range(rows):
        members = np.sort(rng.choice(columns, min(columns, int(rng.integers(1, 6))), replace=False))
        share = rng.uniform(0.1, 1, len(members))
        row += [number] * len(members)
        column += members.tolist()
        weight += (share / share.sum()).tolist()
    return Pooling(np.array(row, np.int64), np.array(column, np.int64), np.array(weight, np.float32), (rows, columns))


def some_example(rng: np.random.Generator, number: int, sizes: Sequence[tuple[int, int]]) -> Example:
    points, rows, units = int(rng.integers(1, 30)), int(rng.integers(1, 40)), int(rng.integers(1, 6))
    rows = rows if sizes else 0
    units = units if rows else 0
    return Example(
        name=f"frame {number}",
        points=rng.normal(size=(points, 3)).astype(np.float32),
        channels=rng.normal(size=(points, 2)).astype(np.float32),
        pooling=some_pooling(rng, units, points),
        image_pooling=some_pooling(rng, units, rows),
        pixels=Pixels(
            np.sort(rng.integers(0, points, rows)),
            rng.integers(0, max(len(sizes), 1), rows),
            rng.uniform(0, 30, rows).astype(np.float32),
            rng.uniform(0, 20, rows).astype(np.float32),
        ),
        images=tuple(rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes),
    )


def dense(matrix: SparseMatrix) -> np.ndarray:
    full = np.zeros(matrix.shape, np.float32)
    full[matrix.row, matrix.column] = matrix.weight
    return full


def dense_pooling(pooling: Pooling) -> np.ndarray:
    full = np.zeros(pooling.shape, np.float32)
    full[pooling.row, pooling.column] = pooling.weight
    return full


# Frames with no camera, with one, and with pictures of several sizes.
SIZES = [(), ((20, 30),), ((20, 30), (12, 16), (20, 30)), ((8, 40),)]


class TestCollate:
    @given(SEEDS, st.lists(st.sampled_from(SIZES), min_size=1, max_size=4))
    def test_equals_a_construction_frame_by_frame(self, seed: int, sizes: list[tuple[tuple[int, int], ...]]) -> None:
        rng = np.random.default_rng(seed)
        examples = [some_example(rng, number, of) for number, of in enumerate(sizes)]
        batch = collate(examples)
        assert batch.names == tuple(f"frame {number}" for number in range(len(sizes)))
        images = 0
        point_end, unit_end, row_end = 0, 0, 0
        pooled, image_pooled = dense(batch.pooling), dense(batch.image_pooling)
        for number, example in enumerate(examples):
            points = slice(point_end, point_end + len(example.points))
            units = slice(unit_end, unit_end + example.pooling.shape[0])
            rows = slice(row_end, row_end + len(example.pixels))
            point_end, unit_end, row_end = points.stop, units.stop, rows.stop
            assert batch.offsets[number : number + 2].tolist() == [points.start, points.stop]
            assert batch.unit_offsets[number : number + 2].tolist() == [units.start, units.stop]
            np.testing.assert_array_equal(batch.points[points], example.points)
            np.testing.assert_array_equal(batch.channels[points], example.channels)
            np.testing.assert_array_equal(pooled[units, points], dense_pooling(example.pooling))
            np.testing.assert_array_equal(image_pooled[units, rows], dense_pooling(example.image_pooling))
            for row in range(len(example.pixels)):
                assert batch.pixel_image[rows.start + row] == images + example.pixels.camera[row]
                u, v = batch.pixel_uv[rows.start + row].tolist()
                assert (u, v) == (example.pixels.u[row], example.pixels.v[row])
            for image in example.images:
                height, width = image.shape[:2]
                np.testing.assert_array_equal(batch.images[images, :, :height, :width].permute(1, 2, 0), image)
                assert not batch.images[images, :, height:].any()
                assert not batch.images[images, :, :, width:].any()
                images += 1
        assert (len(batch.points), len(batch.pixel_uv), len(batch.images)) == (point_end, row_end, images)
        assert batch.pooling.shape == (unit_end, point_end)
        assert batch.image_pooling.shape == (unit_end, row_end)
        # Nothing outside the blocks on the diagonal.
        assert np.count_nonzero(pooled) == sum(len(example.pooling.row) for example in examples)
        assert np.count_nonzero(image_pooled) == sum(len(example.image_pooling.row) for example in examples)

    def test_types(self) -> None:
        batch = collate([some_example(np.random.default_rng(0), 0, SIZES[2])])
        assert batch.points.dtype == batch.channels.dtype == batch.pixel_uv.dtype == torch.float32
        assert batch.images.dtype == torch.uint8
        for indices in (batch.offsets, batch.unit_offsets, batch.pixel_image, batch.pooling.row, batch.pooling.column):
            assert indices.dtype == torch.int64

    def test_pictures_as_a_decoder_gives_them_may_be_read_only(self) -> None:
        example = some_example(np.random.default_rng(0), 0, SIZES[1])
        example.images[0].setflags(write=False)
        assert collate([example]).images.shape == (1, 3, 20, 30)

    def test_to_another_device_moves_every_tensor(self) -> None:
        batch = collate([some_example(np.random.default_rng(0), 0, SIZES[1])])
        self._assert_all_moved(batch, batch.to("meta"))

    def test_pinning_pins_every_tensor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.to("meta"))
        batch = collate([some_example(np.random.default_rng(0), 0, SIZES[1])])
        self._assert_all_moved(batch, batch.pin_memory())

    def _assert_all_moved(self, batch: Batch, moved: Batch) -> None:
        assert isinstance(moved, Batch)
        assert moved.names == batch.names
        for tensor in (moved.points, moved.channels, moved.offsets, moved.images, moved.pixel_image, moved.pixel_uv):
            assert tensor.device.type == "meta"
        for matrix in (moved.pooling, moved.image_pooling):
            assert {matrix.row.device.type, matrix.column.device.type, matrix.weight.device.type} == {"meta"}
        assert moved.unit_offsets.device.type == "meta"


class TestSparseMatrix:
    @given(SEEDS, st.integers(0, 8), st.integers(1, 20), st.integers(1, 5))
    def test_equals_the_dense_product_and_its_gradient(self, seed: int, rows: int, columns: int, width: int) -> None:
        rng = np.random.default_rng(seed)
        pooling = some_pooling(rng, rows, columns)
        matrix = SparseMatrix(*map(torch.from_numpy, (pooling.row, pooling.column, pooling.weight)), pooling.shape)
        features = torch.from_numpy(rng.normal(size=(columns, width)).astype(np.float32)).requires_grad_()
        product = matrix @ features
        full = torch.from_numpy(dense_pooling(pooling))
        torch.testing.assert_close(product, full @ features)
        weights = torch.from_numpy(rng.normal(size=(rows, width)).astype(np.float32))
        (product * weights).sum().backward()
        torch.testing.assert_close(features.grad, full.T @ weights)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_the_product_has_the_type_of_the_features(self, dtype: torch.dtype) -> None:
        pooling = some_pooling(np.random.default_rng(1), 4, 10)
        matrix = SparseMatrix(*map(torch.from_numpy, (pooling.row, pooling.column, pooling.weight)), pooling.shape)
        features = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
        product = matrix @ features
        assert product.dtype == dtype
        wanted = torch.from_numpy(dense_pooling(pooling)) @ features.float()
        torch.testing.assert_close(product.float(), wanted, atol=0.03, rtol=0.02)


def street(cameras: Sequence[Camera], points: int = 400) -> tuple[Frame, Units]:
    """Points in front of ``cameras`` and units of single seeds with a few neighbours."""
    rng = np.random.default_rng(3)
    places = (rng.uniform([3, -6, -1.5], [30, 6, 2], (points, 3))).astype(np.float32)
    channels = {"intensity": rng.random(points).astype(np.float32), "ring": np.arange(points, dtype=np.float32) % 32}
    frame = Frame("s/0", "s", 0.0, places, channels, Sensor("made-up", 32, (1.0, 0.0), None, 1.0), tuple(cameras))
    pixels = geometry.pixels(cameras, places)
    seeds = np.unique(pixels.point)[::10]
    none = np.full(points, -1)
    visible = np.zeros(points, np.bool_)
    visible[pixels.point] = True
    pooling = Pooling(np.arange(len(seeds)), seeds, np.ones(len(seeds), np.float32), (len(seeds), points))
    units = Units(~visible & False, visible, seeds, none, (), none, np.arange(len(seeds)), pooling, pixels, 1.8)
    return frame, units


PERIOD = 100.0


def ramp(places: np.ndarray) -> np.ndarray:
    """Up and down between 0 and 250 in every ``PERIOD`` pixels: five levels a pixel tell where one is."""
    return 250 * np.abs(2 * ((places / PERIOD) % 1) - 1)


def ramps(width: int, height: int) -> Image:
    """Red goes up and down across, green down the picture."""
    v, u = np.mgrid[:height, :width]
    return np.stack([ramp(u), ramp(v), 0 * u], axis=2).astype(np.uint8)


def looking(yaw: float, width: int, height: int, lens: Lens = Lens()) -> Camera:  # noqa: B008 (frozen)
    forward, right = np.array([np.cos(yaw), np.sin(yaw), 0.0]), np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    transform = np.eye(4)
    transform[:3, :3] = np.stack([right, [0.0, 0.0, -1.0], forward])
    intrinsics = np.array([[width * 0.6, 0.0, width / 2], [0.0, width * 0.6, height / 2], [0.0, 0.0, 1.0]])
    read = lambda: ramps(width, height)  # noqa: E731
    return Camera(f"CAM_{yaw}", width, height, intrinsics, transform, read, lens)


class TestMakeExample:
    @pytest.mark.parametrize("image_width", [100, 333, 640, 2000])
    def test_pixels_are_those_of_a_camera_of_the_smaller_size(self, image_width: int) -> None:
        """A picture shrunk by s is what a camera with its first two rows of intrinsics times s sees, where pixel
        (u, v) covers u - 1/2 .. u + 1/2."""
        cameras = [looking(0.1, 640, 360), looking(-0.4, 320, 200, Lens(k1=-0.05, p1=0.001))]
        frame, units = street(cameras)
        example = make_example(frame, units, ["intensity"], image_width)
        assert len(example.pixels) == len(units.pixels) > 300
        for number, camera in enumerate(cameras):
            height, width = example.images[number].shape[:2]
            across = min(1.0, image_width / camera.width)
            assert width == min(camera.width, image_width)
            assert height == round(camera.height * across)
            corner = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
            scaled = np.linalg.inv(corner) @ np.diag([width / camera.width, height / camera.height, 1]) @ corner
            small = Camera(
                camera.name, width, height, scaled @ camera.intrinsics, camera.lidar_to_camera, camera.read, camera.lens
            )
            rows = example.pixels.camera == number
            uv = small.project(frame.points).uv[example.pixels.point[rows]]
            np.testing.assert_allclose(example.pixels.u[rows], uv[:, 0], atol=2e-3)
            np.testing.assert_allclose(example.pixels.v[rows], uv[:, 1], atol=2e-3)

    @pytest.mark.parametrize("image_width", [160, 333, 640])
    def test_the_shrunk_picture_shows_at_a_pixel_what_the_whole_one_showed(self, image_width: int) -> None:
        frame, units = street([looking(0.0, 640, 360)])
        example = make_example(frame, units, [], image_width)
        picture = example.images[0].astype(np.float64)
        u, v = example.pixels.u.astype(np.float64), example.pixels.v.astype(np.float64)
        inside = (u >= 1) & (v >= 1) & (u < picture.shape[1] - 2) & (v < picture.shape[0] - 2)
        left, top = np.floor(u[inside]).astype(int), np.floor(v[inside]).astype(int)
        a, b = (u[inside] - left)[:, None], (v[inside] - top)[:, None]
        read = (picture[top, left] * (1 - a) + picture[top, left + 1] * a) * (1 - b)
        read += (picture[top + 1, left] * (1 - a) + picture[top + 1, left + 1] * a) * b
        for channel, places in enumerate((units.pixels.u[inside], units.pixels.v[inside])):
            to_turn = np.abs((places + PERIOD / 4) % (PERIOD / 2) - PERIOD / 4)
            steady = to_turn > 8
            assert steady.sum() > 100
            # 0.3 pixels of the whole picture, and the two roundings of the shrinking.
            np.testing.assert_allclose(read[steady, channel], ramp(places[steady]), atol=5 * 0.3 + 1)

    def test_the_rest_is_the_frames_and_the_units_own(self) -> None:
        frame, units = street([looking(0.0, 64, 36)])
        example = make_example(frame, units, ["ring", "intensity"], 800)
        assert example.name == frame.name
        assert example.points is frame.points
        assert example.pooling is units.pooling
        np.testing.assert_array_equal(dense_pooling(example.image_pooling), dense_pooling(image_pooling(units)))
        np.testing.assert_array_equal(example.channels[:, 0], frame.channels["ring"])
        np.testing.assert_array_equal(example.channels[:, 1], frame.channels["intensity"])
        np.testing.assert_array_equal(example.pixels.u, units.pixels.u)
        np.testing.assert_array_equal(example.pixels.v, units.pixels.v)
        np.testing.assert_array_equal(example.images[0], ramps(64, 36))

    def test_a_frame_without_a_camera_has_no_picture(self) -> None:
        frame, units = street([])
        batch = collate([make_example(frame, units, [], 800)])
        assert (len(batch.images), len(batch.pixel_uv), batch.channels.shape) == (0, 0, (400, 0))

    def test_a_missing_channel_is_named_with_those_there_are(self) -> None:
        frame, _ = street([])
        with pytest.raises(InputError, match=r"'time_lag', which frame s/0 does not have.*has: intensity, ring"):
            stack_channels(frame, ["intensity", "time_lag"])

    def test_a_damaged_picture_is_an_error(self) -> None:
        def damaged() -> Image:
            raise DataError("a.jpg is damaged", "fetch it")

        camera = looking(0.0, 64, 36)
        camera = Camera(camera.name, 64, 36, camera.intrinsics, camera.lidar_to_camera, damaged)
        frame, units = street([camera])
        with pytest.raises(DataError, match=r"a\.jpg"):
            make_example(frame, units, [], 800)
