"""Shortages of this process or its node: the app gets 503, no endpoint is blamed, and the shortage is logged."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ambassador.limited import SERVERS
from tests.ambassador.support import GET, Ambassador, Backend, Peer, answering, backends
from tests.conftest import Start
from tests.support import PATIENCE, Program, get, wait_until

LIMITED = "tests.ambassador.limited"
HOLD = b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"


def responds_again(ambassador: Ambassador | Inside) -> bool:
    with contextlib.suppress(OSError, AssertionError):
        return ambassador.ask()[0] == 200
    return False


# -- errors and their causes --------------------------------------------------------------------------------------


# -- local ports --------------------------------------------------------------------------------------------------


class Inside:
    """An ambassador in a network of its own, reached through unix sockets."""

    def __init__(self, start: Start, folder: Path, upstream: str, **environ: str) -> None:
        self.listen, self.admin = folder / "listen", folder / "admin"
        self.program: Program = start(
            LIMITED,
            LOCAL_PORTS="40000 40003",
            AMBASSADOR_LISTEN=f"unix:{self.listen}",
            AMBASSADOR_ADMIN_LISTEN=f"unix:{self.admin}",
            AMBASSADOR_UPSTREAM=upstream,
            **{f"AMBASSADOR_{name}": value for name, value in environ.items()},
        )
        self.program.wait_logged("admin endpoints answer")
        wait_until(lambda: self._get("/readyz").status_code == 200, "ready")

    def connect(self) -> Peer:
        own = socket.socket(socket.AF_UNIX)
        own.connect(str(self.listen))
        return Peer(own)

    def ask(self) -> tuple[int, bytes, bytes]:
        with self.connect() as peer:
            peer.send(GET)
            return peer.response()

    def _get(self, path: str) -> httpx.Response:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.admin)), trust_env=False, timeout=PATIENCE
        ) as client:
            return client.get(f"http://a{path}")

    def endpoints(self) -> list[dict[str, Any]]:
        page = self._get("/status").json()
        return [each for target in page["upstreams"]["default"]["targets"] for each in target["endpoints"]]

    def metrics(self) -> str:
        return self._get("/metrics").text

    @contextlib.contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Hold `count` upstream connections to the first server."""
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(self.connect()).send(HOLD)
            wait_until(lambda: sum(each["connections"] for each in self.endpoints()) >= count, "connections")
            yield


def test_without_a_free_local_port_the_endpoint_is_not_blamed(start: Start, tmp_path: Path) -> None:
    inside = Inside(start, tmp_path, f"http://127.0.0.1:{SERVERS[0]}")
    with inside.holding(4):
        for _ in range(10):
            status, head, body = inside.ask()
            assert status == 503
            assert b"no local port is free" in head
            assert b"no local port is free" in body
        (endpoint,) = inside.endpoints()
        assert endpoint["state"] == "ready"
        assert (endpoint["failed"], endpoint["failures_in_a_row"], endpoint["ejections"]) == (0, 0, 0)
        assert 'sidecar_resource_exhausted_total{resource="ports"}' in inside.metrics()
        lines = [line for line in inside.program.logs if "local port" in line["msg"]]
        assert 1 <= len(lines) <= 3  # far fewer than requests
    wait_until(lambda: responds_again(inside), "a response when ports are free again")


def test_without_a_free_local_port_another_endpoint_is_tried(start: Start, tmp_path: Path) -> None:
    """A local port that is in use towards one address is free towards another one."""
    both = ",".join(f"http://127.0.0.1:{port}" for port in SERVERS)
    inside = Inside(start, tmp_path, both, BALANCE="round_robin", RETRY_BUDGET="100%")
    with inside.holding(6):
        assert [inside.ask()[0] for _ in range(6)] == [200] * 6
        assert {each["failed"] for each in inside.endpoints()} == {0}


def test_a_check_without_a_free_local_port_says_nothing_of_the_endpoint(start: Start, tmp_path: Path) -> None:
    inside = Inside(start, tmp_path, f"http://127.0.0.1:{SERVERS[0]}", HEALTH_INTERVAL="100ms")
    wait_until(lambda: inside.endpoints()[0]["health"] == "healthy", "a first check")
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(inside.connect()).send(HOLD)
        used_up = 'sidecar_resource_exhausted_total{resource="ports"} '
        wait_until(lambda: float(inside.metrics().partition(used_up)[2].split("\n")[0]) > 10, "checks without a port")
        assert inside.endpoints()[0]["health"] == "healthy"
        assert inside.endpoints()[0]["ejections"] == 0


def test_a_tunnel_without_a_free_local_port_does_not_blame_the_endpoint(start: Start, tmp_path: Path) -> None:
    inside = Inside(start, tmp_path, f"tcp://127.0.0.1:{SERVERS[0]}")
    with inside.holding(4):
        for _ in range(5):
            with inside.connect() as peer:
                assert not peer.rest()
        (endpoint,) = inside.endpoints()
        assert (endpoint["state"], endpoint["failed"], endpoint["pending"]) == ("ready", 0, 4)
    wait_until(lambda: responds_again(inside), "a response when ports are free again")


