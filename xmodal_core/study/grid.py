"""What a study is: arms that are compared, a grid of settings, seeds; and the jobs that come of them.

A file has settings of ``both`` verbs, of ``pretrain`` and of ``finetune``, as their own settings files have them, and
over these each arm's and each point of the grid's. Every name is one of ``xmodal settings``, so whatever a run can have
can be varied::

    title: labelled frames
    both: {dataset: {name: sample}, network: {name: minkunet}}
    pretrain: {dataset: {split: train}, train: {epochs: 10}}
    finetune: {task: {name: segmentation}, train: {epochs: 40}}
    arms:
      scratch: {pretrain: false}
      units: {}
      random teacher: {pretrain: {teacher.weights: random}}
    grid:
      finetune.labels.frames: [1, 5]
    seeds: [0, 1, 2]

An arm may leave columns out: ``only: {finetune.labels.frames: [1]}``. Pre-training runs of the same settings are one
job, whichever arms, columns and studies they are of.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import field_validator

from xmodal_core.config import Settings, setting, validate
from xmodal_core.errors import InputError, known_names

PRETRAIN, FINETUNE, BOTH = "pretrain", "finetune", "both"
VERBS = (PRETRAIN, FINETUNE)
MACHINE = (("dataset", "root"), ("train", "device"), ("train", "workers"), ("train", "threads"), ("cache", "folder"))
"""Settings that say where a job runs, not what it is."""

Tree = dict[str, Any]
Point = tuple[tuple[str, Any], ...]
"""A column of the grid: names and values."""


class ArmConfig(Settings):
    """One of the ways that are compared."""

    both: dict[str, Any] = setting({}, "settings of both verbs")
    pretrain: dict[str, Any] | Literal[False] = setting({}, "settings of pre-training; false: none, from scratch")
    finetune: dict[str, Any] = setting({}, "settings of fine-tuning")
    only: dict[str, list[Any]] = setting({}, "the values of the grid that it takes part in; all of those not named")


class StudyConfig(Settings):
    """A study's file."""

    title: str = setting("", "what the table is of")
    metric: str = setting("", "the figure that the table shows; empty: the one that ranks first")
    baseline: str = setting("", "the arm that others are compared with")
    both: dict[str, Any] = setting({}, "settings of both verbs")
    pretrain: dict[str, Any] = setting({}, "settings of pre-training")
    finetune: dict[str, Any] = setting({}, "settings of fine-tuning")
    arms: dict[str, ArmConfig] = setting({"units": ArmConfig()}, "the ways that are compared, by name")
    grid: dict[str, list[Any]] = setting({}, "values of settings such as finetune.labels.fraction; all combinations")
    seeds: list[int] = setting([0, 1, 2], "seeds of fine-tuning, and of pre-training")
    label_seeds: bool = setting(
        False, "each seed labels other frames by the same rule, so that the deviation is also that of the choice"
    )
    pretrain_seed: int | None = setting(None, "the one seed of all pre-training instead", ge=0, le=2**31 - 1)

    @field_validator("grid")
    @classmethod
    def _of_a_verb(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, values in grid.items():
            if name.partition(".")[0] not in (*VERBS, BOTH) or name.count(".") < 2:
                raise ValueError(f"'{name}': write it as pretrain.units.…, finetune.labels.… or both.network.…")
            if not values:
                raise ValueError(f"'{name}' has no value")
        return grid

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: list[int]) -> list[int]:
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("give one or more seeds from 0 on, each once")
        return seeds


@dataclass(frozen=True)
class Job:
    """One run of the command line.

    Args:
        verb: of ``VERBS``.
        settings: its settings file as a tree; without the weights that it begins with.
        needs: the job whose network it begins with.
    """

    verb: str
    settings: Mapping[str, Any]
    needs: Job | None = None

    @property
    def name(self) -> str:
        """The same for the same settings: the name of its folder."""
        settings = copy.deepcopy(dict(self.settings))
        for section, key in MACHINE:
            if isinstance(settings.get(section), dict):
                settings[section].pop(key, None)
        text = json.dumps([self.verb, settings, self.needs and self.needs.name], sort_keys=True, default=str)
        return f"{self.verb}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Cell:
    """One fine-tuning in the table: its row, its column, its seed, its job."""

    arm: str
    point: Point
    seed: int
    job: Job


@dataclass(frozen=True)
class Study:
    """A study as its file has it.

    Args:
        name: the file's.
        config: what it says.
    """

    name: str
    config: StudyConfig

    @property
    def points(self) -> list[Point]:
        """The columns: all combinations of the grid's values; one of none where there is no grid."""
        names = list(self.config.grid)
        return [tuple(zip(names, values, strict=True)) for values in itertools.product(*self.config.grid.values())]

    def cells(self) -> Iterator[Cell]:
        """All fine-tunings, row by row, those of a column's seeds together."""
        for arm, point, seed in itertools.product(self.config.arms, self.points, self.config.seeds):
            taken = self.config.arms[arm].only
            if all(value in taken.get(name, (value,)) for name, value in point):
                yield Cell(arm, point, seed, self._job(arm, point, seed))

    def jobs(self) -> list[Job]:
        """What there is to do, each job once and behind those that it needs, row by row as the table has them."""
        found: dict[str, Job] = {}
        for cell in self.cells():
            for job in (cell.job.needs, cell.job):
                if job is not None:
                    found.setdefault(job.name, job)
        return list(found.values())

    def _job(self, arm: str, point: Point, seed: int) -> Job:
        needs = None
        if self.config.arms[arm].pretrain is not False:
            first = seed if self.config.pretrain_seed is None else self.config.pretrain_seed
            needs = Job(PRETRAIN, self._settings(PRETRAIN, arm, point, first))
        return Job(FINETUNE, self._settings(FINETUNE, arm, point, seed), needs)

    def _settings(self, verb: str, arm: str, point: Point, seed: int) -> Tree:
        tree: Tree = {}
        for layer in (self.config, self.config.arms[arm]):
            for part in (layer.both, getattr(layer, verb)):
                lay_over(tree, part)
        for name, value in point:
            of, _, path = name.partition(".")
            if of in (verb, BOTH):
                lay_over(tree, {path: value})
        lay_over(tree, {"train.seed": seed})
        if verb == FINETUNE and self.config.label_seeds:
            lay_over(tree, {"labels.seed": seed})
        return tree


def lay_over(tree: Tree, values: Mapping[str, Any]) -> None:
    """Put ``values``, groups of values or dotted names, into ``tree``; what else is in its groups stays."""
    for name, value in values.items():
        *parents, leaf = str(name).split(".")
        group = tree
        for parent in parents:
            if not isinstance(group.get(parent), dict):
                group[parent] = {}
            group = group[parent]
        if isinstance(value, Mapping):
            if not isinstance(group.get(leaf), dict):
                group[leaf] = {}
            lay_over(group[leaf], value)
        else:
            group[leaf] = copy.deepcopy(value)


def read_study(file: Path) -> Study:
    """The study in ``file``, or the shipped one of that name.

    Raises:
        InputError: there is no such file, or it is no study; the message names what is wrong.
    """
    path = file if file.exists() else shipped().get(str(file), file)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"there is no study {file}", known_names(sorted(shipped()), str(file))) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {str(error).splitlines()[0]}", "write 'key: value' lines") from None
    config = validate(StudyConfig, tree if tree is not None else {}, "", str(path))
    if config.baseline and config.baseline not in config.arms:
        raise InputError(f"{path} has no arm '{config.baseline}'", known_names(list(config.arms), config.baseline))
    for name, arm in config.arms.items():
        for other in arm.only:
            if other not in config.grid:
                raise InputError(
                    f"{path}: arm '{name}' takes part in '{other}', which is not in the grid",
                    known_names(list(config.grid), other),
                )
    return Study(path.stem, config)


def check(study: Study, folder: Path) -> None:
    """See that the settings of every job are settings; makes files in ``folder``.

    Raises:
        InputError: a name is unknown or a value is out of bounds; the message names it and the job.
    """
    from xmodal_core.train.config import read_experiment
    from xmodal_core.train.finetune_config import read_finetuning

    readers = {PRETRAIN: read_experiment, FINETUNE: read_finetuning}
    for job in study.jobs():
        file = folder / f"{study.name}-{job.name}.yaml"
        file.write_text(to_yaml(job.settings), encoding="utf-8")
        readers[job.verb](file)


def to_yaml(settings: Mapping[str, Any]) -> str:
    """The text of a settings file."""
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)


def shipped() -> dict[str, Path]:
    """The studies that come with xmodal, by name."""
    folder = Path(str(resources.files("xmodal_core.studies")))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def label(point: Point) -> str:
    """A column in words: the last parts of the names, and the values."""
    return ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in point)
