"""Every data set's own example, damaged file by file: a right frame, or one line that names the file and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmodal_core import plugins
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.errors import InputError
from xmodal_core.types import Frame

NAMES = [name for name in plugins.names(plugins.DATASET) if name != "sample"]  # made anew where it is damaged
Root = Callable[[str], Path]
OPTIONS = {"nuscenes": {"n_sweeps": 2}}
"""Such that every file of the example is read."""


class Read(NamedTuple):
    """All that a data set gives: its notes, and of each frame, by its name, the arrays by theirs."""

    notes: tuple[str, ...]
    frames: dict[str, dict[str, NDArray[np.generic]]]


def arrays_of(frame: Frame) -> dict[str, NDArray[np.generic]]:
    found: dict[str, NDArray[np.generic]] = {"points": frame.points, "time": np.array([frame.timestamp])}
    found |= {f"channel {name}": values for name, values in frame.channels.items()}
    if frame.pose is not None:
        found["pose"] = frame.pose
    for camera in frame.cameras:
        found[f"{camera.name} matrix"] = camera.intrinsics
        found[f"{camera.name} transform"] = camera.lidar_to_camera
        found[f"{camera.name} lens"] = np.array([getattr(camera.lens, field.name) for field in fields(camera.lens)])
        found[f"{camera.name} picture"] = camera.image()
    for kind, labels in (("boxes", frame.boxes), ("pixels", frame.pixels), ("semantic", frame.semantic)):
        if labels is not None:
            found |= {
                f"{kind} {field.name}": value
                for field in fields(labels)
                if isinstance(value := getattr(labels, field.name), np.ndarray)
            }
    return found


def read_all(dataset: Dataset) -> Read:
    return Read(dataset.notes(), {frame.name: arrays_of(frame) for frame in dataset})


def silent_nans(read: Read) -> list[str]:
    """Arrays that hold numbers which are none; a box's velocity may be unknown."""
    return [
        f"{frame}: {name}"
        for frame, arrays in read.frames.items()
        for name, values in arrays.items()
        if name != "boxes velocity" and values.dtype.kind == "f" and not np.isfinite(values).all()
    ]


def lost(whole: Read, found: Read) -> list[str]:
    """What ``whole`` has and ``found`` has not, or otherwise."""
    gone = [name for name in whole.frames if name not in found.frames]
    for frame, arrays in found.frames.items():
        wanted = whole.frames.get(frame, {})
        gone += [f"{frame}: {name}" for name in wanted if not same(wanted[name], arrays.get(name))]
    return gone


def same(first: NDArray[np.generic], second: NDArray[np.generic] | None) -> bool:
    return second is not None and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


@pytest.fixture(scope="module")
def wholes(example_root: Root) -> Callable[[str], Read]:
    """What a data set's undamaged example gives."""
    read: dict[str, Read] = {}

    def of(name: str) -> Read:
        if name not in read:
            read[name] = read_all(open_dataset(name, example_root(name), OPTIONS.get(name)))
        return read[name]

    return of


@pytest.fixture(scope="module")
def copies(example_root: Root, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A copy of a data set's example whose files are damaged and put back."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = Path(shutil.copytree(example_root(name), tmp_path_factory.mktemp("copy") / name))
        return made[name]

    return of


def kinds_of_files(root: Path) -> list[Path]:
    """The first and the last file of each folder and ending: others of a kind are read in the same way."""
    of_kind: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        alone = path.suffix in (".json", ".txt", ".yaml")
        of_kind.setdefault((path if alone else path.parent, path.suffix), []).append(path)
    return [path for paths in of_kind.values() for path in dict.fromkeys((paths[0], paths[-1]))]


@contextmanager
def damaged(path: Path, content: bytes | None) -> Iterator[None]:
    """``path`` with other ``content``, or gone, for a while."""
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(whole)


def named_by(path: Path, how: str, root: Path) -> Path:
    """What an error must name: of files that are just not found, or that others refer to, the folder is enough."""
    return root if how == "deleted" or path.suffix in (".json", ".txt", ".yaml") else path


def check_error(error: InputError, place: Path) -> None:
    assert str(place) in error.message, error
    assert "\n" not in error.message
    assert error.hint.strip()


@pytest.mark.parametrize("how", ["cut in half", "cut at its end", "emptied", "deleted"])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_damaged_file_takes_away_is_an_error_or_a_note(
    name: str, how: str, copies: Root, wholes: Callable[[str], Read]
) -> None:
    root, whole = copies(name), wholes(name)
    silent = []  # a half is an odd number of bytes: of a file without a header that ends between two rows nobody knows
    for path in kinds_of_files(root):
        if how == "emptied" and path.parent.name == "label_2":
            continue  # what KITTI's format says of a scene without objects
        content = path.read_bytes()
        cut = {"cut in half": content[: len(content) // 2 | 1], "cut at its end": content[:-1], "emptied": b""}.get(how)
        with damaged(path, cut):
            try:
                found = read_all(open_dataset(name, root, OPTIONS.get(name)))
            except InputError as error:
                check_error(error, named_by(path, how, root))
                continue
        assert not silent_nans(found)
        if (gone := lost(whole, found)) and not set(found.notes) - set(whole.notes):
            silent.append(f"{path.relative_to(root)} {how}: {', '.join(gone[:4])}")
    assert not silent


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_are_others_give_a_frame_or_an_error_and_no_silent_nan(
    name: str, copies: Root, data: st.DataObject
) -> None:
    root = copies(name)
    path = data.draw(st.sampled_from(kinds_of_files(root)))
    content = bytearray(path.read_bytes())
    size = len(content)
    places = st.one_of(
        st.integers(0, min(size, 200) - 1), st.integers(max(0, size - 200), size - 1), st.integers(0, size - 1)
    )
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        content[place] ^= data.draw(st.integers(1, 255))
    with damaged(path, bytes(content)):
        try:
            found = read_all(open_dataset(name, root, OPTIONS.get(name)))
        except InputError as error:
            check_error(error, root)
            return
    assert not silent_nans(found)
