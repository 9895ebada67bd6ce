"""Thousands of silent connections: each probe is answered meanwhile, and memory and descriptors stay bounded.

They come from a process of their own. While it opens connections faster than the port can take them, a prober that gets
no CPU may lose its place, and probes again, as a kubelet does. Once all are taken nobody competes: then each probe must
be answered at once, from the address of the silent ones and from another one. Nothing here depends on a time.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import METRICS, Adapter, App, respond
from tests.silent import OPEN, silent_connections
from tests.support import PATIENCE, wait_until

PROBES = 20  # while the connections are opened, and twice as many when they are open
MOST_GROWTH = 24 * 1024  # KiB; the figure, 8 MiB, is measured by benchmarks.silent_connections
DESCRIPTORS = 32  # beyond the budget
SAME, OTHER = "127.0.1.1", "127.0.0.9"
OK = b"HTTP/1.1 200 OK\r\n"
HANDSHAKES = "a hello"


def rss(pid: int) -> int:
    """Return the resident memory of the process in KiB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def probe(port: int, path: str, address: str, tls: ssl.SSLContext | None = None) -> bytes:
    """Return the response's first line to a request on a new connection from this address."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or TLS waits 40 ms for an acknowledgement
        own = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        with own:
            own.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return own.makefile("rb").readline()


@dataclass(frozen=True)
class Target:
    """A port of the adapter, a path that is answered with 200, and the connections that it may have."""

    running: Adapter
    port: int
    path: str
    budget: int
    tls: ssl.SSLContext | None = None

    def probe(self, number: int) -> bytes:
        return probe(self.port, self.path, (SAME, OTHER)[number % 2], self.tls)

    def is_answered(self, number: int) -> bool:
        """Probe once. Return False if the connection was shed."""
        try:
            answer = self.probe(number)
        except OSError:  # a reset, or the end of a handshake
            return False
        assert answer in (OK, b"")
        return answer == OK

    def check(self, kind: str, count: int, addresses: int) -> None:
        """Probe the port while it has silent connections."""
        pid = self.running.program.process.pid
        assert [self.probe(number) for number in range(8)] == [OK] * 8  # whatever is loaded at first, is loaded
        before = rss(pid)
        with silent_connections(self.port, count, kind, addresses) as holder:
            assert holder.stdout is not None
            for _ in range(PROBES):
                wait_until(lambda: self.is_answered(1), "a probe of another address, while connections are opened")
            assert holder.stdout.readline().strip() == OPEN
            for number in (0, 1):  # the port takes connections in their order: after that it has taken all
                wait_until(lambda: self.is_answered(number), "a probe behind all of them")  # noqa: B023 - called at once
            for number in range(2 * PROBES):
                if kind == HANDSHAKES:  # they go on, a few at a time, and compete with those of the probes
                    wait_until(lambda: self.is_answered(number), "a probe between handshakes")  # noqa: B023 - called at once
                else:
                    assert self.probe(number) == OK
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            growth = rss(pid) - before
        assert descriptors <= self.budget + DESCRIPTORS
        assert growth <= MOST_GROWTH, f"{growth} KiB"


@pytest.mark.parametrize(
    ("kind", "count", "addresses"),
    [
        ("nothing", 3000, 1),
        ("a request", 3000, 100),
        ("half a head", 3000, 1),
    ],
)
def test_probes_of_the_admin_port_are_answered(adapter: StartAdapter, kind: str, count: int, addresses: int) -> None:
    running = adapter("http://127.0.0.1:1")
    Target(running, running.admin, "/livez", 512).check(kind, count, addresses)
    if count > 512:
        assert running.metric("sidecar_connections_shed_total", listener="admin") > 0
    assert running.metric("sidecar_connections_refused_total", listener="admin") == 0


@pytest.mark.parametrize(
    ("kind", "count", "addresses"),
    [
        ("nothing", 3000, 100),
        ("a request", 3000, 1),
        ("half a head", 3000, 100),
    ],
)
def test_probes_of_the_app_are_answered(adapter: StartAdapter, kind: str, count: int, addresses: int) -> None:
    with App({"/metrics": respond(METRICS)}) as app:
        running = adapter(app.url)
        Target(running, running.port, "/health", 2048).check(kind, count, addresses)


@pytest.mark.parametrize(
    ("kind", "count", "addresses"),
    [
        ("nothing", 3000, 100),
        ("half a hello", 3000, 1),
        ("a hello", 1000, 1),
    ],
)
def test_probes_of_the_app_over_tls_are_answered(
    adapter: StartAdapter, tmp_path: Path, kind: str, count: int, addresses: int
) -> None:
    authority = trustme.CA()
    pem = tmp_path / "tls.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with App({"/metrics": respond(METRICS)}) as app:
        running = adapter(app.url, ADAPTER_TLS_CERT=str(pem))
        Target(running, running.port, "/health", 2048, client).check(kind, count, addresses)
