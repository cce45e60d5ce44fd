"""From a frame's number to an example: the same wherever it is made; frames of no use are told apart from errors."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from xmodal_core.datasets import open_dataset
from xmodal_core.datasets.base import Dataset
from xmodal_core.train.batch import Example
from xmodal_core.train.config import AugmentConfig
from xmodal_core.train.examples import Examples, Failure, Loaded, Skip, gather
from xmodal_core.train.plan import Key
from xmodal_core.types import Frame
from xmodal_core.units.config import UnitsConfig


@pytest.fixture
def examples(drive) -> Examples:
    dataset = open_dataset("kitti_raw", drive)
    units = UnitsConfig.model_validate({"seeds": {"count": 64}})
    return Examples(
        dataset=dataset,
        indices=np.arange(len(dataset)),
        units=units,
        augment=AugmentConfig(),
        channels=("intensity",),
        image_width=200,
        reach=None,
        min_units=4,
        skip_damaged=False,
        seed=0,
    )


class Changed(Dataset):
    """Another data set's frames, each changed."""

    def __init__(self, dataset: Dataset, change) -> None:
        super().__init__(dataset.root, dataset.config)
        self.dataset, self.change = dataset, change

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        return self.dataset.name(index)

    def scene(self, index: int) -> str:
        return self.dataset.scene(index)

    def _read(self, index: int) -> Frame:
        return self.change(self.dataset.frame(index))


def _same(a: Example, b: Example) -> bool:
    arrays = [(a.points, b.points), (a.channels, b.channels), (a.pooling.column, b.pooling.column)]
    return a.name == b.name and all(np.array_equal(x, y) for x, y in arrays)


def test_an_example_depends_on_its_key_alone(examples):
    first = examples[Key(0, 1)]
    assert isinstance(first, Example)
    examples[Key(0, 0)]
    assert _same(first, examples[Key(0, 1)])
    again = examples[Key(1, 1)]
    assert not np.array_equal(first.points, again.points)
    assert not np.array_equal(first.pooling.column, again.pooling.column)
    other = replace(examples, seed=1)[Key(0, 1)]
    assert not np.array_equal(first.points, other.points)


def test_units_stay_on_their_points(examples):
    """Each unit's mean place, turned back, is where it was found: augmentation came after."""
    plain = replace(examples, augment=AugmentConfig(flip_x=0, flip_y=0, rotation=0, scale_min=1, scale_max=1))
    moved, still = examples[Key(0, 2)], plain[Key(0, 2)]
    assert np.array_equal(moved.pooling.column, still.pooling.column)
    assert np.array_equal(moved.pixels.u, still.pixels.u)
    assert np.array_equal(still.points, examples.dataset.frame(2).points)


def test_pictures_are_shrunk_to_the_teachers_width(examples):
    (picture,) = examples[Key(0, 0)].images
    assert picture.shape[1] == 200


def test_units_beyond_the_networks_range_are_left_out(examples):
    everywhere, near = examples[Key(0, 0)], replace(examples, reach=(-20, -20, -5, 20, 20, 5))[Key(0, 0)]
    assert 4 < near.pooling.shape[0] < everywhere.pooling.shape[0]
    nowhere = replace(examples, reach=(500, 0, 0, 501, 1, 1))[Key(0, 0)]
    assert nowhere == Skip(everywhere.name, "fewer than 4 units within the network's range")


def test_fewer_frames_keep_their_own_numbers(examples):
    some = replace(examples, indices=np.array([2, 4]))
    assert len(some) == 2
    assert _same(some[Key(0, 1)], examples[Key(0, 4)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda frame: replace(frame, cameras=()), "no camera"),
        (
            lambda frame: replace(frame, points=frame.points * np.float32([-1, 1, 1])),
            "fewer than 200 units",
        ),
        (
            lambda frame: replace(frame, points=frame.points[:0], channels={"intensity": frame.points[:0, 0]}),
            "no point",
        ),
    ],
)
def test_frames_of_no_use_are_skipped(change, reason, examples):
    useless = replace(examples, dataset=Changed(examples.dataset, change), min_units=200)
    found = useless[Key(0, 0)]
    assert isinstance(found, Skip)
    assert found.frame == examples.dataset.name(0)
    assert found.reason.startswith(reason)


def test_a_damaged_frame_ends_the_run_or_is_skipped(examples, drive, tmp_path):
    root = shutil.copytree(drive, tmp_path / "damaged")
    (picture,) = root.rglob("image_02/data/0000000004.png")
    picture.write_bytes(b"not a picture")
    damaged = replace(examples, dataset=open_dataset("kitti_raw", root))
    found = damaged[Key(0, 1)]
    assert isinstance(found, Failure)
    assert picture.name in found.message
    assert "--skip-bad" in found.hint
    skipped = replace(damaged, skip_damaged=True)[Key(0, 1)]
    assert isinstance(skipped, Skip)
    assert picture.name in skipped.reason
    assert isinstance(damaged[Key(0, 0)], Example)


def test_a_channel_that_is_not_there_ends_the_run(examples):
    found = replace(examples, channels=("ring",), skip_damaged=True)[Key(0, 0)]
    assert isinstance(found, Failure)
    assert "'ring'" in found.message


def test_what_became_of_a_batch(examples):
    good, bad = examples[Key(0, 0)], Failure("broken", "mend it")
    loaded = gather([good, Skip("b", "no camera"), examples[Key(0, 1)]])
    assert loaded.batch is not None
    assert loaded.batch.names == (good.name, examples.dataset.name(1))
    assert loaded.skipped == (Skip("b", "no camera"),)
    assert loaded.failure is None
    assert gather([Skip("a", "x"), Skip("b", "y")]) == Loaded(None, (Skip("a", "x"), Skip("b", "y")), None)
    assert gather([good, bad]).failure == bad
