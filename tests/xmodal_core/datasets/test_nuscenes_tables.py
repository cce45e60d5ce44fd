from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmodal_core.cache import cache_folder
from xmodal_core.datasets import _json_rows, _nuscenes_example, _nuscenes_parse, _nuscenes_tables
from xmodal_core.datasets._json_rows import rows
from xmodal_core.datasets._nuscenes_parse import build_tables, velocities
from xmodal_core.datasets._nuscenes_tables import Tables, read_tables
from xmodal_core.errors import DataError

Root = Callable[[str], Path]
VERSION = _nuscenes_example.VERSION
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=4)
)


@pytest.fixture
def folder(example_copy: Root) -> Path:
    return example_copy("nuscenes") / VERSION


def same(first: Tables, second: Tables) -> bool:
    return all(
        np.array_equal(getattr(first, field.name), getattr(second, field.name), equal_nan=field.name == "box_velocity")
        for field in fields(Tables)
    )


class TestRows:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        table=st.lists(st.fixed_dictionaries({"a": VALUES, "b": VALUES}), max_size=8),
        indent=st.sampled_from([None, 0, 2]),
        chunk=st.integers(1, 60),
    )
    def test_equal_what_json_loads_whatever_the_chunks(
        self, table: list[dict[str, Any]], indent: int | None, chunk: int, tmp_path: Path
    ) -> None:
        file = tmp_path / "table.json"
        file.write_text(json.dumps(table, indent=indent))
        longest = max((len(json.dumps([row], indent=indent)) for row in table), default=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_json_rows, "CHUNK", max(chunk, longest))  # a chunk is also the longest row believed
            found = list(rows(file, "a", "b"))
        assert repr(found) == repr([(row["a"], row["b"]) for row in json.loads(file.read_text())])

    def test_a_row_across_chunks_is_read_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        table = [{"a": number, "b": "x" * (number % 37)} for number in range(500)]
        file = tmp_path / "table.json"
        file.write_text(json.dumps(table, indent=1))
        for chunk in (64, 65, 101, 997):
            monkeypatch.setattr(_json_rows, "CHUNK", chunk)
            assert list(rows(file, "a", "b")) == [(row["a"], row["b"]) for row in table]

    @pytest.mark.parametrize("chunk", [60, 97, 1000])
    def test_rows_whose_values_look_like_the_ends_of_rows_are_read_whole(
        self, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = [{"a": "},\n{" * (number % 3), "b": [{"c": 1}, {"c": number}]} for number in range(40)]
        file = tmp_path / "table.json"
        file.write_text(json.dumps(table))
        monkeypatch.setattr(_json_rows, "CHUNK", chunk)
        assert list(rows(file, "a", "b")) == [(row["a"], row["b"]) for row in table]

    def test_a_row_nested_without_end_is_an_error(self, tmp_path: Path) -> None:
        file = tmp_path / "table.json"
        file.write_text('[{"a": ' + "[" * 100_000)
        with pytest.raises(DataError, match=r"table\.json is damaged"):
            list(rows(file, "a"))

    @given(cut=st.floats(0, 0.999))
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_table_cut_short_anywhere_is_an_error(self, cut: float, tmp_path: Path) -> None:
        text = json.dumps([{"a": number} for number in range(20)], indent=1)
        file = tmp_path / "table.json"
        file.write_text(text[: int(cut * len(text))])
        with pytest.raises(DataError, match=r"table\.json is damaged"):
            list(rows(file, "a"))

    @pytest.mark.parametrize(
        "text", ["", "  \n", "{}", '{"a": 1}', "[3]", "[[1]]", '[{"b": 1}]', '[{"a": 1} {"a": 2}]', "[nonsense]", "[,]"]
    )
    def test_what_is_no_list_of_such_rows_is_an_error(self, text: str, tmp_path: Path) -> None:
        file = tmp_path / "table.json"
        file.write_text(text)
        with pytest.raises(DataError, match=r"table\.json"):
            list(rows(file, "a"))

    def test_an_empty_list_has_no_rows(self, tmp_path: Path) -> None:
        file = tmp_path / "table.json"
        file.write_text(" [\n ]\n")
        assert list(rows(file, "a")) == []

    def test_bytes_that_are_no_text_are_an_error(self, tmp_path: Path) -> None:
        file = tmp_path / "table.json"
        file.write_bytes(b'[{"a": "\xff\xfe"}]')
        with pytest.raises(DataError, match=r"table\.json is damaged"):
            list(rows(file, "a"))

    def test_a_malformed_row_does_not_pull_in_the_whole_table(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "table.json"
        file.write_text("[{oops " + " " * 100_000 + "]")
        monkeypatch.setattr(_json_rows, "CHUNK", 100)
        read = 0
        with file.open() as stream:
            parse = _json_rows._parse(stream)
            with pytest.raises(ValueError, match="malformed"):
                next(parse)
            read = stream.tell()
        assert read < 20_000


class TestBuild:
    @pytest.mark.parametrize(
        ("table", "field", "what"),
        [
            ("sample", "scene_token", "scene"),
            ("calibrated_sensor", "sensor_token", "sensor"),
            ("sample_data", "sample_token", "sample"),
            ("instance", "category_token", "category"),
            ("sample_annotation", "instance_token", "instance"),
            ("sample_annotation", "sample_token", "sample"),
        ],
    )
    def test_a_reference_to_nothing_names_table_and_kind(self, folder: Path, table: str, field: str, what: str) -> None:
        file = folder / f"{table}.json"
        found = json.loads(file.read_text())
        found[0][field] = "nobody"
        file.write_text(json.dumps(found))
        with pytest.raises(DataError, match=rf"{table}\.json refers to a {what} that does not exist: 'nobody'"):
            build_tables(folder)

    @pytest.mark.parametrize(
        "table",
        [
            "scene",
            "sample",
            "calibrated_sensor",
            "sample_data",
            "ego_pose",
            "category",
            "instance",
            "sample_annotation",
        ],
    )
    def test_a_row_that_is_there_twice_is_an_error(self, folder: Path, table: str) -> None:
        file = folder / f"{table}.json"
        found = json.loads(file.read_text())
        rows_read = [row for row in found if "RADAR" not in json.dumps(row)]
        if table in ("ego_pose", "calibrated_sensor"):
            files = json.loads((folder / "sample_data.json").read_text())
            used = {row[f"{table}_token"] for row in files if "RADAR" not in row["filename"]}
            rows_read = [row for row in found if row["token"] in used]
        for row in rows_read[:: max(1, len(rows_read) // 6)]:
            file.write_text(json.dumps([*found, row]))
            with pytest.raises(DataError, match=rf"{table}\.json has (the same row twice|two \w+ keyframes)"):
                build_tables(folder)

    def test_an_ego_pose_that_is_not_there_is_named(self, folder: Path) -> None:
        file = folder / "ego_pose.json"
        found = json.loads(file.read_text())
        lost = found.pop(0)
        file.write_text(json.dumps(found))
        with pytest.raises(DataError, match=rf"ego_pose\.json has no pose {lost['token']}"):
            build_tables(folder)

    def test_a_keyframe_without_lidar_is_named(self, folder: Path) -> None:
        file = folder / "sample_data.json"
        found = [row for row in json.loads(file.read_text()) if "samples/LIDAR_TOP" not in row["filename"]]
        file.write_text(json.dumps(found))
        with pytest.raises(DataError, match=r"sample_data\.json has no LIDAR_TOP keyframe of sample"):
            build_tables(folder)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_value_of_another_kind_gives_tables_or_a_named_error(self, folder: Path, data: st.DataObject) -> None:
        file = data.draw(st.sampled_from(sorted(folder.glob("*.json"))))
        whole = file.read_text()
        found = json.loads(whole)
        if not found:
            return
        row = data.draw(st.sampled_from(found))
        row[data.draw(st.sampled_from(sorted(row)))] = data.draw(VALUES)
        try:
            file.write_text(json.dumps(found))
            build_tables(folder)
        except DataError as error:
            caught = error.message
        else:
            caught = str(folder)
        finally:
            file.write_text(whole)
        assert str(folder) in caught

    def test_only_what_frames_need_is_kept(self, folder: Path) -> None:
        tables = build_tables(folder)
        table = json.loads((folder / "sample_data.json").read_text())
        assert len(tables.lidar_file) == sum("LIDAR_TOP" in row["filename"] for row in table)
        assert len(tables.camera_file) == 12
        assert not any(b"RADAR" in name for name in tables.camera_file)


def naive_velocity(
    row: int, centre: np.ndarray, seconds: np.ndarray, before: list[int], after: list[int]
) -> np.ndarray:
    """devkit's box_velocity, one annotation at a time."""
    if before[row] < 0 and after[row] < 0:
        return np.full(3, np.nan)
    first = before[row] if before[row] >= 0 else row
    last = after[row] if after[row] >= 0 else row
    limit = 1.5 * (2 if before[row] >= 0 and after[row] >= 0 else 1)
    span = seconds[last] - seconds[first]
    return np.full(3, np.nan) if span > limit else (centre[last] - centre[first]) / span


@settings(deadline=None)
@given(
    gaps=st.lists(st.floats(0.1, 2.5), min_size=1, max_size=12),
    ends=st.sets(st.integers(0, 12)),
    seed=st.integers(0, 2**16),
)
def test_velocities_equal_the_naive_rule(gaps: list[float], ends: set[int], seed: int) -> None:
    count = len(gaps)
    centre = np.random.default_rng(seed).normal(size=(count, 3)) * 10
    seconds = np.cumsum(gaps)
    after = [row + 1 if row + 1 < count and row not in ends else -1 for row in range(count)]
    before = [row - 1 if row and row - 1 not in ends else -1 for row in range(count)]
    found = velocities(centre, seconds, np.array(before), np.array(after))
    for row in range(count):
        np.testing.assert_allclose(found[row], naive_velocity(row, centre, seconds, before, after))


class TestCache:
    @pytest.fixture(autouse=True)
    def _small_tables_are_kept_too(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(_nuscenes_tables, "CACHE_ABOVE", 0)

    @pytest.fixture
    def built(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """The folders that were parsed."""
        folders: list[Path] = []

        def count(folder: Path) -> Tables:
            folders.append(folder)
            return build_tables(folder)

        monkeypatch.setattr(_nuscenes_parse, "build_tables", count)
        return folders

    def test_a_second_reading_parses_nothing_and_is_equal(self, folder: Path, built: list[Path]) -> None:
        first, second = read_tables(folder), read_tables(folder)
        assert built == [folder]
        assert same(first, second)
        kept = list(cache_folder("nuscenes").iterdir())
        assert [path.suffix for path in kept] == [".npz"]

    def test_a_changed_table_is_read_again(self, folder: Path, built: list[Path]) -> None:
        read_tables(folder)
        file = folder / "scene.json"
        file.write_text(file.read_text().replace("scene-0061", "scene-0062"))
        assert read_tables(folder).scene_name[0] == b"scene-0062"
        status = file.stat()
        file.write_text(file.read_text().replace("scene-0062", "scene-0063"))  # as long as before
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        assert read_tables(folder).scene_name[0] == b"scene-0063"
        assert len(built) == 3

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"nonsense"])
    def test_a_damaged_leftover_is_made_again(self, folder: Path, built: list[Path], content: bytes) -> None:
        first = read_tables(folder)
        kept = next(cache_folder("nuscenes").iterdir())
        kept.write_bytes(content)
        assert same(first, read_tables(folder))
        assert same(first, read_tables(folder))
        assert len(built) == 2

    def test_a_leftover_cut_in_half_is_made_again(self, folder: Path, built: list[Path]) -> None:
        first = read_tables(folder)
        kept = next(cache_folder("nuscenes").iterdir())
        kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
        assert same(first, read_tables(folder))

    def test_without_a_place_to_keep_them_the_tables_are_just_read(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "file"))
        assert same(read_tables(folder), build_tables(folder))

    def test_small_tables_are_not_kept(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_nuscenes_tables, "CACHE_ABOVE", 32 << 20)
        read_tables(folder)
        assert not cache_folder("nuscenes").exists()
