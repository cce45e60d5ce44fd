"""Where it is served, and to whom."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPConnection

import pytest

from tests.viz.tuner.conftest import ExampleSource
from viz.tuner.server import HOST, free_port, serve, tunnel
from xmodal_core.errors import RunError
from xmodal_core.units.config import UnitsConfig


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port(port) <= port + 20
    assert free_port(0) > 0


def test_when_no_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError

    monkeypatch.setattr(socket, "socket", Taken)
    with pytest.raises(RunError, match="8050 to 8069"):
        free_port(8050)


@pytest.mark.parametrize(
    ("connection", "line"),
    [
        ("10.0.0.1 5000 10.0.0.2 22", "ssh -N -L 8050:127.0.0.1:8050 ada@10.0.0.2"),
        ("10.0.0.1 5000 10.0.0.2 2222", "ssh -N -L 8050:127.0.0.1:8050 -p 2222 ada@10.0.0.2"),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_way_in_over_ssh(connection: str, line: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", connection)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert tunnel(8050) == line


def get(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    connection = HTTPConnection(HOST, port, timeout=20)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    text = answer.read().decode("utf-8")
    connection.close()
    return answer.status, text


def test_it_answers_to_this_machine_only(source: ExampleSource, small: UnitsConfig) -> None:
    ports: list[int] = []
    known = threading.Event()

    def ready(port: int) -> None:
        ports.append(port)
        known.set()

    threading.Thread(target=serve, args=(source, small), kwargs={"port": 0, "ready": ready}, daemon=True).start()
    assert known.wait(30)
    status, page = get(ports[0], "/")
    assert status == 200
    assert "example" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert get(ports[0], "/tuner.js")[0] == get(ports[0], "/plotly.js")[0] == 200
    assert get(ports[0], "/", f"localhost:{ports[0]}")[0] == 200
    assert get(ports[0], "/scene/99")[0] == 410
    assert get(ports[0], "/", f"evil.example:{ports[0]}")[0] == 403
