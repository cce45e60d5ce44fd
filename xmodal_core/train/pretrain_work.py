"""Pre-training as the engine's work: units found in frames, a method with its frozen teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightning_fabric import Fabric

from xmodal_core.train.checkpoint import Progress
from xmodal_core.train.config import Pretraining
from xmodal_core.train.examples import gather
from xmodal_core.train.initial import begin
from xmodal_core.train.metrics import Summary, summarise
from xmodal_core.train.parts import Parts, make_examples, open_memory
from xmodal_core.train.plan import evenly_spread
from xmodal_core.train.remember import Memory, recall
from xmodal_core.train.work import AnyLoaded, Work


class PretrainWork(Work):
    """See ``Work``.

    Args:
        experiment: what is trained, on what, how.
        parts: the data set and the method.
        fresh: the run begins, so the network takes the weights that it is to begin with.
    """

    if_none_is_usable: ClassVar[str] = "look at one: xmodal units show --frame 0, or lower --set train.min_units"

    experiment: Pretraining

    def __init__(self, experiment: Pretraining, parts: Parts, *, fresh: bool) -> None:
        self.experiment = experiment
        self.dataset = parts.dataset
        self.module = parts.method
        self.indices = evenly_spread(len(parts.dataset), experiment.train.frames)
        self._parts = parts
        self._memory: Memory | None = None
        self.beginning = begin(parts.method.network, experiment.init, parts.dataset) if fresh else None

    def get_ready(self, fabric: Fabric, folder: Path) -> None:
        """See ``Work``."""
        self._fabric = fabric
        self._memory = open_memory(self.experiment, self.module, fabric.device)

    def prepared(self, batch: Any) -> Any:
        """See ``Work``."""
        if self._memory is None:
            return batch
        with self._fabric.autocast():
            return recall(batch, self.module.teacher, self._memory)

    def details(self) -> Iterator[tuple[str, str]]:
        """See ``Work``."""
        yield from super().details()
        taken = getattr(self.module.teacher, "taken", None)
        if taken is not None and getattr(self.experiment.teacher.options, "weights_file", None) is not None:
            yield "weights", taken.line()
        if self._memory is not None:
            where = f"{self._memory.folder}, at most {self.experiment.cache.max_gb:g} GB"
            yield "cache", f"the teacher looks at a picture once; what it saw is kept in {where}"

    def examples(self) -> Any:
        """See ``Work``."""
        return make_examples(self.experiment, self._parts, self._memory)

    def gather(self) -> Callable[[Sequence[Any]], AnyLoaded]:
        """See ``Work``."""
        return gather

    def summarise(
        self, folder: Path, progress: Progress, lines: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, Any]]
    ) -> Summary:
        """See ``Work``."""
        return summarise(folder, progress, lines)
