"""A server on this machine that hands out files well or badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Shop:
    """What the server gives: ``files`` by path, told to be ``longer`` by so many bytes than they are; and the paths
    it was ``asked`` for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.longer = 0
        self.states_length = True
        self.asked: list[str] = []


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("no_proxy", "*")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stock.asked.append(self.path)
            body = stock.files.get(self.path)
            self.send_response(200 if body is not None else 404)
            if stock.states_length:
                self.send_header("Content-Length", str(len(body or b"") + stock.longer))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stock = Shop(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield stock
    server.shutdown()
    thread.join()
    server.server_close()
