"""A remembering teacher: the same maps, looked at once."""

from __future__ import annotations

import pytest
import torch

from xmodal_core.images import load_teacher
from xmodal_core.images.base import Teacher, TeacherConfig
from xmodal_core.train.remember import RememberingTeacher


class Counting(Teacher):
    channels, strides = (2, 2), (4, 8)

    def __init__(self):
        super().__init__(TeacherConfig())
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return [torch.nn.functional.avg_pool2d(images[:, :2], stride) for stride in self.strides]


@pytest.fixture
def images():
    return torch.rand(3, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def test_each_picture_is_looked_at_once(images):
    teacher = Counting()
    remembering = RememberingTeacher(teacher, 1.0)
    expected = Counting()(images)
    for order in ([0, 1], [1, 2, 0], [2, 2, 1]):
        for found, level in zip(remembering(images[order]), expected, strict=True):
            assert torch.equal(found, level[order])
    assert teacher.seen == 3
    assert remembering.width == 4
    assert not remembering.train().training


def test_pictures_that_differ_anywhere_or_in_shape_are_others(images):
    remembering = RememberingTeacher(Counting(), 1.0)
    first = remembering(images)[0]
    changed = images.clone()
    changed[0, 1, 9, 9] += 1e-3
    assert not torch.equal(remembering(changed)[0], first)
    turned = images.reshape(3, 3, 24, 16)
    assert remembering(turned)[0].shape == (3, 2, 6, 4)


def test_no_more_is_kept_than_there_is_room_for(images):
    one = sum(level[:1].numel() * 4 for level in Counting()(images))
    teacher = Counting()
    remembering = RememberingTeacher(teacher, 2.5 * one / 1e9)
    for _ in range(3):
        remembering(images)
    assert len(remembering.kept) == 2
    assert teacher.seen == 3 + 1 + 1


def test_no_picture_gives_empty_maps():
    assert [len(level) for level in RememberingTeacher(Counting(), 1.0)(torch.zeros(0, 3, 16, 24))] == [0, 0]


def test_what_is_kept_makes_no_difference_to_a_real_teacher(images):
    teacher = load_teacher("efficientnet_lite0", {"weights": "random"})
    pictures = torch.nn.functional.interpolate(images, size=(64, 96))
    keeping, forgetting = RememberingTeacher(teacher, 1.0), RememberingTeacher(teacher, 0.0)
    keeping(pictures[[1, 0]])
    for kept, fresh in zip(keeping(pictures), forgetting(pictures), strict=True):
        assert torch.equal(kept, fresh)
    assert len(keeping.kept) == 3
    assert not forgetting.kept
