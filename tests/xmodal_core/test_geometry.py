"""Rigid transforms, cameras and boxes against SciPy and against loops over points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from xmodal_core import geometry
from xmodal_core.types import Boxes, Camera, Lens

SEEDS = st.integers(0, 2**20)
# Real lenses: none, a KITTI camera before rectification, a Waymo front camera, and a barrel with all five terms.
LENSES = [
    Lens(),
    Lens(k1=-0.373, k2=0.204, p1=0.0022, p2=0.0014, k3=-0.0723),
    Lens(k1=0.04, k2=-0.33, p1=0.0017, p2=-0.0006),
    Lens(k1=0.1, k2=-0.05, p1=-0.01, p2=0.02, k3=0.01),
]


def some_rotation(rng: np.random.Generator) -> np.ndarray:
    return Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()


def some_camera(rng: np.random.Generator, lens: Lens = LENSES[0]) -> Camera:
    """Any place and any direction, a little skew."""
    width, height = int(rng.integers(200, 1600)), int(rng.integers(100, 900))
    focal = rng.uniform(0.5, 1.5) * width
    intrinsics = np.array([[focal, 0.3, width * 0.48], [0.0, focal * 1.01, height * 0.55], [0.0, 0.0, 1.0]])
    transform = geometry.rigid(some_rotation(rng), rng.uniform(-2, 2, 3))
    return Camera("c", width, height, intrinsics, transform, lambda: np.zeros((height, width, 3), np.uint8), lens)


def some_boxes(rng: np.random.Generator, count: int) -> Boxes:
    return Boxes(
        centre=rng.uniform(-20, 20, (count, 3)).astype(np.float32),
        size=rng.uniform(0.3, 8, (count, 3)).astype(np.float32),
        yaw=rng.uniform(-7, 7, count).astype(np.float32),
        label=np.zeros(count, np.int64),
        classes=("car",),
        track=np.arange(count),
        velocity=np.full((count, 2), np.nan, np.float32),
    )


def off_axis(camera: Camera, point: np.ndarray) -> np.ndarray:
    """x and y at depth 1 before the lens."""
    x, y, z = camera.lidar_to_camera[:3, :3] @ point.astype(np.float64) + camera.lidar_to_camera[:3, 3]
    return np.array([x / z, y / z])


def naive_pixel(camera: Camera, point: np.ndarray) -> tuple[float, float, float]:
    """u, v and depth of one point, in float64, as OpenCV's documentation writes the camera model."""
    x, y, z = camera.lidar_to_camera[:3, :3] @ point.astype(np.float64) + camera.lidar_to_camera[:3, 3]
    a, b, lens = x / z, y / z, camera.lens
    r2 = a * a + b * b
    radial = 1 + lens.k1 * r2 + lens.k2 * r2**2 + lens.k3 * r2**3
    bent_a = a * radial + 2 * lens.p1 * a * b + lens.p2 * (r2 + 2 * a * a)
    bent_b = b * radial + lens.p1 * (r2 + 2 * b * b) + 2 * lens.p2 * a * b
    u, v, w = camera.intrinsics @ (bent_a, bent_b, 1.0)
    return u / w, v / w, z


