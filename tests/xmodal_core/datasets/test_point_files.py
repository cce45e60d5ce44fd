"""Points of .bin, .npy, .pcd and .ply files: the same cloud in every form, and every fault named by its path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmodal_core.datasets._lzf import decompress
from xmodal_core.datasets._point_files import read_columns, suffix_of
from xmodal_core.errors import DataError

COLUMNS = ("x", "y", "z", "intensity")
FIELDS = {"intensity": "reflectivity"}
ROWS = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) * 30
KINDS = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("reflectivity", "<u2"), ("ring", "u1"), ("t", "<f8")])


def records() -> np.ndarray:
    made = np.zeros(len(ROWS), dtype=KINDS)
    for place, axis in enumerate("xyz"):
        made[axis] = ROWS[:, place]
    made["reflectivity"] = np.arange(len(ROWS)) * 1000
    return made


def expected() -> np.ndarray:
    return np.column_stack([ROWS[:, :3], np.arange(len(ROWS)) * 1000]).astype(np.float32)


def literal_lzf(plain: bytes) -> bytes:
    """Compressed by not compressing: runs of 32 literals."""
    parts = [plain[at : at + 32] for at in range(0, len(plain), 32)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def pcd(form: str) -> bytes:
    made = records()
    header = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z reflectivity ring t\nSIZE 4 4 4 2 1 8\nTYPE F F F U U F\n"
        f"COUNT 1 1 1 1 1 1\nWIDTH 25\nHEIGHT 2\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 50\nDATA {form}\n"
    ).encode()
    if form == "ascii":
        return header + "\n".join(" ".join(repr(value.item()) for value in row) for row in made).encode()
    if form == "binary":
        return header + made.tobytes()
    columns = b"".join(made[name].tobytes() for name in KINDS.names or ())
    packed = literal_lzf(columns)
    return header + np.array([len(packed), len(columns)], dtype="<u4").tobytes() + packed


def ply(form: str) -> bytes:
    words = {"<f4": "float", "<u2": "ushort", "|u1": "uchar", "<f8": "double"}
    made = records()
    lines = [f"property {words[KINDS[name].str]} {name}" for name in KINDS.names or ()]
    header = "\n".join(["ply", f"format {form} 1.0", "comment made", "element vertex 50", *lines, "end_header\n"])
    body = (
        made.tobytes()
        if form.startswith("binary")
        else "\n".join(" ".join(repr(value.item()) for value in row) for row in made).encode()
    )
    return header.encode() + body


FILES = {
    "ascii.pcd": pcd("ascii"),
    "binary.pcd": pcd("binary"),
    "compressed.pcd": pcd("binary_compressed"),
    "ascii.ply": ply("ascii"),
    "binary.ply": ply("binary_little_endian"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_with_names_give_the_columns_that_are_asked_for(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(FILES[name])
    found = read_columns(file, COLUMNS, FIELDS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected())
    np.testing.assert_array_equal(read_columns(file, ("z", "x", "y"), {}), ROWS[:, [2, 0, 1]])
    with pytest.raises(DataError, match=rf"{name} has no field 'intensity'; it has x, y, z, reflectivity, ring, t"):
        read_columns(file, COLUMNS, {})


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_ends_early_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    for kept in (0, 40, len(FILES[name]) // 2, len(FILES[name]) - 9):
        file.write_bytes(FILES[name][:kept])
        with pytest.raises(DataError, match=name) as caught:
            read_columns(file, COLUMNS, FIELDS)
        assert caught.value.hint


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", FILES)
def test_damage_gives_points_or_a_named_error(name: str, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(FILES[name])
    head = data.draw(st.booleans())
    for place in data.draw(st.lists(st.integers(0, 300 if head else len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    file = tmp_path / name
    file.write_bytes(content)
    error: DataError | None = None
    try:
        read_columns(file, COLUMNS, FIELDS)
    except DataError as caught:
        error = caught
    assert error is None or (name in error.message and error.hint)


def test_files_without_names_are_read_in_order(tmp_path: Path) -> None:
    plain, array = tmp_path / "a.bin", tmp_path / "a.npy"
    plain.write_bytes(ROWS.astype("<f4").tobytes())
    np.save(array, ROWS.astype(np.float64))
    for file in (plain, array):
        np.testing.assert_array_equal(read_columns(file, COLUMNS, {}), ROWS)
        np.testing.assert_array_equal(read_columns(file, ("z", "_", "y", "x"), {}), ROWS[:, [0, 2, 3]])
    with pytest.raises(DataError, match=r"a\.npy holds 50 x 4 float64, not points of 3 columns.*'columns'"):
        read_columns(array, ("x", "y", "z"), {})
    np.save(array, records())
    np.testing.assert_array_equal(read_columns(array, COLUMNS, FIELDS), expected())


def test_what_open3d_compresses_is_read(tmp_path: Path) -> None:
    o3d = pytest.importorskip("open3d")
    points = np.repeat(ROWS[:, :3], 40, axis=0)  # repeats, so that references are made
    cloud = o3d.t.geometry.PointCloud(points)
    cloud.point["intensity"] = np.tile(np.arange(40, dtype=np.float32), len(ROWS))[:, None]
    for name, options in (("a.pcd", {"compressed": True}), ("b.pcd", {}), ("c.ply", {}), ("d.pcd", {"write_ascii": 1})):
        file = tmp_path / name
        assert o3d.t.io.write_point_cloud(str(file), cloud, **options)
        found = read_columns(file, COLUMNS, {})
        np.testing.assert_allclose(found[:, :3], points, rtol=1e-5)
        np.testing.assert_array_equal(found[:, 3], cloud.point["intensity"].numpy()[:, 0])
    assert (tmp_path / "a.pcd").stat().st_size < (tmp_path / "b.pcd").stat().st_size


def test_references_may_repeat_what_they_write() -> None:
    assert decompress(bytes([1, 65, 66, (7 << 5) | 0, 3, 1]), 14) == b"AB" * 7
    for damaged in (bytes([32, 0]), bytes([0]), bytes([1, 65]), bytes([224])):
        with pytest.raises(ValueError, match="damaged"):
            decompress(damaged, 3)


def test_endings() -> None:
    assert [suffix_of(name) for name in ("a.PCD.bin", "a.bin", "a.b.ply", "a.txt")] == [".pcd.bin", ".bin", ".ply", ""]
