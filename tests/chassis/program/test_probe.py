"""The health client, as HEALTHCHECK runs it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import PATIENCE, ROOT, free_port

Probe = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Run the probe in a tree with one sidecar beside the chassis, as in an image."""
    for part in ("sidecars/chassis", "sidecars/adapter"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "sidecars/__init__.py", tmp_path / "sidecars")

    def run(*arguments: str, timeout: float = PATIENCE, **environ: str) -> subprocess.CompletedProcess[str]:
        script = "import sys; from sidecars.chassis import probe; probe.TIMEOUT = float(sys.argv.pop(1)); "
        command = [sys.executable, "-c", f"{script} sys.exit(probe.main(sys.argv[1:]))", str(timeout), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    return run


@contextmanager
def server(response: bytes, listener: socket.socket | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """Run a server that gives every client the same response; yield its port and the requests."""
    asked: list[bytes] = []
    with listener or socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(response)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield (listening.getsockname()[1] if listening.family != socket.AF_UNIX else 0), asked
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


ALIVE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nalive\n"
DEAD = b"HTTP/1.1 503 Unavailable\r\nContent-Length: 23\r\n\r\nnot alive: reader died\n\n"


def test_it_asks_livez_at_the_admin_address_of_the_same_environment(probe: Probe) -> None:
    with server(ALIVE) as (port, asked):
        ended = probe(ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{port}")

    assert (ended.returncode, ended.stdout) == (0, "alive\n")
    assert asked[0].startswith(b"GET /livez HTTP/1.1\r\n")


@pytest.mark.parametrize("host", ["", "0.0.0.0", "localhost"])
def test_a_server_on_all_interfaces_is_asked_on_loopback(probe: Probe, host: str) -> None:
    with server(ALIVE) as (port, _):
        assert probe(ADAPTER_ADMIN_LISTEN=f"{host}:{port}").returncode == 0


def test_a_server_on_a_unix_socket_is_asked_there(probe: Probe, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{tmp_path}/x")
    listener.listen()
    with server(ALIVE, listener):
        assert probe(ADAPTER_ADMIN_LISTEN=f"unix:{tmp_path}/x").returncode == 0


def test_another_endpoint_can_be_asked(probe: Probe) -> None:
    with server(ALIVE) as (port, asked):
        assert probe("/readyz", ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{port}").returncode == 0

    assert asked[0].startswith(b"GET /readyz ")


def test_any_other_url_can_be_asked(probe: Probe) -> None:
    with server(ALIVE) as (port, asked):
        assert probe(f"http://127.0.0.1:{port}/health?verbose").returncode == 0

    assert asked[0].startswith(b"GET /health?verbose ")


def test_503_is_a_failure_that_says_why(probe: Probe) -> None:
    with server(DEAD) as (port, _):
        ended = probe(ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{port}")

    assert (ended.returncode, ended.stdout) == (1, "not alive: reader died\n")


@pytest.mark.parametrize("response", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_any_other_answer_is_a_failure(probe: Probe, response: bytes) -> None:
    with server(response) as (port, _):
        ended = probe(ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{port}")

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_nobody_there_is_a_failure(probe: Probe) -> None:
    ended = probe(ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{free_port()}")

    assert ended.returncode == 1
    assert "Connection refused" in ended.stderr


def test_a_server_that_hangs_is_a_failure(probe: Probe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = probe(timeout=0.2, ADAPTER_ADMIN_LISTEN=f"127.0.0.1:{listener.getsockname()[1]}")

    assert ended.returncode == 1
    assert "timed out" in ended.stderr


def test_a_sidecar_without_an_admin_server_has_nothing_to_be_asked(probe: Probe) -> None:
    ended = probe(ADAPTER_ADMIN_LISTEN="off")

    assert (ended.returncode, ended.stdout) == (0, "there is no admin endpoint to ask\n")


def test_bad_settings_are_a_failure_and_told(probe: Probe) -> None:
    ended = probe(ADAPTER_ADMIN_LISTEN="nonsense")

    assert ended.returncode == 1
    assert "ADAPTER_ADMIN_LISTEN=nonsense" in ended.stderr


@pytest.mark.parametrize("target", ["livez", "127.0.0.1:80/x", "https://127.0.0.1/x", "http://", "--help"])
def test_what_is_neither_a_path_nor_a_plain_url_is_refused(probe: Probe, target: str) -> None:
    ended = probe(target)

    assert ended.returncode == 1
    assert "expected a path or http://host[:port]/path" in ended.stderr


def test_it_loads_nothing_but_the_standard_library() -> None:
    script = "import sys, sidecars.chassis.probe; print('aiohttp' in sys.modules or 'asyncio' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"
