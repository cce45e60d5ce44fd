"""The full state: whole or not at all, and nothing else is taken for it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from xmodal_core.errors import DataError, InputError
from xmodal_core.train import checkpoint
from xmodal_core.train.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint


def _checkpoint() -> Checkpoint:
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    progress = Progress(step=7, frames=26, skipped=2, seconds=12.5, peak_memory=10**9)
    return Checkpoint(progress, module.state_dict(), optimizer.state_dict(), {"scale": 2.0})


def test_what_is_saved_is_loaded(tmp_path):
    saved = _checkpoint()
    save_checkpoint(tmp_path / "checkpoint.pt", saved)
    found = load_checkpoint(tmp_path / "checkpoint.pt")
    assert found.progress == saved.progress
    assert found.scaler == saved.scaler
    torch.testing.assert_close(dict(found.method), dict(saved.method), rtol=0, atol=0)
    torch.testing.assert_close(found.optimizer["state"], saved.optimizer["state"], rtol=0, atol=0)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_write_that_fails_leaves_the_last_one(tmp_path, monkeypatch):
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, _checkpoint())
    before = file.read_bytes()

    def half(content, stream):
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", half)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(file, _checkpoint())
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_damaged_files_are_named(tmp_path):
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, _checkpoint())
    whole = file.read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"checkpoint\.pt is damaged"):
            load_checkpoint(file)
    with pytest.raises(DataError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "nowhere.pt")


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "checkpoint.pt"
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, file)
    with pytest.raises(InputError, match="not the full state"):
        load_checkpoint(file)
    save_file({"weight": torch.zeros(1)}, file)
    with pytest.raises(DataError, match=r"checkpoint\.pt is damaged or no checkpoint"):
        load_checkpoint(file)
