"""Real servers on this machine, each started once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lateapex.errors import StorageError
from lateapex.storage import open_storage

KEY, SECRET, BUCKET = "racer", "not-for-any-log", "lateapex"

PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance", "admin.port", "admin.port.grpc"),
)
PATIENCE_S = 60.0


class ObjectStore:
    """A SeaweedFS server with one bucket, which checks signatures; it can be stopped, and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.end_point = f"http://127.0.0.1:{self._ports['s3.port']}"
        self.server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        program, folder = Path(sys.executable).with_name("weed"), self._folder
        assert program.exists(), "the tests against real servers need SeaweedFS: make test-all installs it"
        command = [
            *(program, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"),
            *("-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.autoCreateBucket=false"),
            *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"),
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]
        secrets = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **secrets}
        with (folder / "log").open("ab") as log:
            self.server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_for(self.server, self.end_point, folder / "log")

    def stop(self) -> None:
        """Return when it is gone; its files stay."""
        if self.server is None:
            return
        self.server.terminate()
        try:
            self.server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


@pytest.fixture(scope="session")
def object_store(tmp_path_factory) -> Iterator[str]:
    """The end point of a server."""
    store = ObjectStore(tmp_path_factory.mktemp("seaweedfs"))
    try:
        store.start()
        yield store.end_point
    finally:
        store.stop()


def wait_for(server: subprocess.Popen[bytes], end_point: str, log: Path) -> None:
    """Return when the bucket takes a file."""
    with pytest.MonkeyPatch.context() as patch:
        sign_in(patch, end_point)
        storage, end = open_storage(f"s3://{BUCKET}"), time.monotonic() + PATIENCE_S
        while server.poll() is None and time.monotonic() < end:
            try:
                return storage.write("up", b"")
            except StorageError:
                time.sleep(0.1)
    raise AssertionError(f"SeaweedFS did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def signed_in(end_point: str) -> dict[str, str]:
    """What the environment of a process says that may use the server."""
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL_S3": end_point}


def sign_in(patch: pytest.MonkeyPatch, end_point: str) -> None:
    for name, value in signed_in(end_point).items():
        patch.setenv(name, value)


@pytest.fixture
def bucket_url(object_store, monkeypatch) -> str:
    """An empty place in the server's bucket; this process is signed in."""
    sign_in(monkeypatch, object_store)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[int]:
    """The port of a Redis server that asks for a password and keeps nothing on disk."""
    program = shutil.which("redis-server")
    assert program is not None, "the tests against real servers need Redis: apt-get install redis-server"
    folder, (port,) = tmp_path_factory.mktemp("redis"), free_ports(1)
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--requirepass", SECRET], stdout=log, stderr=log)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REDIS_PASSWORD", SECRET)
            open_storage(f"redis://127.0.0.1:{port}").write("up", b"")  # waits until the server answers
        yield port
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


@pytest.fixture
def redis_url(redis_server, monkeypatch) -> str:
    """An empty place in the server's database; this process is signed in."""
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    return f"redis://127.0.0.1:{redis_server}/0/{uuid.uuid4().hex}"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