# -- descriptors --------------------------------------------------------------------------------------------------


def limited(start: Start, upstream: str, files: str, **environ: str) -> Ambassador:
    return Ambassador(lambda _, **given: start(LIMITED, OPEN_FILES=files, **given), upstream, **environ)


def holding(peer: Peer) -> None:
    """Respond to every request at once, but never to /hold."""
    while head := peer.head():
        if b"/hold" not in head:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def alive(ambassador: Ambassador) -> bool:
    return get(f"http://127.0.0.1:{ambassador.admin}/livez").status_code == 200


def use_up(ambassador: Ambassador, peers: list[Peer], files: int) -> None:
    """Hold requests until no descriptor is free."""
    for _ in range(files):
        peers.append(ambassador.connect())
        peers[-1].send(HOLD)
    wait_until(lambda: ambassador.metric("sidecar_resource_exhausted_total", resource="descriptors"), "the end")


@pytest.mark.parametrize("files", ["40 64", "100 100", "64 300"])
def test_without_a_free_descriptor_it_says_so_and_lives_on(start: Start, files: str) -> None:
    backend = Backend(holding)
    ambassador = limited(start, backend.url, files)
    peers: list[Peer] = []
    try:
        use_up(ambassador, peers, int(files.split()[1]))
        for _ in range(30):  # rejected connections do not use up the reserve
            peers.append(ambassador.connect())
            peers[-1].send(GET)
            response = peers[-1].rest()
            assert response.startswith(b"HTTP/1.1 503 ")
            assert b"Proxy-Status: ambassador; error=connection_limit_reached" in response
            assert b"may not open more" in response
        assert alive(ambassador)
        assert ambassador.endpoint(backend)["state"] == "ready"
        assert ambassador.endpoint(backend)["failed"] == 0
        assert ambassador.metric("sidecar_resource_exhausted_total", resource="descriptors") >= 1
        assert ambassador.metric("ambassador_errors_total", error="connection_limit_reached") >= 30
        assert [line for line in ambassador.program.logs if "no file descriptor is free" in line["msg"]]
    finally:
        for peer in peers:
            peer.close()
    wait_until(lambda: responds_again(ambassador), "a response when descriptors are free again")
    backend.stop()


def test_with_a_high_hard_limit_a_low_soft_one_limits_nothing(start: Start) -> None:
    backend = Backend(holding)
    ambassador = limited(start, backend.url, "40 1024")
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(ambassador.connect()).send(HOLD)
        wait_until(lambda: ambassador.endpoint(backend)["connections"] >= 150, "150 connections")
        assert ambassador.ask()[0] == 200
        assert ambassador.metric("sidecar_resource_exhausted_total", resource="descriptors") == 0
    backend.stop()


def test_a_worker_that_cannot_be_started_is_tried_again(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = Ambassador(start, backend.url, WORKERS="2")
        page = get(f"http://127.0.0.1:{ambassador.admin}/status").json()
        parent = ambassador.program.process.pid
        before = resource.prlimit(parent, resource.RLIMIT_NOFILE)
        resource.prlimit(parent, resource.RLIMIT_NOFILE, (3, before[1]))
        os.kill(page["workers"][0]["pid"], signal.SIGKILL)
        assert ambassador.program.wait_logged("a worker cannot be started")["worker"] == 1
        resource.prlimit(parent, resource.RLIMIT_NOFILE, before)
        ambassador.program.wait_ready(ambassador.admin)
        assert ambassador.ask()[0] == 200


def test_a_limit_that_cannot_hold_max_connections_is_told_at_the_start(start: Start) -> None:
    with backends(answering()) as (backend,):
        ambassador = limited(start, backend.url, "100 100")
        line = ambassador.program.wait_logged("the limit of open files is too low for MAX_CONNECTIONS")
        assert line["limit"] <= 100
        assert line["needed"] > 8192
        enough = limited(start, backend.url, "100 300", MAX_CONNECTIONS="50")
        assert enough.ask()[0] == 200
        assert not [line for line in enough.program.logs if "too low" in line["msg"]]


def test_connections_to_tcp_without_a_free_descriptor_are_closed_counted_and_told_of_once(start: Start) -> None:
    backend = Backend(holding)
    ambassador = limited(start, f"tcp://127.0.0.1:{backend.port}", "100 100")
    peers: list[Peer] = []
    try:
        use_up(ambassador, peers, 100)
        assert alive(ambassador)
        assert ambassador.endpoint(backend)["failed"] == 0
        logged = [line for line in ambassador.program.logs if line["level"] == "warning"]
        assert len(logged) < 10
    finally:
        for peer in peers:
            peer.close()
    wait_until(lambda: responds_again(ambassador), "a response when descriptors are free again")
    backend.stop()
