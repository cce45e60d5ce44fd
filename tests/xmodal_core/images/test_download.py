"""Files from the network: whole or not at all, and the same ever after."""

from __future__ import annotations

import hashlib
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from xmodal_core.errors import DataError, RunError
from xmodal_core.images import _download
from xmodal_core.images._download import fetch

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.fixture
def url(shop: Any) -> str:
    shop.files["/weights/net.pth"] = CONTENT
    return f"{shop.address}/weights/net.pth"


def test_it_is_fetched_once_with_its_checksum_beside_it(shop: Any, url: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "weights"
    file = fetch(url, folder)
    assert file.read_bytes() == CONTENT
    assert left_in(folder) == ["net.pth", "net.pth.sha256"]
    assert (folder / "net.pth.sha256").read_text() == f"{SHA256}  net.pth\n"
    assert fetch(url, folder, SHA256) == file
    assert shop.asked == ["/weights/net.pth"]


def test_progress_is_told(url: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    fetch(url, tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert {total for _, total in told} == {len(CONTENT)}
    assert told[-1] == (len(CONTENT), len(CONTENT))
    fetch(url, tmp_path, on_progress=lambda done, total: pytest.fail("nothing is left to fetch"))


def test_a_server_that_states_no_length_is_believed(shop: Any, url: str, tmp_path: Path) -> None:
    shop.states_length = False
    told: list[int] = []
    file = fetch(url, tmp_path, on_progress=lambda done, total: told.append(total))
    assert file.read_bytes() == CONTENT
    assert set(told) == {0}


def test_another_checksum_is_refused_and_nothing_is_kept(url: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"{url} is not the file.*{SHA256}, not 0123456789"):
        fetch(url, tmp_path, "0123456789")
    assert left_in(tmp_path) == []
    assert fetch(url, tmp_path, SHA256[:8].upper()).read_bytes() == CONTENT


def test_a_download_that_breaks_off_is_refused_and_nothing_is_kept(shop: Any, url: str, tmp_path: Path) -> None:
    shop.longer = 10
    with pytest.raises(RunError, match=r"net\.pth"):
        fetch(url, tmp_path)
    assert left_in(tmp_path) == []


def test_what_is_not_there_is_named_with_what_to_do(shop: Any, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"cannot download .*/none\.pth .*: HTTP 404.*put it at .*/none\.pth.*--weights FILE"
    ):
        fetch(f"{shop.address}/none.pth", tmp_path)
    assert left_in(tmp_path) == []


def test_a_server_that_is_not_there_is_named(tmp_path: Path, shop: Any) -> None:
    with pytest.raises(RunError, match=r"cannot download http://127\.0\.0\.1:1/net\.pth.*refused"):
        fetch("http://127.0.0.1:1/net.pth", tmp_path)


def test_a_server_that_falls_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "TIMEOUT", 0.1)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RunError, match="timed out"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/net.pth", tmp_path)


def test_a_folder_that_cannot_be_made_is_named(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot download .*file"):
        fetch(url, tmp_path / "file" / "folder")


def test_a_full_disk_is_told_and_nothing_is_kept(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_download, "_copy", full)
    with pytest.raises(RunError, match="No space left on device"):
        fetch(url, tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("stated", ["", SHA256])
def test_a_file_that_changed_later_is_refused(url: str, tmp_path: Path, stated: str) -> None:
    file = fetch(url, tmp_path, stated)
    file.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DataError, match=rf"{file}.*not {SHA256}.*delete it"):
        fetch(url, tmp_path, stated)


def test_a_file_put_there_by_hand_is_taken(shop: Any, url: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(CONTENT)
    assert fetch(url, tmp_path).read_bytes() == CONTENT
    assert shop.asked == []


def test_two_at_a_time_fetch_it_once(shop: Any, url: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda _: fetch(url, tmp_path), range(4)))
    assert {file.read_bytes() for file in files} == {CONTENT}
    assert shop.asked == ["/weights/net.pth"]