class TestProjection:
    @pytest.mark.parametrize("lens", LENSES)
    @given(seed=SEEDS)
    def test_equals_a_loop_over_points(self, lens: Lens, seed: int) -> None:
        rng = np.random.default_rng(seed)
        camera = some_camera(rng, lens)
        points = rng.normal(0, 25, (200, 3)).astype(np.float32)
        seen = camera.project(points)
        for number in range(len(points)):
            u, v, depth = naive_pixel(camera, points[number])
            assert seen.depth[number] == pytest.approx(depth, abs=1e-3)
            margin = min(u - 1, camera.width - 1 - u, v - 1, camera.height - 1 - v)
            if abs(depth - 1) < 0.01 or abs(margin) < 0.05:
                continue  # either answer is right
            if seen.inside[number]:
                np.testing.assert_allclose(seen.uv[number], (u, v), atol=0.02)
                assert depth > 1
                assert margin > 0
            elif depth > 1 and margin > 0:
                # Left out though the formula puts it inside: only where the polynomial has folded back.
                steps = np.linspace(0, 1, 200)[1:, None] * off_axis(camera, points[number])
                radius = np.linalg.norm(steps, axis=1)
                bent = radius * (1 + lens.k1 * radius**2 + lens.k2 * radius**4 + lens.k3 * radius**6)
                assert np.diff(bent).min() < 1e-3

    @pytest.mark.parametrize("lens", [*LENSES, Lens(k1=-0.35), Lens(k1=-0.3, k2=0.1), Lens(k1=0.3, k2=0.1)])
    @pytest.mark.parametrize("direction", [0.0, 0.7, np.pi / 2, 4.0])
    def test_what_lies_farther_off_the_axis_lies_farther_out_or_is_not_seen(self, lens: Lens, direction: float) -> None:
        """Far off the axis the polynomial comes back to the middle of the picture."""
        angle = np.radians(np.arange(0.5, 180, 0.5))
        aside = np.array([np.cos(direction), np.sin(direction)])[:, None] * np.sin(angle)
        points = (20 * np.stack([np.cos(angle), *aside], axis=1)).astype(np.float32)
        camera = forward_camera(lens)
        seen = camera.project(points)
        last = int(seen.inside.argmin())
        assert last > 20
        assert not seen.inside[last:].any()
        out = np.linalg.norm(seen.uv[:last] - camera.intrinsics[:2, 2], axis=1)
        assert (np.diff(out) > 0).all()

    @pytest.mark.parametrize("lens", LENSES)
    @pytest.mark.filterwarnings("error")
    def test_points_as_far_as_readers_let_them_be_are_no_surprise(self, lens: Lens) -> None:
        far = np.array([[2, 9e8, 1], [9e8, -9e8, 9e8], [2, 1e5, 3], [-9e8, 9e8, 0], [5, 0, 0]], np.float32)
        inside = forward_camera(lens).project(far).inside
        assert inside.tolist() == [False, False, False, False, True]

    def test_depth_and_border_are_bounds(self) -> None:
        camera = forward_camera()
        axis = np.array([[0.5, 0, 0], [1.0, 0, 0], [1.001, 0, 0], [3, 0, 0]], np.float32)
        assert camera.project(axis).inside.tolist() == [False, False, True, True]
        assert camera.project(axis, min_depth=0.4).inside.tolist() == [True, True, True, True]
        assert camera.project(axis, min_depth=2).inside.tolist() == [False, False, False, True]
        # A point 30 pixels from the left edge.
        beside = np.array([[10, 10 * (320 - 30) / 300, 0]], np.float32)
        assert camera.project(beside).uv[0] == pytest.approx((30, 180), abs=1e-3)
        assert camera.project(beside, border=29).inside.all()
        assert not camera.project(beside, border=31).inside.any()

    def test_no_points(self) -> None:
        seen = forward_camera().project(np.zeros((0, 3), np.float32))
        assert seen.uv.shape == (0, 2)
        assert seen.depth.shape == seen.inside.shape == (0,)

    def test_types(self) -> None:
        seen = forward_camera(LENSES[1]).project(np.ones((5, 3), np.float32))
        assert (seen.uv.dtype, seen.depth.dtype, seen.inside.dtype) == (np.float32, np.float32, np.bool_)


def forward_camera(lens: Lens = LENSES[0]) -> Camera:
    """640x360 with 300 pixels of focal length at the sensor, looking along x."""
    axes = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    intrinsics = np.array([[300.0, 0, 320], [0, 300.0, 180], [0, 0, 1]])
    return Camera("c", 640, 360, intrinsics, geometry.rigid(axes, np.zeros(3)), lambda: np.zeros((1, 1, 3)), lens)


class TestPixels:
    @given(seed=SEEDS, count=st.integers(1, 5))
    def test_they_are_the_projections_of_all_cameras_by_point_then_camera(self, seed: int, count: int) -> None:
        rng = np.random.default_rng(seed)
        cameras = [some_camera(rng) for _ in range(count)]
        points = rng.normal(0, 10, (80, 3)).astype(np.float32)
        expected = []
        for point in range(80):
            for number, camera in enumerate(cameras):
                seen = camera.project(points)
                if seen.inside[point]:
                    expected.append((point, number, *seen.uv[point]))
        found = geometry.pixels(cameras, points)
        assert len(found) == len(expected)
        rows = list(zip(found.point, found.camera, found.u, found.v, strict=True))
        assert rows == expected

    def test_bounds_are_passed_on(self) -> None:
        points = np.array([[3, 0, 0]], np.float32)
        assert len(geometry.pixels([forward_camera()], points)) == 1
        assert len(geometry.pixels([forward_camera()], points, min_depth=5)) == 0
        assert len(geometry.pixels([forward_camera()], points, border=200)) == 0

    def test_what_the_data_set_states_goes_before_the_cameras_models(self) -> None:
        stated = geometry.pixels([forward_camera()], np.array([[9.0, 0, 0], [5, 1, 0]], dtype=np.float32))
        assert geometry.pixels([forward_camera()], np.full((2, 3), -3, np.float32), stated) is stated

    @pytest.mark.parametrize("cameras", [0, 1])
    def test_none(self, cameras: int) -> None:
        found = geometry.pixels([forward_camera()] * cameras, np.zeros((0, 3), np.float32))
        assert len(found) == 0
        assert (found.point.dtype, found.u.dtype) == (np.int64, np.float32)


class TestRotations:
    @given(st.tuples(*[st.floats(-2, 2)] * 4).filter(lambda q: sum(side * side for side in q) > 1e-6))
    def test_a_quaternion_gives_scipys_rotation_whatever_its_length(self, wxyz: tuple[float, ...]) -> None:
        w, x, y, z = wxyz
        np.testing.assert_allclose(
            geometry.rotation_from_quaternion(wxyz), Rotation.from_quat([x, y, z, w]).as_matrix(), atol=1e-9
        )

    @given(SEEDS)
    def test_a_rotation_goes_to_a_quaternion_and_back(self, seed: int) -> None:
        rotation = some_rotation(np.random.default_rng(seed))
        wxyz = geometry.quaternion_from_rotation(rotation)
        assert wxyz[0] >= 0
        assert np.linalg.norm(wxyz) == pytest.approx(1)
        np.testing.assert_allclose(geometry.rotation_from_quaternion(wxyz), rotation, atol=1e-9)

    @pytest.mark.parametrize("wxyz", [(0.0, 0.0, 0.0, 0.0), (np.nan, 0, 0, 1), (np.inf, 0, 0, 0)])
    def test_what_has_no_direction_is_refused(self, wxyz: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="has no direction"):
            geometry.rotation_from_quaternion(wxyz)

    @given(st.floats(-np.pi, np.pi))
    def test_yaw_is_the_angle_about_z_of_the_x_axis(self, angle: float) -> None:
        rotation = geometry.rotation_z(angle)
        np.testing.assert_allclose(rotation, Rotation.from_euler("z", angle).as_matrix(), atol=1e-12)
        assert np.cos(geometry.yaw_of(rotation) - angle) == pytest.approx(1)
        leaning = rotation @ Rotation.from_euler("xy", (0.2, 0.3)).as_matrix()
        heading = leaning[:2, 0] / np.linalg.norm(leaning[:2, 0])
        yaw = geometry.yaw_of(leaning)
        np.testing.assert_allclose((np.cos(yaw), np.sin(yaw)), heading, atol=1e-12)

    @given(SEEDS)
    def test_the_inverse_of_a_rigid_transform(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        transform = geometry.rigid(some_rotation(rng), rng.normal(0, 1000, 3))
        np.testing.assert_allclose(geometry.invert(transform), np.linalg.inv(transform), atol=1e-9)

    @given(SEEDS)
    def test_points_are_moved_in_double_precision(self, seed: int) -> None:
        """Real poses lie a kilometre from their map's origin, where float32 knows tenths of millimetres."""
        rng = np.random.default_rng(seed)
        transform = geometry.rigid(some_rotation(rng), rng.normal(0, 1000, 3))
        points = rng.normal(0, 30, (20, 3)).astype(np.float32)
        there = geometry.transform_points(transform, points)
        assert there.dtype == np.float32
        wanted = np.array([transform[:3, :3] @ point + transform[:3, 3] for point in points.astype(np.float64)])
        np.testing.assert_allclose(there, wanted, rtol=2e-7, atol=1e-6)
        back = geometry.transform_points(geometry.invert(transform) @ transform, points)
        np.testing.assert_allclose(back, points, atol=1e-5)


class TestBoxes:
    @given(seed=SEEDS, count=st.integers(1, 4))
    def test_corners(self, seed: int, count: int) -> None:
        boxes = some_boxes(np.random.default_rng(seed), count)
        corners = geometry.box_corners(boxes)
        assert corners.shape == (count, 8, 3)
        assert corners.dtype == np.float32
        for number in range(count):
            turn = Rotation.from_euler("z", float(boxes.yaw[number])).as_matrix()
            # Bottom from front left counter-clockwise, then the top above it.
            signs = [(x, y, z) for z in (-1, 1) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
            wanted = [boxes.centre[number] + turn @ (np.array(s) * boxes.size[number] / 2) for s in signs]
            np.testing.assert_allclose(corners[number], wanted, atol=1e-4)

    def test_no_boxes(self) -> None:
        assert geometry.box_corners(some_boxes(np.random.default_rng(0), 0)).shape == (0, 8, 3)

    @given(seed=SEEDS, margin=st.sampled_from([0.0, 0.5, 2.0]))
    def test_points_inside_are_those_within_half_a_side_in_the_boxs_own_axes(self, seed: int, margin: float) -> None:
        rng = np.random.default_rng(seed)
        boxes = some_boxes(rng, 2)
        points = (boxes.centre[1] + rng.normal(0, 3, (300, 3))).astype(np.float32)
        turn = Rotation.from_euler("z", -float(boxes.yaw[1])).as_matrix()
        local = (points - boxes.centre[1]).astype(np.float64) @ turn.T
        room = (boxes.size[1] / 2 + margin - np.abs(local)).min(axis=1)
        found = geometry.points_in_box(points, boxes, 1, margin=margin)
        sure = np.abs(room) > 1e-4
        np.testing.assert_array_equal(found[sure], room[sure] > 0)

    def test_corners_lie_on_the_edge_of_what_is_inside(self) -> None:
        boxes = some_boxes(np.random.default_rng(4), 3)
        for number, corners in enumerate(geometry.box_corners(boxes)):
            assert geometry.points_in_box(corners, boxes, number, margin=1e-3).all()
            assert not geometry.points_in_box(corners, boxes, number, margin=-1e-3).any()
