"""What every exporter promises, checked with every network that it carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xmodal_core import plugins
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.exporters.base import Checkpoint, Exporter
from xmodal_core.points import load_network
from xmodal_core.train.backbone import Backbone

WHOLE = [name for name in plugins.names(plugins.EXPORTER) if plugins.load(plugins.EXPORTER, name).part is None]
"""The formats that carry whole networks; one that carries a part has tests of its own."""
CARRIED = [(name, network) for name in WHOLE for network in plugins.load(plugins.EXPORTER, name).networks]


@pytest.fixture(params=CARRIED, ids=" ".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def exporter(case: tuple[str, str]) -> Exporter:
    made: Exporter = plugins.load(plugins.EXPORTER, case[0])()
    return made


@pytest.fixture
def backbone(case: tuple[str, str]) -> Backbone:
    torch.manual_seed(0)
    network = load_network(case[1], plugins.load(plugins.EXPORTER, case[0]).suited.get(case[1]))
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape))
    return Backbone(
        network.state_dict(),
        {
            "schema": 1,
            "network": case[1],
            "network_settings": network.config.model_dump(mode="json"),
            "dataset": "sample",
            "settings": {"train": {"epochs": 2}},
            "versions": {"xmodal": "0.1"},
            "metrics": {"loss": 1.5},
        },
    )


@pytest.fixture
def file(exporter: Exporter, tmp_path: Path) -> Path:
    return tmp_path / "new" / f"weights{exporter.suffix}"


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or not [path for path in folder.rglob("*") if path.is_file()]


class TestEveryExporter:
    def test_everything_goes_over_and_is_counted(self, exporter: Exporter, backbone: Backbone, file: Path) -> None:
        report = exporter.export(backbone, file)
        numbers = sum(tensor.numel() for tensor in backbone.tensors.values())
        assert (report.exported, report.total, report.parameters) == (len(backbone.tensors),) * 2 + (numbers,)
        assert report.file == file
        assert sorted(file.parent.iterdir()) == sorted([file, *report.beside])
        assert not report.left_out
        assert any(str(file) in line for step in report.usage for line in step.lines)

    def test_no_value_is_lost_or_doubled(self, exporter: Exporter, backbone: Backbone) -> None:
        tensors, rows, left_out = exporter.convert(backbone)
        assert not left_out
        assert sorted(row.ours for row in rows if row.ours is not None) == sorted(backbone.tensors)
        assert [row.theirs for row in rows] == list(tensors)
        for row in rows:
            if row.ours is None:
                assert (tensors[row.theirs] == row.fill).all()
                continue
            ours, theirs = backbone.tensors[row.ours], tensors[row.theirs]
            assert theirs.dtype == ours.dtype
            torch.testing.assert_close(theirs.flatten().sort()[0], ours.flatten().sort()[0])

    def test_what_goes_over_comes_back(
        self, exporter: Exporter, backbone: Backbone, file: Path, case: tuple[str, str]
    ) -> None:
        # A scale that is no power of two: such products round, and yet not a bit may change.
        settings = {**backbone.card["network_settings"], "intensity_scale": 1 / 255}
        exporter.export(replace(backbone, card={**backbone.card, "network_settings": settings}), file)
        found = exporter.import_from(exporter.read(file), case[1], settings)
        assert not found.left_out
        assert not found.absorbed
        assert set(found.tensors) == set(backbone.tensors)
        for name, tensor in found.tensors.items():
            assert torch.equal(tensor, backbone.tensors[name]), name

    def test_the_backbone_stays_as_it_is(self, exporter: Exporter, backbone: Backbone, file: Path) -> None:
        before = {name: tensor.clone() for name, tensor in backbone.tensors.items()}
        exporter.export(backbone, file)
        assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.tensors.items())

    def test_the_card_lies_beside(self, exporter: Exporter, backbone: Backbone, file: Path) -> None:
        report = exporter.export(backbone, file)
        (card,) = (path for path in report.beside if path.suffix == ".json")
        told = json.loads(card.read_text(encoding="utf-8"))
        export = told.pop("export")
        assert told == dict(backbone.card)
        assert export["point"][:3] == ["x", "y", "z"]
        assert export["tensors"] == {row.theirs: row.ours for row in report.rows}

    def test_an_older_file_is_replaced(self, exporter: Exporter, backbone: Backbone, file: Path) -> None:
        file.parent.mkdir()
        file.write_bytes(b"old")
        exporter.export(backbone, file)
        assert file.stat().st_size > 1000

    @pytest.mark.parametrize("which", [0, 7, -1])
    def test_a_missing_tensor_is_refused(self, exporter: Exporter, backbone: Backbone, file: Path, which: int) -> None:
        gone = list(backbone.tensors)[which]
        less = {name: tensor for name, tensor in backbone.tensors.items() if name != gone}
        count = len(exporter.table(backbone.network, backbone.card["network_settings"]))
        with pytest.raises(
            RunError, match=f"only {count - 1} of the target's {count} tensors match; .* no counterpart"
        ):
            exporter.export(replace(backbone, tensors=less), file)
        assert nothing_in(file.parent)

    def test_a_part_is_written_on_request_alone_and_told(
        self, exporter: Exporter, backbone: Backbone, file: Path
    ) -> None:
        gone, *_ = backbone.tensors
        less = {name: tensor for name, tensor in backbone.tensors.items() if name != gone}
        report = exporter.export(replace(backbone, tensors=less), file, partial=True)
        assert (report.exported, len(report.left_out)) == (len(less), 1)
        with pytest.raises(DataError, match="is missing"):
            exporter.import_from(exporter.read(file), backbone.network, backbone.card["network_settings"])

    def test_what_is_no_part_of_the_network_is_left_out_of_an_import(
        self, exporter: Exporter, backbone: Backbone
    ) -> None:
        tensors, _, _ = exporter.convert(backbone)
        more = {**tensors, "dense_head.weight": torch.ones(3), "global_step": torch.ones(1)}
        found = exporter.import_from(Checkpoint(more), backbone.network, backbone.card["network_settings"])
        assert found.left_out == ("dense_head.weight", "global_step")

    def test_an_import_takes_either_order_of_spconv(self, exporter: Exporter, backbone: Backbone) -> None:
        settings = backbone.card["network_settings"]
        for order in exporter.versions and (1, 2):
            other = copy(exporter)
            other.spconv = order
            found = exporter.import_from(Checkpoint(other.convert(backbone).tensors), backbone.network, settings)
            assert all(torch.equal(found.tensors[name], tensor) for name, tensor in backbone.tensors.items())

    def test_biases_before_a_norm_go_into_its_running_mean(self, exporter: Exporter, backbone: Backbone) -> None:
        tensors, rows, _ = exporter.convert(backbone)
        biases = {row.theirs: row.absorbed_by for row in rows if row.absorbed_by is not None}
        theirs = {name: torch.rand(tensor.shape) if name in biases else tensor for name, tensor in tensors.items()}
        found = exporter.import_from(Checkpoint(theirs), backbone.network, backbone.card["network_settings"])
        assert found.absorbed == tuple(biases)
        for name, mean in biases.items():
            assert mean is not None
            torch.testing.assert_close(found.tensors[mean], backbone.tensors[mean] - theirs[name])

    def test_a_tensor_without_a_place_is_refused(self, exporter: Exporter, backbone: Backbone, file: Path) -> None:
        more = {**backbone.tensors, "head.weight": torch.ones(2)}
        with pytest.raises(RunError, match=r"head\.weight"):
            exporter.export(replace(backbone, tensors=more), file)
        assert nothing_in(file.parent)

    def test_a_tensor_of_another_shape_is_refused(self, exporter: Exporter, backbone: Backbone, file: Path) -> None:
        name = next(iter(backbone.tensors))
        reshaped = {**backbone.tensors, name: backbone.tensors[name].flatten()[:-1]}
        with pytest.raises(RunError, match=r"should be .*, but is"):
            exporter.export(replace(backbone, tensors=reshaped), file)
        assert nothing_in(file.parent)

    def test_other_settings_than_the_weights_are_refused(
        self, exporter: Exporter, backbone: Backbone, file: Path
    ) -> None:
        settings = {**backbone.card["network_settings"], "channels": ["intensity", "ring"]}
        with pytest.raises(RunError, match="nothing written"):
            exporter.export(replace(backbone, card={**backbone.card, "network_settings": settings}), file)
        assert nothing_in(file.parent)

    def test_a_network_that_it_cannot_carry_is_refused(
        self, exporter: Exporter, backbone: Backbone, file: Path, case: tuple[str, str]
    ) -> None:
        with pytest.raises(InputError, match=f"'{case[0]}' cannot carry a 'spheres' network"):
            exporter.export(replace(backbone, card={**backbone.card, "network": "spheres"}), file)
        assert nothing_in(file.parent)

    def test_a_full_disk_leaves_no_half_a_file(
        self, exporter: Exporter, backbone: Backbone, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(backbone: Backbone, tensors: Mapping[str, torch.Tensor], file: Path) -> None:
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(exporter, "write", write)
        with pytest.raises(RunError, match="No space left on device"):
            exporter.export(backbone, file)
        assert not file.exists()
        assert not list(file.parent.glob("*.partial"))

    def test_a_folder_in_its_place_is_named(self, exporter: Exporter, backbone: Backbone, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is a folder"):
            exporter.export(backbone, tmp_path)
        assert nothing_in(tmp_path)
