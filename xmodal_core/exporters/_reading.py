"""From a checkpoint of another framework to a network of ours with its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import CHOICES, origin_of, read_sections, validate
from xmodal_core.errors import InputError
from xmodal_core.exporters._table import Imported
from xmodal_core.exporters.base import Exporter
from xmodal_core.files import whole_file
from xmodal_core.train.backbone import Backbone, save_backbone
from xmodal_core.train.run import versions


def read_backbone(
    exporter: Exporter, file: Path, network: str | None, assignments: Sequence[str] = (), *, inexact: bool = False
) -> tuple[Backbone, Imported]:
    """The network in ``file``, a checkpoint of ``exporter``'s format, and what became of the file's tensors.

    Args:
        exporter: of the format.
        file: the checkpoint.
        network: which network of ours it is; None: what its card says, if xmodal wrote it.
        assignments: ``network.name=value`` texts, over the settings in the card or, where they name a preset or there
            is no card, over that preset's.
        inexact: read also if we compute something else from the same weights.

    Raises:
        InputError: nobody says which network it is, the format cannot carry it, or only inexactly, or a setting is
            unknown.
        DataError: the file is missing or damaged, or holds another network than these settings describe.
    """
    checkpoint = exporter.read(file)
    card = checkpoint.card or {}
    name = network or card.get("network")
    if name is None:
        raise InputError(
            f"nothing in {file} says which network it is", f"give --network: {', '.join(exporter.networks)}"
        )
    config: Any = plugins.load(plugins.NETWORK, name).Config
    given = read_sections(None, assignments)["network"]
    told = card["network_settings"] if card.get("network") == name and "preset" not in given else {}
    values = {**told, **{key: value for key, value in given.items() if key not in CHOICES}}
    settings = validate(config, values, "network", origin_of(None, [text.partition("=")[0] for text in assignments]))
    differences = exporter.differences(name, settings)
    if differences and not inexact:
        raise InputError(
            f"'{name}' cannot carry what is in {file} exactly: {differences[0].what}",
            "say what the file's network is, e.g. --set network.preset=NAME; or read it all the same with --inexact",
        )
    written = settings.model_dump(mode="json")
    imported = exporter.import_from(checkpoint, name, written)
    return Backbone(imported.tensors, _card(exporter, file, name, written, card)), imported


def _card(exporter: Exporter, file: Path, network: str, settings: dict[str, Any], told: Any) -> dict[str, Any]:
    known = {key: told[key] for key in ("dataset", "classes", "settings", "intensity_max") if key in told}
    return {
        "network": network,
        "network_settings": settings,
        "dataset": None,
        "classes": {},
        "settings": {},
        **known,
        "versions": versions(),
        "metrics": {},
        "imported": {"file": file.name, "format": plugins.name_of(exporter)},
    }


def save_imported(file: Path, backbone: Backbone) -> None:
    """Write ``backbone`` to ``file``, whole or not at all.

    Raises:
        InputError: it cannot be written there.
    """
    with whole_file(file) as unfinished:
        save_backbone(unfinished, backbone.tensors, backbone.card)
