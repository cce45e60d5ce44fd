"""Reading a table forwards and backwards where the target's scale rounds numbers."""

from __future__ import annotations

import torch

from xmodal_core.exporters._layouts import SPCONV1, columns_scaled
from xmodal_core.exporters._table import Row, backwards, forwards, rounded

SCALED = Row("theirs", (3, 3, 3, 4, 50), "ours", columns_scaled([1.0, 1.0, 1.0, 1 / 255]).then(SPCONV1))


def weights() -> torch.Tensor:
    return torch.rand(50, 3, 3, 3, 4, generator=torch.Generator().manual_seed(0))


def test_rounded_numbers_come_back_from_their_originals() -> None:
    ours = {"ours": weights()}
    theirs = forwards([SCALED], ours, ours).tensors
    originals = rounded([SCALED], ours, theirs)
    assert not torch.equal(backwards([(SCALED,)], theirs, "net", {}).tensors["ours"], ours["ours"])
    assert torch.equal(backwards([(SCALED,)], theirs, "net", originals).tensors["ours"], ours["ours"])


def test_originals_of_weights_trained_further_are_not_used() -> None:
    ours = {"ours": weights()}
    theirs = forwards([SCALED], ours, ours).tensors
    originals = rounded([SCALED], ours, theirs)
    trained = {"theirs": theirs["theirs"] + 0.5}
    found = backwards([(SCALED,)], trained, "net", originals).tensors["ours"]
    torch.testing.assert_close(found, SCALED.layout.back(trained["theirs"]))
    resized = {"ours": originals["ours"][:, :1]}
    torch.testing.assert_close(backwards([(SCALED,)], theirs, "net", resized).tensors["ours"], ours["ours"])


def test_no_originals_are_kept_where_nothing_is_rounded() -> None:
    ours = {"ours": weights()}
    row = Row("theirs", SCALED.shape, "ours", columns_scaled([1.0, 1.0, 1.0, 0.25]).then(SPCONV1))
    assert not rounded([row], ours, forwards([row], ours, ours).tensors)
