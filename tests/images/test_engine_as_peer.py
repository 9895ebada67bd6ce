"""The engine itself as the upstream: its own client runs exec and attach through the ambassador."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator

import pytest

from tests.ambassador.support import Ambassador, Backend, Peer
from tests.conftest import Start
from tests.images.support import docker
from tools.names import official

pytestmark = pytest.mark.engine

IMAGE = official("debian")  # the base of our own images, so the engine has it
INPUT = bytes(range(256)) * 4000


def engine(peer: Peer) -> None:
    """Forward TCP to the engine's socket: the ambassador reaches upstreams over TCP only."""
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(path)
        back = threading.Thread(target=pump, args=(there, peer.socket))
        back.start()
        pump(peer.socket, there)
        back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def host(start: Start) -> Iterator[str]:
    """Return the engine's address, through the ambassador."""
    backend = Backend(engine)
    ambassador = Ambassador(start, backend.url)
    yield f"tcp://127.0.0.1:{ambassador.port}"
    backend.stop()


@pytest.fixture
def container() -> Iterator[str]:
    name = f"ambassador-{uuid.uuid4().hex[:8]}"
    docker("run", "--detach", "--rm", "--name", name, "--network", "none", IMAGE, "sleep", "infinity")
    yield name
    docker("rm", "--force", name)


def through(host: str, *command: str, data: bytes = b"") -> bytes:
    environ = {**os.environ, "DOCKER_HOST": host}
    done = subprocess.run(["docker", *command], input=data, capture_output=True, env=environ, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_piped_into_a_container_comes_back(host: str, container: str) -> None:
    assert through(host, "exec", "--interactive", container, "cat", data=INPUT) == INPUT


def test_a_command_in_a_container_ends_with_its_output(host: str, container: str) -> None:
    assert through(host, "exec", container, "echo", "done") == b"done\n"


def test_a_container_that_is_attached_to_ends_when_its_input_does(host: str) -> None:
    ran = through(host, "run", "--interactive", "--rm", "--network", "none", IMAGE, "cat", data=INPUT)
    assert ran == INPUT
