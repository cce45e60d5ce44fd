"""What every data set promises, checked on its own small example."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmodal_core import plugins
from xmodal_core.config import Settings
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.datasets._example import MARKER
from xmodal_core.datasets._files import picture_source
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry import points_in_box
from xmodal_core.types import Frame

NAMES = plugins.names(plugins.DATASET)
MARKED = [name for name in NAMES if name != "sample"]  # the generated drive is no analytic example
WITHOUT_BOXES = ("semantic_kitti",)
TABLES = ("waymo",)  # sweeps and pictures are values in tables: its own tests write the odd ones
Root = Callable[[str], Path]


def files(root: Path, kind: type[Dataset], what: str) -> list[Path]:
    """The files of the first layout line that speaks of ``what``."""
    pattern = next(line.split()[0] for line in kind.layout if what in line)
    return sorted(root.glob(pattern))


def read_everything(dataset: Dataset) -> None:
    assert dataset.splits()
    assert all(isinstance(note, str) for note in dataset.notes())
    for frame in dataset:
        for camera in frame.cameras:
            camera.image()


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dataset(name: str, example_root: Root) -> Dataset:
    return open_dataset(name, example_root(name))


class TestEveryDataset:
    def test_it_gives_the_frames_of_its_example(self, dataset: Dataset) -> None:
        assert len(dataset) == 2
        assert len(list(dataset)) == 2

    def test_it_says_what_its_labels_are_called(self, dataset: Dataset) -> None:
        first, classes = dataset.frame(0), dataset.label_classes()
        assert ("boxes" in classes) == (first.boxes is not None)
        assert ("semantic" in classes) == (first.semantic is not None)
        for kind, labels in (("boxes", first.boxes), ("semantic", first.semantic)):
            assert labels is None or classes[kind] == list(labels.classes)

    def test_points_are_finite_and_the_channels_are_those_it_states(self, dataset: Dataset) -> None:
        for frame in dataset:
            assert len(frame) > 1000
            assert frame.points.dtype == np.float32
            assert np.isfinite(frame.points).all()
            assert tuple(frame.channels) == type(dataset).channels
            for values in frame.channels.values():
                assert values.shape == (len(frame),)
                assert values.dtype == np.float32
                assert np.isfinite(values).all()
            intensity = frame.channels["intensity"]
            assert intensity.min() >= 0
            assert intensity.max() <= dataset.sensor.intensity_max

    def test_names_are_unique_stable_and_known_without_reading(
        self, dataset: Dataset, name: str, example_root: Root
    ) -> None:
        names = [dataset.name(index) for index in range(len(dataset))]
        again = open_dataset(name, example_root(name))
        assert len(set(names)) == len(names)
        assert names == [again.name(index) for index in range(len(again))]
        assert names == [frame.name for frame in dataset]
        assert [dataset.scene(index) for index in range(len(dataset))] == [frame.scene for frame in dataset]

    def test_frames_of_a_scene_follow_each_other_in_time(self, dataset: Dataset) -> None:
        first, second = dataset.frame(0), dataset.frame(1)
        if first.scene == second.scene:
            assert second.timestamp > first.timestamp

    def test_reading_a_frame_twice_gives_the_same(self, dataset: Dataset) -> None:
        first, second = dataset.frame(1), dataset.frame(1)
        np.testing.assert_array_equal(first.points, second.points)
        np.testing.assert_array_equal(first.cameras[0].image(), second.cameras[0].image())

    def test_it_and_its_frames_travel_to_other_processes(self, dataset: Dataset) -> None:
        """As those of a loader with workers."""
        there = pickle.loads(pickle.dumps(dataset))
        frame = pickle.loads(pickle.dumps(there.frame(1)))
        np.testing.assert_array_equal(frame.points, dataset.frame(1).points)
        np.testing.assert_array_equal(frame.cameras[0].image(), dataset.frame(1).cameras[0].image())

    def test_it_is_known_which_file_a_picture_is_in(self, dataset: Dataset) -> None:
        """So that what a teacher has seen of it can be kept for as long as the file stays as it is."""
        for camera in dataset.frame(0).cameras:
            file = picture_source(camera)
            assert file is not None
            assert file.is_file()

    def test_pictures_have_the_stated_size(self, dataset: Dataset) -> None:
        for camera in dataset.frame(0).cameras:
            pixels = camera.image()
            assert pixels.shape == (camera.height, camera.width, 3)
            assert pixels.dtype == np.uint8

    def test_the_sensor_faces_forward_where_it_says(self, dataset: Dataset) -> None:
        """The forward direction projects into the middle third of the first camera, which looks forward."""
        assert np.hypot(*dataset.sensor.forward) == pytest.approx(1.0)
        camera = dataset.frame(0).cameras[0]
        ahead = np.array([[*dataset.sensor.forward, 0.0]], dtype=np.float32) * 40
        seen = camera.project(ahead)
        assert seen.inside[0]
        assert camera.width / 3 < seen.uv[0, 0] < camera.width * 2 / 3

    def test_transforms_are_rigid(self, dataset: Dataset) -> None:
        frame = dataset.frame(1)
        transforms = [camera.lidar_to_camera for camera in frame.cameras]
        if frame.pose is not None:
            transforms.append(frame.pose)
        for transform in transforms:
            np.testing.assert_allclose(transform[:3, :3] @ transform[:3, :3].T, np.eye(3), atol=1e-6)
            assert np.linalg.det(transform[:3, :3]) > 0
            np.testing.assert_array_equal(transform[3], [0, 0, 0, 1])

    def test_labels_are_of_boxes_or_of_points(self, name: str, dataset: Dataset) -> None:
        for frame in dataset:
            assert (frame.boxes is None) == (name in WITHOUT_BOXES)
            assert frame.boxes is not None or frame.semantic is not None

    def test_boxes_hug_their_points(self, name: str, dataset: Dataset) -> None:
        """Of what lies in a box grown by 40 cm on all sides but the ground's, nearly all lies in the box itself."""
        if name in WITHOUT_BOXES:
            pytest.skip("labels points only")
        inside, around = 0, 0
        for frame in dataset:
            assert frame.boxes is not None
            assert len(frame.boxes)
            assert frame.boxes.label.max() < len(frame.boxes.classes)
            for number in range(len(frame.boxes)):
                above = frame.points[:, 2] > frame.boxes.centre[number, 2] - frame.boxes.size[number, 2] / 2 + 0.15
                inside += int((points_in_box(frame.points, frame.boxes, number, margin=0.05) & above).sum())
                around += int((points_in_box(frame.points, frame.boxes, number, margin=0.4) & above).sum())
        assert inside > 20
        assert inside / around > 0.9

    def test_boxes_alone_are_those_of_the_frame(self, dataset: Dataset) -> None:
        for index, frame in enumerate(dataset):
            alone = dataset.boxes(index)
            assert (alone is None) == (frame.boxes is None)
            if alone is not None and frame.boxes is not None:
                for field in fields(alone):
                    np.testing.assert_array_equal(getattr(alone, field.name), getattr(frame.boxes, field.name))
        with pytest.raises(InputError, match="frame 2 is out of range"):
            dataset.boxes(2)

    def test_tracks_are_unique_in_a_frame(self, dataset: Dataset) -> None:
        for frame in dataset:
            if frame.boxes is None:
                continue  # which data sets these are is tested above
            known = frame.boxes.track[frame.boxes.track >= 0]
            assert len(set(known.tolist())) == len(known)

    def test_what_it_does_without_is_told_in_lines(self, dataset: Dataset) -> None:
        for note in dataset.notes():
            assert note.strip()
            assert "\n" not in note

    def test_labels_of_points_are_classes(self, dataset: Dataset) -> None:
        semantic = dataset.frame(0).semantic
        if semantic is not None:
            assert semantic.classes[0] == "ignore"
            assert 0 <= semantic.label.min() <= semantic.label.max() < len(semantic.classes)

    @pytest.mark.parametrize("index", [-1, 2, 10_000])
    def test_a_frame_out_of_range_is_refused_with_the_range(self, dataset: Dataset, index: int) -> None:
        with pytest.raises(InputError, match=f"frame {index} is out of range.*2 frames.*choose 0 to 1"):
            dataset.frame(index)

    def test_its_options_have_a_split_and_an_unknown_one_is_refused(self, name: str, example_root: Root) -> None:
        kind = plugins.load(plugins.DATASET, name)
        assert issubclass(kind.Config, Settings)
        assert "split" in kind.Config.model_fields
        with pytest.raises(InputError, match=r"unknown split 'of-hairs'.*known: "):
            open_dataset(name, example_root(name), {"split": "of-hairs"})

    def test_its_label_options_leave_boxes_as_they_are_and_only_take_points_away(
        self, name: str, dataset: Dataset, example_root: Root
    ) -> None:
        narrowed = open_dataset(name, example_root(name), dataset.label_options)
        for frame, whole in zip(narrowed, dataset, strict=True):
            assert {*map(tuple, frame.points.tolist())} <= {*map(tuple, whole.points.tolist())}
            assert (frame.boxes is None) == (whole.boxes is None)
            if frame.boxes is not None and whole.boxes is not None:
                np.testing.assert_array_equal(frame.boxes.centre, whole.boxes.centre)
            assert (len(frame) < len(whole)) == bool(dataset.label_options)

    def test_an_unknown_option_is_refused_with_the_known_ones(self, name: str, example_root: Root) -> None:
        with pytest.raises(InputError, match=r"no setting 'dataset\.colour'.*dataset\.split"):
            open_dataset(name, example_root(name), {"colour": 1})

    def test_an_unknown_camera_is_refused(self, name: str, example_root: Root) -> None:
        with pytest.raises(InputError, match=r"unknown camera 'CAM_MOON'.*known: "):
            open_dataset(name, example_root(name), {"cameras": ["CAM_MOON"]})

    def test_a_root_may_be_text(self, name: str, dataset: Dataset, example_root: Root) -> None:
        assert open_dataset(name, str(example_root(name))).name(0) == dataset.name(0)

    def test_a_root_that_is_not_there_is_named_with_the_layout(self, name: str, tmp_path: Path) -> None:
        for root in (tmp_path / "nowhere", tmp_path):  # absent, and empty
            with pytest.raises(DataError) as caught:
                open_dataset(name, root)
            assert str(root) in caught.value.message
            if name != "sample" or root != tmp_path:  # an empty folder lacks the sample's very version
                assert plugins.load(plugins.DATASET, name).layout[0].split()[0] in caught.value.hint

    def test_the_layout_is_true(self, name: str, dataset: Dataset) -> None:
        for line in type(dataset).layout:
            assert list(dataset.root.glob(line.split()[0])) or "optional" in line, line

    def test_a_damaged_sweep_is_named(self, name: str, example_copy: Root) -> None:
        root = example_copy(name)
        sweep = files(root, plugins.load(plugins.DATASET, name), "sweeps")[0]
        whole = sweep.read_bytes()
        for content in (whole[:-3], whole[:-4], b""):
            sweep.write_bytes(content)
            with pytest.raises(DataError, match=sweep.name):
                read_everything(open_dataset(name, root))

    @pytest.mark.parametrize("damage", ["missing", "empty", "cut", "wrong size"])
    def test_a_damaged_picture_is_named(self, name: str, example_copy: Root, damage: str) -> None:
        from PIL import Image

        if name in TABLES and damage == "wrong size":
            pytest.skip("a picture is no file")
        root = example_copy(name)
        picture = files(root, plugins.load(plugins.DATASET, name), "pictures")[0]
        if damage == "missing":
            picture.unlink()
        elif damage == "empty":
            picture.write_bytes(b"")
        elif damage == "cut":
            picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
        else:
            dataset = open_dataset(name, root)
            frames = list(dataset)
            Image.new("RGB", (40, 30)).save(picture)
            with pytest.raises(DataError, match=rf"{picture.name}.*40x30"):
                [camera.image() for frame in frames for camera in frame.cameras]
            return
        with pytest.raises(DataError, match=picture.name):
            read_everything(open_dataset(name, root))

    def test_points_that_are_no_places_are_dropped_with_all_that_is_theirs(
        self, name: str, example_copy: Root, example_root: Root
    ) -> None:
        if name in TABLES:
            pytest.skip("a sweep is no file of rows")
        root = example_copy(name)
        kind = plugins.load(plugins.DATASET, name)
        columns = 3 + len({*kind.channels} - {"time_lag", "no_label_zone"})  # which no row has
        whole = open_dataset(name, example_root(name)).frame(0)
        for sweep in files(root, kind, "sweeps"):
            values = np.frombuffer(sweep.read_bytes(), dtype="<f4").reshape(-1, columns).copy()
            values[5, 0], values[7, 2], values[9, 3], values[11, 1] = np.nan, np.inf, -np.inf, 3e38
            sweep.write_bytes(values.tobytes())
        frame = open_dataset(name, root).frame(0)
        np.testing.assert_array_equal(frame.points, np.delete(whole.points, [5, 7, 9, 11], axis=0))
        assert frame.stored is not None
        assert np.flatnonzero(~frame.stored).tolist() == [5, 7, 9, 11]
        assert (frame.left_out, whole.left_out, whole.stored) == (4, 0, None)
        for channel, values in frame.channels.items():
            np.testing.assert_array_equal(values, np.delete(whole.channels[channel], [5, 7, 9, 11]))
        if frame.semantic is not None and whole.semantic is not None:
            np.testing.assert_array_equal(frame.semantic.label, np.delete(whole.semantic.label, [5, 7, 9, 11]))


