"""A made official route, and a server on this machine that behaves and misbehaves as servers do."""

from __future__ import annotations

import hashlib
import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from lateapex.world.official import OfficialRoute

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def route_bytes(rows: int = 101, length: float = 20.0) -> bytes:
    """Make the file of a ring of that length; its last row repeats the first."""
    count = rows - 1
    angles = np.arange(count) / count * 2 * math.pi
    radius = length / (2 * count * math.sin(math.pi / count))
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rings = np.hstack([radius * unit, (radius - 0.4) * unit, (radius + 0.4) * unit])
    file = BytesIO()
    np.save(file, np.vstack([rings, rings[:1]]))
    return file.getvalue()


def made_routes() -> dict[str, OfficialRoute]:
    """A table with one route whose checksum is known, and one whose is not."""
    checked = hashlib.sha256(route_bytes()).hexdigest()
    routes = (OfficialRoute("Checked", 101, 20.0, checked), OfficialRoute("Unchecked", 101, 20.0, None))
    return {route.name: route for route in routes}


class RouteServer(ThreadingHTTPServer):
    """Serves `<behaviour>/<name>.npy`; a behaviour is a name of `files`, "404", "500", "hangs" or "drips"."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.asked: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: RouteServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        behaviour = self.path.split("/")[1]
        if behaviour in ("404", "500"):
            self.send_error(int(behaviour))
        elif behaviour == "hangs":
            self.server.over.wait(10)
        elif behaviour == "drips":
            self._send(100, b"")
            while not self.server.over.wait(0.02):
                self.wfile.write(b"x")
        elif behaviour == "breaks":
            self._send(len(route_bytes()), route_bytes()[:600])
        else:
            data = self.server.files[behaviour]
            self._send(None if behaviour == "short" else len(data), data)

    def _send(self, length: int | None, data: bytes) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[RouteServer]:
    """A running server; hanging answers end with the block."""
    with RouteServer(files) as server:
        # Its own polling interval is how long stopping it takes.
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def left_in(folder: Path) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []
