"""Solids are closed, face outwards and keep their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_data import buildings, cycles, furniture, lorries, people, plants, vehicles
from sample_data.materials import Material, reflectivity
from sample_data.meshes import (
    Mesh,
    box,
    circle,
    cylinder,
    ellipsoid,
    from_faces,
    frustum,
    join,
    loft,
    prism,
    tube,
    turn_x,
    turn_y,
    turn_z,
)
from sample_data.models import Model
from sample_data.seeds import generator, token

GREY = (0.5, 0.5, 0.5)
sizes = st.floats(0.2, 5.0)


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.corners[:, 0], mesh.corners[:, 1], mesh.corners[:, 2]
    return float(np.einsum("fd,fd->f", a, np.cross(b, c)).sum()) / 6


@given(sizes, sizes, sizes, st.floats(-4, 4))
@settings(max_examples=25)
def test_a_box_has_its_volume(x: float, y: float, z: float, shift: float) -> None:
    mesh = box((shift, -shift, 2 * shift), (x, y, z), Material.PLAIN, GREY)
    assert volume(mesh) == pytest.approx(x * y * z, rel=1e-3)
    assert volume(prism([(0, 0), (x, 0), (x, y), (0, y)], 1.0, 1.0 + z, Material.PLAIN, GREY)) == pytest.approx(
        x * y * z, rel=1e-3
    )


@given(sizes, sizes, sizes)
@settings(max_examples=25)
def test_an_ellipsoid_has_about_its_volume_and_round_normals(a: float, b: float, c: float) -> None:
    mesh = ellipsoid((1, 2, 3), (a, b, c), Material.PLAIN, GREY, rows=24, sides=32)
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * a * b * c, rel=0.03)
    outward = mesh.corners - np.array([1, 2, 3], dtype=np.float32)
    assert (np.einsum("fcd,fcd->fc", outward, mesh.normals) > 0).all()


@given(st.floats(0.1, 1.0), st.floats(0.5, 4.0), st.floats(-1, 1), st.floats(-1, 1))
@settings(max_examples=25)
def test_a_rod_has_about_its_volume_wherever_it_points(radius: float, length: float, dx: float, dy: float) -> None:
    direction = np.array([dx, dy, 0.7]) / np.linalg.norm([dx, dy, 0.7])
    mesh = tube([np.zeros(3), direction * length], [radius, radius], Material.PLAIN, GREY, sides=40)
    assert volume(mesh) == pytest.approx(np.pi * radius**2 * length, rel=0.02)


def test_other_solids_face_outwards() -> None:
    square = circle(1.0, 4)
    assert volume(frustum(square, 0.5 * square, 0.0, 3.0, Material.PLAIN, GREY)) == pytest.approx(3.5, rel=1e-4)
    assert volume(cylinder((0, 0, 0), 2.0, 1.0, Material.PLAIN, GREY, 60)) == pytest.approx(2 * np.pi, rel=0.01)
    rings = [np.c_[circle(1.0, 50), np.full(50, z)] for z in (0.0, 1.0, 2.0)]
    assert volume(loft(np.array(rings), Material.PLAIN, GREY)) == pytest.approx(2 * np.pi, rel=0.01)


@given(st.integers(0, 2**31), st.integers(1, 60), st.sampled_from([0.0, 25.0, 60.0, 90.0]))
@settings(max_examples=40)
def test_a_corner_has_the_mean_normal_of_the_faces_around_it_where_that_leans_little(
    seed: int, count: int, smooth: float
) -> None:
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(9, 3)).astype(np.float32)
    faces = rng.integers(0, 9, (count, 3))  # some name a vertex twice: they have no area and are left out
    kept = np.array([len({*face}) == 3 for face in faces.tolist()])
    mesh = from_faces(vertices, faces, Material.PLAIN, GREY, smooth=smooth, local=vertices + 1)
    np.testing.assert_array_equal(mesh.corners, vertices[faces[kept]])
    np.testing.assert_array_equal(mesh.local, vertices[faces[kept]] + 1)
    a, b, c = mesh.corners.swapaxes(0, 1)
    cross = np.cross(b - a, c - a)
    flat = cross / np.linalg.norm(cross, axis=1, keepdims=True)
    around = np.array([cross[(faces[kept] == v).any(axis=1)].sum(axis=0) for v in range(9)])
    mean = (around / np.linalg.norm(around, axis=1, keepdims=True).clip(1e-12))[faces[kept]]
    lean = np.einsum("fcd,fd->fc", mean, flat)
    least = np.cos(np.radians(smooth)) if smooth else 2.0
    sure = np.abs(lean - least) > 1e-4
    expected = np.where((lean > least)[..., None], mean, flat[:, None])
    np.testing.assert_allclose(mesh.normals[sure], expected[sure], atol=2e-3)


def test_moving_keeps_shape_and_texture() -> None:
    mesh = ellipsoid((0, 0, 0), (1, 2, 3), Material.LEAF, GREY)
    moved = mesh.moved(turn_z(0.4) @ turn_y(1.0) @ turn_x(-2.0), (5, 6, 7))
    assert volume(moved.shifted(-5, -6, -7)) == pytest.approx(volume(mesh), rel=1e-4)
    np.testing.assert_array_equal(moved.local, mesh.local)
    np.testing.assert_allclose(np.linalg.norm(moved.normals, axis=-1), 1.0, atol=1e-5)
    assert len(join([mesh, moved])) == 2 * len(mesh)


MAKERS = {
    "car": lambda r: vehicles.car(r),
    "taxi": lambda r: vehicles.car(r, taxi=True),
    "truck": lorries.truck,
    "bus": lorries.bus,
    "tractor": lorries.tractor,
    "semi-trailer": lorries.semi_trailer,
    "car trailer": lorries.car_trailer,
    "loader": lorries.loader,
    "cyclist": lambda r: cycles.bicycle(r, rider=True),
    "motorcyclist": lambda r: cycles.motorcycle(r, rider=True),
    "pedestrian": lambda r: people.pedestrian(r),
    "worker": lambda r: people.pedestrian(r, walking=False, worker=True),
    "cone": lambda r: furniture.cone(),
    "barrier": furniture.barrier,
    "house": lambda r: buildings.block(r, 18.0, 12.0, 4, shop=True),
    "cottage": lambda r: buildings.cottage(r, 10.0, 8.0, 2),
    "tree": lambda r: Model("static.vegetation", (plants.tree(r),)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_models_are_sound_and_varied(name: str) -> None:
    model = MAKERS[name](generator(1, name))
    for pose in model.poses:
        assert np.isfinite(pose.corners).all()
        np.testing.assert_allclose(np.linalg.norm(pose.normals, axis=-1), 1.0, atol=1e-3)
        assert pose.colour.min() >= 0
        assert pose.colour.max() <= 1.0
        assert pose.material.max() < len(Material)
    again = MAKERS[name](generator(1, name))
    np.testing.assert_array_equal(model.mesh.corners, again.mesh.corners)
    if name not in ("cone",):
        other = MAKERS[name](generator(2, name))
        assert other.mesh.corners.tobytes() != model.mesh.corners.tobytes()


def test_walkers_move_their_legs_and_keep_their_feet_down() -> None:
    model = people.pedestrian(generator(0, "walker"))
    assert len(model.poses) == people.GAIT
    lowest = [float(pose.corners[..., 2].min()) for pose in model.poses]
    np.testing.assert_allclose(lowest, 0.0, atol=1e-6)
    stride = [float(np.ptp(pose.corners[pose.corners[..., 2] < 0.15][:, 0])) for pose in model.poses]
    assert max(stride) > 2 * min(stride)


def test_every_material_answers_the_lidar() -> None:
    values = reflectivity()
    assert len(values) == len(Material)
    assert (values > 0).all()
    assert values[Material.SIGN] == values.max()


def test_seeds_and_tokens_depend_on_all_their_parts() -> None:
    drawn = {float(generator(*key).random()) for key in ((0, 1), (0, 2), (1, 1), (0, 1, "a"), (0, "1"))}  # type: ignore[misc]
    assert len(drawn) == 5
    assert generator(4, "x", 2).random() == generator(4, "x", 2).random()
    assert len(token(0, "sample", 1)) == 32
    assert token(0, 11, 1) != token(0, 1, 11)