class TestEveryAnalyticExample:
    """The examples show the same little world to the LiDAR and to the cameras."""

    @pytest.fixture(params=MARKED)
    def frame(self, request: pytest.FixtureRequest, example_root: Root) -> Frame:
        return open_dataset(request.param, example_root(request.param)).frame(1)

    def test_the_marker_lies_on_its_pixel(self, frame: Frame) -> None:
        intensity = frame.channels["intensity"]
        marker = np.flatnonzero(intensity == frame.sensor.intensity_max)
        assert len(marker) == 1
        camera = frame.cameras[0]
        seen = camera.project(frame.points[marker])
        assert seen.inside[0]
        far = np.abs(camera.image().astype(int) - MARKER).sum(axis=2)
        v, u = np.nonzero(far < 150)
        assert 4 <= len(u) <= 16
        np.testing.assert_allclose(seen.uv[0], (u.mean(), v.mean()), atol=0.75)

    def test_points_lie_on_pixels_of_what_they_hit(self, frame: Frame) -> None:
        """The examples write into the intensity what a ray hit; a picture shows each thing in its own colour."""
        from xmodal_core.datasets._example import colour_of

        right, seen = 0, 0
        for camera in frame.cameras:
            pixels = camera.image().astype(int)
            uv, _, inside = camera.project(frame.points)
            level = frame.channels["intensity"] / frame.sensor.intensity_max
            hit = np.round((level * 255 - 20) / 30 if "ring" in frame.channels else (level - 0.1) / 0.1).astype(int) - 3
            use = inside & (level < 1) & (hit >= 0)  # things only: ground and wall are everywhere
            column, row = np.round(uv[use]).astype(int).T
            off = np.abs(pixels[row, column] - colour_of(hit[use].astype(np.int64))).sum(axis=1)
            right, seen = right + int((off < 60).sum()), seen + int(use.sum())
        assert seen > 50
        assert right / seen > 0.85  # the LiDAR sees over some things that stand before others in the picture


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", MARKED)
def test_a_file_damaged_anywhere_gives_a_frame_or_a_named_error(
    name: str, example_root: Root, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Flip bytes of any small file, or cut it: never another error than one that names a path."""
    root = example_root(name)
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(paths))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(whole))) :]
    path.write_bytes(damaged)
    error: InputError | None = None
    try:
        read_everything(open_dataset(name, root, {"n_sweeps": 2} if name == "nuscenes" else {}))
    except InputError as caught:
        error = caught
    finally:
        path.write_bytes(whole)
    if error is not None:
        assert str(root) in error.message
        assert error.hint
