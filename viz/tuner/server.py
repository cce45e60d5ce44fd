"""Serves the tuner on 127.0.0.1 until it is interrupted."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from viz.tuner.app import make_app
from viz.tuner.session import Source
from xmodal_core.errors import RunError
from xmodal_core.units.config import UnitsConfig

HOST = "127.0.0.1"
TRIES = 20


def serve(
    source: Source,
    start: UnitsConfig,
    *,
    frame: int = 0,
    save: Path = Path("units_tuned.yaml"),
    port: int = 8050,
    ready: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until interrupted.

    Args:
        source: where frames come from.
        start: the settings to start from.
        frame: the first one to look at.
        save: where "save" proposes to write.
        port: the first to try; 0 for any.
        ready: told the port, once somebody may connect to it.

    Raises:
        RunError: no port is free.
    """
    from werkzeug.serving import make_server

    app = make_app(source, start, frame, save)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request says nothing
    server = make_server(HOST, free_port(port), app.server, threaded=True)
    try:
        ready(server.server_port)
        server.serve_forever()
    finally:
        server.server_close()


def free_port(first: int) -> int:
    """``first`` or one of those after it, whichever is free; any where ``first`` is 0."""
    for port in range(first, first + TRIES) if first else [0]:
        with socket.socket() as probe:
            # As the server does it: a port that was left a moment ago may be taken again.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RunError(f"ports {first} to {first + TRIES - 1} are all taken", "choose another --port")


def tunnel(port: int) -> str | None:
    """The line to type on one's own machine to see the page there; None where this machine is not used over ssh."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    if len(connection) != 4:
        return None
    server, server_port = connection[2:]
    aside = "" if server_port == "22" else f" -p {server_port}"
    return f"ssh -N -L {port}:{HOST}:{port}{aside} {getpass.getuser()}@{server}"
