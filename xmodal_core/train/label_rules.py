"""Which frames of a data set count as labelled: the rules by which publications take a share of them.

They differ, and so do the figures that come of them: a share of scenes says less than the same share of frames. Every
rule takes each k-th of something; ``seed`` 0 is the published choice, another one begins elsewhere, so that the spread
over subsets can be measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from xmodal_core import plugins
from xmodal_core.config import Settings, setting
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.types import Frame, Ints

Protocol = Literal["frames", "slidr", "sequences", "segcontrast"]

TRIES = 1000
"""How often SegContrast draws a sequence's scans anew where they lack a class."""


class LabelsConfig(Settings):
    """Which frames of the split are labelled for a run; it reads no other."""

    split: str = setting(
        "auto",
        "the split that labelled frames are of; 'auto': train where there is a val beside it, else as dataset.split is",
    )
    fraction: float = setting(1.0, "share of the split that is labelled; 1: all of it", ge=1e-6, le=1)
    frames: int | None = setting(None, "so many labelled frames, evenly spread, instead of a share", ge=1)
    protocol: Protocol = setting(
        "frames",
        "what a share is of: every k-th frame (OpenPCDet's Waymo lists), SLidR's rule (scenes; scans of "
        "SemanticKITTI), whole sequences, or SegContrast's draw of scans that show all classes of their sequence",
    )
    file: str | None = setting(
        None, "names of the labelled frames, one a line, or SegContrast's percentiles_split.json; instead of a rule"
    )
    seed: int = setting(0, "0: the rule's own choice; else another one by the same rule", ge=0, le=2**31 - 1)


class Labelled(NamedTuple):
    """The labelled frames of a split: ``indices`` (F,) ascending, and the rule in words, as captions need it."""

    indices: Ints
    rule: str


def labelled_frames(dataset: Dataset, config: LabelsConfig) -> Labelled:
    """The frames of ``dataset`` that ``config`` says.

    Raises:
        InputError: that is none at all, or the rule does not suit the data set or the fraction.
        DataError: the file is missing or names frames that are not there.
    """
    total = len(dataset)
    if config.file is not None:
        named = read_list(Path(config.file), config.fraction)
        return Labelled(indices_of(dataset, named), f"as listed in {Path(config.file).name}")
    if config.frames is not None:
        if config.frames > total:
            raise InputError(
                f"asked for {config.frames} labelled frames of {total}", f"choose at most --frames {total}"
            )
        begin = 0.0 if config.seed == 0 else np.random.default_rng(config.seed).random()
        spread = np.floor((np.arange(config.frames) + begin) * total / config.frames).astype(np.int64)
        counted = "1 frame" if config.frames == 1 else f"{config.frames} frames"
        return Labelled(spread, f"{counted}, evenly spread{_draw(config.seed)}")
    share = f"{config.protocol}, {100 * config.fraction:g} %{_draw(config.seed)}"
    return Labelled(_RULES[config.protocol](dataset, config), share)


def _draw(seed: int) -> str:
    return f", subset {seed}" if seed else ""


def _every_kth_frame(dataset: Dataset, config: LabelsConfig) -> Ints:
    """OpenPCDet (waymo_dataset.py, SAMPLED_INTERVAL) and SLidR for SemanticKITTI: the first frame and every k-th."""
    return _every_kth(len(dataset), config, "frames", first=True)


def _every_kth_scene(dataset: Dataset, config: LabelsConfig) -> Ints:
    scenes = dataset.scenes()
    return _frames_of(dataset, [scenes[i] for i in _every_kth(len(scenes), config, "sequences", first=True)])


def _slidr(dataset: Dataset, config: LabelsConfig) -> Ints:
    """valeoai/SLidR, downstream/dataloader_nuscenes.py and dataloader_kitti.py: the k-th, 2k-th … scene in the order of
    the tables; of SemanticKITTI the first scan of the sorted names and every k-th."""
    if plugins.name_of(dataset) == "semantic_kitti":
        return _every_kth_frame(dataset, config)
    scenes = dataset.scenes()
    return _frames_of(dataset, [scenes[i] for i in _every_kth(len(scenes), config, "scenes", first=False)])


