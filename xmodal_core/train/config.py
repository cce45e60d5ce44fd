"""An experiment: every choice and every setting of a run, from one file, ``--set`` and options.

The file has some of the sections of ``config.SECTIONS``; those of a data set, a teacher, a network, a method and a task
start with the ``name`` of the plugin, that of the data set also has its ``root``. What ``Experiment.to_yaml`` writes is
read back to the same experiment. Here are what both verbs have and pre-training; fine-tuning is in ``finetune_config``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import field_validator, model_validator

from xmodal_core import plugins
from xmodal_core.config import CHOICES, Origin, Settings, origin_of, read_sections, setting, validate
from xmodal_core.errors import InputError, known_names
from xmodal_core.rig import RigConfig
from xmodal_core.units.config import UnitsConfig

DEFAULTS = {
    "dataset": "sample",
    "teacher": "efficientnet_lite0",
    "network": "minkunet",
    "method": "units",
    "task": "segmentation",
}
"""The plugin of each kind that a run has when nobody chose."""
KINDS = {
    "dataset": plugins.DATASET,
    "teacher": plugins.TEACHER,
    "network": plugins.NETWORK,
    "method": plugins.METHOD,
    "task": plugins.TASK,
}
SMALL_PRESET = "tiny"
"""The preset of a network for a machine without a GPU."""

Optimizer = Literal["adam", "sgd"]
Precision = Literal["auto", "32", "16-mixed", "bf16-mixed"]


class AugmentConfig(Settings):
    """Random changes of the points that the network sees; units and pictures stay as they are.

    Defaults as in ProposalContrast's pre-training (the paper names none).
    """

    flip_x: float = setting(0.5, "how often x is mirrored (share of frames)", ge=0, le=1, step=0.05)
    flip_y: float = setting(0.5, "how often y is mirrored (share of frames)", ge=0, le=1, step=0.05)
    rotation: float = setting(180.0, "turn about the vertical by up to this, either way", unit="deg", ge=0, le=180)
    scale_min: float = setting(0.8, "shrink by down to this factor", ge=0.1, le=1, step=0.05)
    scale_max: float = setting(1.25, "enlarge by up to this factor", ge=1, le=10, step=0.05)
    shift: float = setting(0.0, "standard deviation of a shift along each axis", unit="m", ge=0, le=5, step=0.05)


class AdamConfig(Settings):
    """Adam with decoupled weight decay, the rate on one cycle: up from ``lr / start_divisor``, then down to nothing,
    the momentum the other way round (the field's recipe for LiDAR detectors)."""

    lr: float = setting(0.003, "highest learning rate", ge=1e-7, le=1)
    weight_decay: float = setting(0.01, "weight decay; none on biases and norms", ge=0, le=1)
    momentum_high: float = setting(0.95, "first beta at the start and at the end", ge=0, le=0.999)
    momentum_low: float = setting(0.85, "first beta at the highest learning rate", ge=0, le=0.999)
    beta2: float = setting(0.99, "second beta", ge=0, le=0.99999)
    start_divisor: float = setting(10.0, "the cycle starts at the highest rate over this", ge=1, le=1000)
    end_divisor: float = setting(10_000.0, "the cycle ends at its start over this", ge=1, le=1e8)
    rising: float = setting(0.4, "share of the steps in which the rate rises", ge=0, le=1, step=0.05)


class SgdConfig(Settings):
    """Stochastic gradient descent, the rate falling along half a cosine (SLidR's recipe for MinkUNet, but for its rate
    of 0.5, ten times as high: with the tiny network it learns less from that)."""

    lr: float = setting(0.05, "learning rate at the start", ge=1e-7, le=10)
    momentum: float = setting(0.9, "momentum", ge=0, le=0.999)
    dampening: float = setting(0.1, "dampening of the momentum", ge=0, le=1)
    weight_decay: float = setting(1e-4, "weight decay; none on biases and norms", ge=0, le=1)


class InitConfig(Settings):
    """The weights that a run begins with."""

    source: str | None = setting(
        None, "a pre-trained network: a run's folder or a backbone.safetensors; empty: random weights"
    )
    allow_mismatch: bool = setting(
        False, "go on where the network takes its input otherwise than the pre-trained one, with what fits"
    )


class EngineConfig(Settings):
    """How a run of either verb goes on: its length, its batches, its optimiser, its machine."""

    epochs: int = setting(50, "how many times every frame is seen", ge=1, le=100_000)
    batch_size: int = setting(4, "frames in one batch of one device", unit="frames", ge=1, le=1024)
    accumulate: int = setting(1, "batches of one device whose gradients are averaged for one step", ge=1, le=1024)
    damaged: Literal["stop", "skip"] = setting("stop", "what a frame with a damaged file does: stop the run or skip it")
    optimizer: Optimizer = setting("adam", "'adam' on one cycle, or 'sgd' along a cosine")
    adam: AdamConfig = AdamConfig()
    sgd: SgdConfig = SgdConfig()
    clip: float = setting(35.0, "gradients longer than this are shortened to it", ge=1e-3, le=1e6)
    seed: int = setting(0, "seed of everything random", ge=0, le=2**31 - 1)
    device: str = setting("auto", "'cpu', 'cuda', one GPU as 'cuda:1', or 'auto': a GPU where there is one")
    devices: int = setting(1, "how many GPUs (or processes on a CPU) train together", ge=1, le=64)
    precision: Precision = setting("auto", "'32', '16-mixed' or 'bf16-mixed' bits; 'auto': 32")
    threads: int | None = setting(None, "threads of the computation on a CPU; empty: as many as torch takes", ge=1)
    workers: int | None = setting(
        None, "processes that read and prepare frames; empty: none on a CPU, else up to 16 by cores", ge=0, le=256
    )
    checkpoint_minutes: float = setting(
        5.0,
        "a checkpoint is written when the last one is older than this, and after every epoch",
        unit="min",
        ge=0,
        le=1440,
    )

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("known: auto, cpu, cuda, cuda:0 …")
        return value

    @model_validator(mode="after")
    def _one_device_by_number(self) -> EngineConfig:
        if ":" in self.device and self.devices > 1:
            raise ValueError(f"devices {self.devices} and device '{self.device}' contradict: name no number, or one")
        return self


class TrainConfig(EngineConfig):
    """How a run of pre-training goes on."""

    frames: int | None = setting(None, "train on this many frames, evenly spread; empty: all", ge=1)
    min_units: int = setting(16, "frames with fewer units are skipped and counted", unit="units", ge=2, le=4096)
    unit_variants: int = setting(
        4,
        "sets of units that a frame has, one an epoch in turn; 0: new ones every epoch, which none can keep",
        ge=0,
        le=64,
    )


class CacheConfig(Settings):
    """Where is kept what the frozen teacher sees of each frame's units, so that it looks at each picture only once."""

    folder: str = setting("", "folder of what is kept, or 'off'; empty: 'teacher' in the user's cache folder")
    max_gb: float = setting(
        10.0, "the folder grows no larger; frames that find no room are looked at every time", unit="GB", ge=0, le=1e6
    )
    half: bool = setting(True, "keep features in half precision; off: as they are, twice as large")

    @field_validator("folder", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False else value  # as YAML reads the word


@dataclass(frozen=True)
class Choice:
    """A plugin by name, and its options."""

    name: str
    options: Settings


@dataclass(frozen=True)
class Experiment:
    """All that a run is made from, as far as both verbs have it.

    Args:
        dataset, network: which plugin, with which options.
        root: the data set's folder; None for one that finds its files itself.
        rig, augment, init, train: their settings.
    """

    verb: ClassVar[str]
    sections: ClassVar[tuple[str, ...]]
    """Of ``config.SECTIONS``, those that it has, each a field of that name."""

    dataset: Choice
    root: Path | None
    rig: RigConfig
    augment: AugmentConfig
    network: Choice
    init: InitConfig
    train: EngineConfig

    @property
    def title(self) -> str:
        """Names a new run's folder."""
        return f"{self.dataset.name}_{self.network.name}"

    def memory_knobs(self) -> Iterator[str]:
        """What can be made smaller where there is not enough memory, as it is set now."""
        yield f"--batch-size (now {self.train.batch_size}; --set train.accumulate=… keeps the effective size)"
        preset = getattr(self.network.options, "preset", None)
        yield f"--set network.preset=… (now {preset})" if preset else "--network, a smaller one"

    def tree(self) -> dict[str, dict[str, Any]]:
        """The resolved settings as plain values, section by section."""
        result: dict[str, dict[str, Any]] = {}
        for section in self.sections:
            part = getattr(self, section)
            if isinstance(part, Choice):
                result[section] = {"name": part.name, **part.options.model_dump(mode="json")}
            else:
                result[section] = part.model_dump(mode="json")
        if self.root is not None:
            result["dataset"] = {"name": self.dataset.name, "root": str(self.root), **result["dataset"]}
        return result

    def to_yaml(self) -> str:
        """The text that the verb's reader reads back to the same experiment."""
        return yaml.safe_dump(self.tree(), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class Pretraining(Experiment):
    """All that a pre-training run is made from.

    Args:
        teacher, method: which plugin, with which options.
        units: how units are found.
        cache: where is kept what the teacher sees of them.
    """

    verb: ClassVar[str] = "pretrain"
    sections: ClassVar[tuple[str, ...]] = (
        "dataset",
        "rig",
        "units",
        "augment",
        "teacher",
        "network",
        "init",
        "method",
        "cache",
        "train",
    )

    units: UnitsConfig
    teacher: Choice
    method: Choice
    cache: CacheConfig
    train: TrainConfig

    @property
    def title(self) -> str:
        """See ``Experiment``."""
        return f"{self.dataset.name}_{self.method.name}_{self.network.name}"

    def memory_knobs(self) -> Iterator[str]:
        """See ``Experiment``."""
        yield from super().memory_knobs()
        width = getattr(self.teacher.options, "image_width", None)
        if width is not None:
            yield f"--set teacher.image_width=… (now {width})"


def read_experiment(
    file: Path | None = None,
    assignments: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    gpu: bool | None = None,
) -> Pretraining:
    """Defaults, then a YAML ``file``, then ``name=value`` assignments, then options, in that order of growing weight.

    Args:
        file: a file, or the name of one of ``recipes``; None for none.
        assignments: ``--set`` texts.
        options: dotted names such as ``train.epochs`` to values; those that are None count as not given.
        gpu: whether the machine has one; None: torch is asked. Without, or with ``device`` cpu, the network is its
            preset ``tiny`` unless somebody chose; with one, it is the full preset that suits the data set.

    Raises:
        InputError: a file, a plugin, a key or a value that cannot be; the message names it.
    """
    sections, origin = read_written(Pretraining, file, assignments, options)
    name, root = written_dataset(sections)
    begin_from(sections)
    suit_network(sections["network"], name, root, sections["train"].get("device", "auto"), gpu)
    return Pretraining(
        dataset=choose("dataset", sections, origin),
        root=root,
        rig=validate(RigConfig, sections["rig"], "rig", origin),
        units=validate(UnitsConfig, sections["units"], "units", origin),
        augment=validate(AugmentConfig, sections["augment"], "augment", origin),
        teacher=choose("teacher", sections, origin),
        network=choose("network", sections, origin),
        init=validate(InitConfig, sections["init"], "init", origin),
        method=choose("method", sections, origin),
        cache=validate(CacheConfig, sections["cache"], "cache", origin),
        train=validate(TrainConfig, sections["train"], "train", origin),
    )


Written = dict[str, dict[str, Any]]


def read_written(
    kind: type[Experiment], file: Path | None, assignments: Sequence[str], options: Mapping[str, Any] | None
) -> tuple[Written, Origin]:
    """The sections of ``kind`` as they are written, not yet validated, and where each value comes from; see
    ``read_experiment``.

    Raises:
        InputError: the file cannot be read, or has settings that ``kind`` does not take.
    """
    if file is not None and not file.exists():
        file = recipes().get(str(file), file)
    given = {path: value for path, value in (options or {}).items() if value is not None}
    named = {path.removesuffix(".name"): str(value) for path, value in given.items() if path.endswith(".name")}
    sections = read_sections(file, assignments, named)
    for path, value in given.items():
        section, _, name = path.partition(".")
        sections[section][name] = value
    origin = origin_of(file, [*(text.partition("=")[0] for text in assignments), *given])
    for section, values in sections.items():
        if values and section not in kind.sections:
            raise InputError(
                f"'xmodal {kind.verb}' has no settings '{section}' (from {origin(section)})",
                known_names(kind.sections, section),
            )
    return {section: sections[section] for section in kind.sections}, origin


def written_dataset(sections: Written) -> tuple[str, Path | None]:
    """The data set's name and its folder, whole."""
    root = sections["dataset"].get("root")
    name = str(sections["dataset"].get("name") or DEFAULTS["dataset"])
    return name, None if root is None else whole_path(Path(str(root)))


def begin_from(sections: Written) -> None:
    """Where a pre-trained network is named, the network is that one, with its settings, and frames come in the
    coordinates that it saw, but for what was given.

    What intensity is multiplied by is left to the data set: it is what brings that data's own values to 0..1.
    """
    source = sections["init"].get("source")
    if source is None:
        return
    from xmodal_core.train.backbone import load_backbone

    path = whole_path(Path(str(source)))
    sections["init"]["source"] = str(path)
    card = load_backbone(path).card
    network = sections["network"]
    if network.setdefault("name", card["network"]) == card["network"]:
        settings = {name: value for name, value in card["network_settings"].items() if name != "intensity_scale"}
        sections["network"] = {**settings, **network}
    if card.get("settings", {}).get("rig", {}).get("common_frame"):
        sections["rig"].setdefault("common_frame", True)


def whole_path(path: Path) -> Path:
    """``path`` from the root of the file system on, so that it holds wherever a run is resumed from."""
    return Path(os.path.abspath(path.expanduser()))


def recipes() -> dict[str, Path]:
    """The settings files that come with xmodal, by name."""
    folder = Path(str(resources.files("xmodal_core.recipes")))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def choose(section: str, sections: Mapping[str, Mapping[str, Any]], origin: Origin) -> Choice:
    """The plugin of ``section`` and its options, as written."""
    values = {key: value for key, value in sections[section].items() if key not in CHOICES}
    name, values = plugins.with_model(str(sections[section].get("name") or DEFAULTS[section]), values)
    kind = plugins.load(KINDS[section], name)
    if section != "dataset" and "root" in sections[section]:
        raise InputError(f"there is no setting '{section}.root'", "only 'dataset' has a root")
    return Choice(name, validate(kind.Config, values, section, origin))


def suit_network(section: dict[str, Any], dataset: str, root: Path | None, device: str, gpu: bool | None) -> None:
    """What a network has by default depends on the machine and on the data, where it has such settings."""
    settings = plugins.load(plugins.NETWORK, str(section.get("name") or DEFAULTS["network"])).Config
    sensor, channels = plugins.load(plugins.DATASET, dataset).stated(root)
    presets: Mapping[str, Mapping[str, Any]] = getattr(settings, "presets", {})
    if SMALL_PRESET in presets and "preset" not in section:
        on_gpu = device != "cpu" and (has_gpu() if gpu is None else gpu)
        section["preset"] = _full_preset(presets, dataset, channels) if on_gpu else SMALL_PRESET
    if "intensity_scale" in settings.model_fields:
        section.setdefault("intensity_scale", 1.0 / sensor.intensity_max)


def _full_preset(presets: Mapping[str, Mapping[str, Any]], dataset: str, channels: Sequence[str]) -> str:
    """The first preset that is named after the data set, else the first whose channels it has; never the small one."""
    full = [name for name in presets if name != SMALL_PRESET]
    named = [name for name in full if dataset.startswith(name.partition("_")[0])]
    fitting = [name for name in full if set(presets[name].get("channels", ())) <= set(channels)]
    return next(iter([*named, *fitting, *full]), SMALL_PRESET)


def has_gpu() -> bool:
    """Whether torch can use a GPU."""
    import torch

    return torch.cuda.is_available()
