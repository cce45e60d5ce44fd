"""The database of objects, and what is put into frames from it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.errors import DataError
from xmodal_core.geometry_boxes import iou_bev, points_in_boxes
from xmodal_core.tasks import _objects
from xmodal_core.tasks._objects import Cut, Labelled, ObjectsConfig, ObjectStore, open_store, put_in, rows_of
from xmodal_core.tasks.base import LabelledExample
from xmodal_core.types import Boxes

CLASSES = ("car", "person")
CHANNELS = ("intensity", "time_lag")


def frame(seed: int, count: int = 6, spread: float = 30.0) -> Cut:
    """Boxes that may overlap, some full of points and some almost empty, and points beside them; a row's first channel
    says which frame it is of, its second one which row."""
    rng = np.random.default_rng(seed)
    centre = np.column_stack([rng.uniform(-spread, spread, (count, 2)), rng.normal(0, 0.2, count)])
    boxes = Boxes(
        centre=centre.astype(np.float32),
        size=rng.uniform(1.0, 5.0, (count, 3)).astype(np.float32),
        yaw=rng.uniform(-3, 3, count).astype(np.float32),
        label=rng.integers(0, 2, count),
        classes=CLASSES,
        track=np.arange(count) + 100 * seed,
        velocity=rng.normal(size=(count, 2)).astype(np.float32),
    )
    near = [centre[k] + rng.uniform(-0.4, 0.4, (n, 3)) for k, n in enumerate(rng.integers(0, 40, count))]
    points = np.concatenate([*near, rng.uniform(-spread, spread, (300, 3)) * [1, 1, 0.05]])
    rows = np.column_stack([points, np.full(len(points), seed), np.arange(len(points))]).astype(np.float32)
    return Cut(Labelled(boxes, np.zeros((0, 7))), rows)


def example(cut: Cut) -> LabelledExample:
    return LabelledExample("f", cut.rows[:, :3].copy(), cut.rows[:, 3:].copy(), cut.labels)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    folder = tmp_path_factory.mktemp("objects")
    return open_store(folder, [frame(seed) for seed in range(1, 6)], CLASSES, CHANNELS, 5)


class TestDatabase:
    def test_holds_each_box_that_has_points_enough_with_its_points_and_channels(self, store: ObjectStore) -> None:
        wanted = []
        for seed in range(1, 6):
            labels, rows = frame(seed)
            for number in range(len(labels.boxes)):
                inside = points_in_boxes(rows[:, :3], rows_of(labels.boxes)[number : number + 1]).point
                if len(inside) >= 5:
                    wanted.append((int(labels.boxes.track[number]), labels.boxes.label[number], rows[inside]))
        assert 5 < len(wanted) < 30
        assert len(store) == len(wanted)
        for number, (track, label, rows) in enumerate(wanted):
            assert (store.boxes.track[number], store.boxes.label[number]) == (track, label)
            np.testing.assert_array_equal(store.points(number), rows)

    def test_is_made_once_and_again_for_other_classes(self, tmp_path: Path) -> None:
        asked: list[int] = []

        def frames() -> Iterator[Cut]:
            for seed in (1, 2):
                asked.append(seed)
                yield frame(seed)

        first = open_store(tmp_path, frames(), CLASSES, CHANNELS, 5)
        assert len(open_store(tmp_path, frames(), CLASSES, CHANNELS, 5)) == len(first)
        assert asked == [1, 2]
        assert len(open_store(tmp_path, frames(), CLASSES, CHANNELS, 20)) < len(first)
        assert asked == [1, 2, 1, 2]

    def test_a_stop_half_way_leaves_nothing_that_is_taken_for_whole(self, tmp_path: Path) -> None:
        def broken() -> Iterator[Cut]:
            yield frame(1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            open_store(tmp_path, broken(), CLASSES, CHANNELS, 5)
        assert not (tmp_path / _objects.INDEX).exists()
        assert len(open_store(tmp_path, [frame(1), frame(2)], CLASSES, CHANNELS, 5)) > 0

    def test_goes_to_another_process_as_its_place_alone(self, store: ObjectStore) -> None:
        assert len(store.of_class) == 2
        sent = pickle.dumps(store)
        assert len(sent) < 1000
        np.testing.assert_array_equal(pickle.loads(sent).points(0), store.points(0))

    def test_of_no_frames_is_empty_and_puts_nothing_in(self, tmp_path: Path) -> None:
        empty = open_store(tmp_path, [], CLASSES, CHANNELS, 5)
        before = example(frame(9))
        after = put_in(before, empty, ObjectsConfig(), np.random.default_rng(0))
        np.testing.assert_array_equal(after.points, before.points)

    def test_damage_is_named(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / _objects.INDEX).write_bytes((store.folder / _objects.INDEX).read_bytes())
        with pytest.raises(DataError, match=_objects.POINTS):
            ObjectStore(tmp_path, CLASSES, CHANNELS).points(0)
        (tmp_path / _objects.INDEX).write_bytes(b"no")
        with pytest.raises(DataError, match=_objects.INDEX):
            len(ObjectStore(tmp_path, CLASSES, CHANNELS))


class TestPuttingIn:
    @given(seed=st.integers(0, 200), clearance=st.sampled_from([0.0, 0.5]))
    def test_pasted_boxes_touch_nothing_and_hold_their_own_points_alone(
        self, store: ObjectStore, seed: int, clearance: float
    ) -> None:
        before = example(frame(7, count=8))
        before = LabelledExample("f", before.points, before.channels, before.labels._replace(
            others=np.array([[0.0, 0.0, 0.0, 8.0, 8.0, 2.0, 0.3]])))  # fmt: skip
        config = ObjectsConfig(counts={"car": 4}, others=3, clearance=clearance)
        after = put_in(before, store, config, np.random.default_rng(seed))
        there, new = len(before.labels.boxes), after.labels.boxes
        np.testing.assert_array_equal(new.centre[:there], before.labels.boxes.centre)
        assert 0 < len(new) - there <= 7
        rows = rows_of(new)
        between = iou_bev(rows[there:], np.concatenate([rows, before.labels.others]))
        between[np.arange(len(new) - there), there + np.arange(len(new) - there)] = 0
        assert between.max() == 0
        tracks = {int(track): number for number, track in enumerate(store.boxes.track)}
        assert len(set(new.track[there:].tolist())) == len(new) - there
        pasted = 0
        for number in range(there, len(new)):
            inside = points_in_boxes(after.points, rows[number : number + 1], clearance).point
            own = store.points(tracks[int(new.track[number])])
            found = np.column_stack([after.points, after.channels])[inside]
            np.testing.assert_array_equal(found, own)
            pasted += len(own)
        # What was taken away is just what lay where they stand.
        gone = len(np.unique(points_in_boxes(before.points, rows[there:], clearance).point))
        assert len(after.points) == len(before.points) - gone + pasted

    def test_is_the_same_for_the_same_draw(self, store: ObjectStore) -> None:
        drawn = [
            put_in(example(frame(7)), store, ObjectsConfig(others=3), np.random.default_rng([0, 1, seed]))
            for seed in (2, 2, 3)
        ]
        np.testing.assert_array_equal(drawn[0].points, drawn[1].points)
        assert drawn[0].labels.boxes.track.tolist() == drawn[1].labels.boxes.track.tolist()
        assert drawn[0].labels.boxes.track.tolist() != drawn[2].labels.boxes.track.tolist()

    def test_counts_are_by_class_and_may_top_up(self, store: ObjectStore) -> None:
        empty = frame(7, count=0)
        cars = put_in(example(empty), store, ObjectsConfig(counts={"car": 3}, others=0), np.random.default_rng(0))
        assert set(cars.labels.boxes.label.tolist()) == {0}
        full = frame(8, count=20, spread=200.0)
        topped = ObjectsConfig(others=3, top_up=True)
        assert len(put_in(example(full), store, topped, np.random.default_rng(0)).labels.boxes) == 20

    def test_an_object_does_not_stand_twice_in_its_own_frame(self, store: ObjectStore) -> None:
        after = put_in(example(frame(1)), store, ObjectsConfig(others=50), np.random.default_rng(0))
        tracks = after.labels.boxes.track.tolist()
        assert len(tracks) == len(set(tracks)) > 6