def _segcontrast(dataset: Dataset, config: LabelsConfig) -> Ints:
    """PRBonn/segcontrast, tools/stratify_dataset.py: of each sequence a share of its scans, at least one, drawn anew
    until they show every class of the sequence.

    Its draws were not seeded, so this is its rule and not its list, which ``file`` takes; and to know the classes it
    reads the labels of all frames. A sequence that asks for more than a thousand draws keeps the last one.
    """
    random = np.random.default_rng(config.seed)
    classes = [_classes_in(dataset.frame(index)) for index in range(len(dataset))]
    chosen: list[int] = []
    for scene in dataset.scenes():
        members = _frames_of(dataset, [scene])
        wanted = frozenset[int]().union(*(classes[index] for index in members))
        for _ in range(TRIES):
            draw = random.choice(members, max(1, int(len(members) * config.fraction)), replace=False)
            if wanted <= frozenset[int]().union(*(classes[index] for index in draw)):
                break
        chosen += draw.tolist()
    return np.sort(np.array(chosen, dtype=np.int64))


def _classes_in(frame: Frame) -> frozenset[int]:
    if frame.semantic is None:
        raise InputError(
            f"the rule 'segcontrast' needs classes of points, which frame {frame.name} lacks",
            "choose another rule with --label-protocol",
        )
    return frozenset(np.unique(frame.semantic.label).tolist()) - {0}


_RULES: dict[Protocol, Callable[[Dataset, LabelsConfig], Ints]] = {
    "frames": _every_kth_frame,
    "slidr": _slidr,
    "sequences": _every_kth_scene,
    "segcontrast": _segcontrast,
}


def _every_kth(total: int, config: LabelsConfig, what: str, *, first: bool) -> Ints:
    """Every k-th of ``total``, k being 1 over the fraction: from the first on, or from the k-th on."""
    step = round(1 / config.fraction)
    if abs(step * config.fraction - 1) > 1e-3:
        near = 1 / step if step > 1 else 0.5
        raise InputError(
            f"'{config.protocol}' takes every k-th of the {what}, which a share of {config.fraction:g} is not",
            f"choose 1/k, e.g. --fraction {near:g}, or a number of frames: --frames N",
        )
    if total < step:
        raise InputError(
            f"{100 * config.fraction:g} % of {total} {what} by the rule '{config.protocol}' is none",
            f"choose --fraction {f'{1 / total:g} or more' if total > 1 else 1}, a number of frames with --frames N, "
            "or another rule with --label-protocol",
        )
    begin = 0 if config.seed == 0 else int(np.random.default_rng(config.seed).integers(step))
    begin = begin if first else (begin + step - 1) % step
    return np.arange(begin, total, step, dtype=np.int64)


def _frames_of(dataset: Dataset, scenes: Sequence[str]) -> Ints:
    wanted = set(scenes)
    return np.array([index for index in range(len(dataset)) if dataset.scene(index) in wanted], dtype=np.int64)


def read_list(file: Path, fraction: float) -> list[str]:
    """The names of frames in ``file``: one a line, or SegContrast's JSON, from which those of ``fraction`` are taken.

    Paths of SemanticKITTI's scans count as their names, ``08/000123``.

    Raises:
        DataError: it cannot be read, or has no list for ``fraction``.
    """
    try:
        text = file.read_text(encoding="utf-8")
        lines = _of_json(file, json.loads(text), fraction) if file.suffix == ".json" else text.split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the list of frames {file}: {error}", "check the path") from None
    names = [line.strip() for line in lines if line.strip()]
    return [re.sub(r"^.*(\d\d)/(?:velodyne|labels)/(\d{6})\.\w+$", r"\1/\2", name) for name in names]


def _of_json(file: Path, content: Any, fraction: float) -> Iterable[str]:
    lists = {float(share): sequences for share, sequences in content.items()} if isinstance(content, dict) else {}
    if fraction not in lists:
        raise DataError(
            f"{file} has no list for a share of {fraction:g}",
            known_names((f"{share:g}" for share in lists), f"{fraction:g}"),
        )
    return (str(path) for sequence in lists[fraction].values() for path in sequence["points"])


def indices_of(dataset: Dataset, names: Sequence[str]) -> Ints:
    """(F,) the ascending places of frames with ``names`` in ``dataset``.

    Raises:
        DataError: there is none, or one is not there.
    """
    place = {dataset.name(index): index for index in range(len(dataset))}
    absent = [name for name in names if name not in place]
    if absent or not names:
        what = (
            f"frame '{absent[0]}' and {len(absent) - 1} more are"
            if len(absent) > 1
            else f"frame '{(*absent, '')[0]}' is"
        )
        raise DataError(
            f"the list names a frame that is not there: {what} not in this split of {dataset.root}"
            if absent
            else "the list of labelled frames is empty",
            "check the list, and --split",
        )
    return np.array(sorted({place[name] for name in names}), dtype=np.int64)
