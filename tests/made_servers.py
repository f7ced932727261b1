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


@pytest.fixture(scope="session")
def object_store(tmp_path_factory) -> Iterator[str]:
    """The end point of a SeaweedFS server with one bucket, which checks signatures."""
    program = Path(sys.executable).with_name("weed")
    assert program.exists(), "the tests against real servers need SeaweedFS: make test-all installs it"
    folder = tmp_path_factory.mktemp("seaweedfs")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    command = [
        *(program, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"),
        *("-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.autoCreateBucket=false"),
        *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"),
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    secrets = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], "HOME": str(folder), **secrets}, stdout=log, stderr=log
        )
    try:
        end_point = f"http://127.0.0.1:{ports['s3.port']}"
        wait_for(server, end_point, folder / "log")
        yield end_point
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


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


def sign_in(patch: pytest.MonkeyPatch, end_point: str) -> None:
    patch.setenv("AWS_ACCESS_KEY_ID", KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_ENDPOINT_URL_S3", end_point)


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
