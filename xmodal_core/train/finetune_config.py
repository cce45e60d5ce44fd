"""Fine-tuning's experiment: which labelled frames, which task, which weights to begin with, who judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from xmodal_core import plugins
from xmodal_core.config import Origin, Settings, setting, validate
from xmodal_core.rig import RigConfig
from xmodal_core.train.config import (
    DEFAULTS,
    AugmentConfig,
    Choice,
    EngineConfig,
    Experiment,
    InitConfig,
    Written,
    begin_from,
    choose,
    read_written,
    suit_network,
    written_dataset,
)
from xmodal_core.train.label_rules import LabelsConfig

AUTO, REST, LABELLED = "auto", "rest", "labelled"


class EvaluateConfig(Settings):
    """On what a run is judged, and when."""

    split: str = setting(
        AUTO,
        "the split to be judged on; 'rest': the frames of the split trained on that are not labelled; 'labelled': "
        "those that are; 'auto': val where there is one, else rest",
    )
    every: int = setting(
        10, "judge after so many epochs, and after the first and the last one; 0: after the last alone", ge=0
    )
    frames: int | None = setting(None, "judge on so many frames, evenly spread; empty: all", ge=1)


class FinetuneConfig(EngineConfig):
    """How a run of fine-tuning goes on."""

    epoch_frames: int | None = setting(
        None,
        "an epoch takes at least so many frames, the labelled ones again and again where they are fewer, so that runs "
        "on few and on many labelled frames take as many steps; empty: each once",
        ge=1,
    )
    head_rate: float = setting(
        1.0, "the head learns at so many times the rate of the trunk, which began trained", ge=1e-3, le=1e4
    )
    freeze: bool = setting(
        False, "the head alone learns, the trunk stays as it is with its batch statistics (linear probe)"
    )


@dataclass(frozen=True)
class Finetuning(Experiment):
    """All that a fine-tuning run is made from.

    Args:
        labels: which frames are labelled.
        task: which plugin, with which options.
        evaluate: on what it is judged.
    """

    verb: ClassVar[str] = "finetune"
    sections: ClassVar[tuple[str, ...]] = (
        "dataset",
        "rig",
        "labels",
        "augment",
        "network",
        "init",
        "task",
        "train",
        "evaluate",
    )

    labels: LabelsConfig
    task: Choice
    train: FinetuneConfig
    evaluate: EvaluateConfig

    @property
    def title(self) -> str:
        """See ``Experiment``."""
        return f"{self.dataset.name}_{self.task.name}_{self.network.name}"

    def memory_knobs(self) -> Iterator[str]:
        """See ``Experiment``."""
        yield from super().memory_knobs()
        if not self.train.freeze:
            yield "--freeze, which trains the head alone"


def read_finetuning(
    file: Path | None = None,
    assignments: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    gpu: bool | None = None,
) -> Finetuning:
    """As ``read_experiment``, of fine-tuning. Where nobody chose, settings are those of the task for the data set; the
    network and its settings are those of the pre-trained one.

    Raises:
        InputError: a file, a plugin, a key or a value that cannot be; the message names it.
        DataError: the pre-trained network is missing or damaged.
    """
    sections, origin = read_written(Finetuning, file, assignments, options)
    begin_from(sections)
    return _validated(sections, origin, gpu)


def finetuning_of(settings: Mapping[str, Any], assignments: Sequence[str] = ()) -> Finetuning:
    """The experiment that a model's card has the ``settings`` of, with other ``--set`` texts laid over.

    Raises:
        InputError: a key or a value that cannot be; the message names it.
    """
    sections, origin = read_written(Finetuning, None, assignments, None)
    for name, values in sections.items():
        sections[name] = {**settings.get(name, {}), **values}
    return _validated(sections, origin, None)


def _validated(sections: Written, origin: Origin, gpu: bool | None) -> Finetuning:
    dataset, root = written_dataset(sections)
    kind = plugins.load(plugins.TASK, str(sections["task"].get("name") or DEFAULTS["task"]))
    pretrained = sections["init"].get("source") is not None
    _lay_under(sections, kind.defaults(dataset, pretrained=pretrained))
    _lay_under(sections["dataset"], plugins.load(plugins.DATASET, dataset).label_options)
    suit_network(sections["network"], dataset, root, sections["train"].get("device", "auto"), gpu)
    return Finetuning(
        dataset=choose("dataset", sections, origin),
        root=root,
        rig=validate(RigConfig, sections["rig"], "rig", origin),
        labels=validate(LabelsConfig, sections["labels"], "labels", origin),
        augment=validate(AugmentConfig, sections["augment"], "augment", origin),
        network=choose("network", sections, origin),
        init=validate(InitConfig, sections["init"], "init", origin),
        task=choose("task", sections, origin),
        train=validate(FinetuneConfig, sections["train"], "train", origin),
        evaluate=validate(EvaluateConfig, sections["evaluate"], "evaluate", origin),
    )


def _lay_under(given: dict[str, Any] | Written, defaults: Mapping[str, Any]) -> None:
    """Put ``defaults`` where ``given`` says nothing, also within its groups."""
    for name, value in defaults.items():
        if isinstance(value, Mapping) and isinstance(given.get(name, {}), dict):
            group: dict[str, Any] = given.setdefault(name, {})
            _lay_under(group, value)
        else:
            given.setdefault(name, value)
