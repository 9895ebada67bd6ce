"""Thousands of silent connections: each probe is answered meanwhile, and memory and descriptors stay bounded.

They come from a process of their own. Half of the probes come while the connections are opened, half when all are open,
from the address of the silent ones and from another one. While one address opens connections faster than the process
can work, the budget sheds its oldest ones, and one of them may be a probe from the same address. No other is lost.
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
from tests.support import PATIENCE

PROBES = 20  # while the connections are opened, and again when they are open
MOST_GROWTH = 24 * 1024  # KiB; the figure, 8 MiB, is measured by benchmarks.silent_connections
DESCRIPTORS = 32  # beyond the budget
SAME, OTHER = "127.0.1.1", "127.0.0.9"
OK = b"HTTP/1.1 200 OK\r\n"
SHED = b""


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

    def probe_as_a_kubelet(self, number: int) -> bytes:
        """Return the first answer of up to three probes: three failures in a row are a failure (failureThreshold).

        On a busy machine a handshake may lose its place among many others before the prober gets the CPU.
        """
        answers = (self.probe_or_shed(number) for _ in range(3))
        return next((answer for answer in answers if answer not in (SHED, b"")), SHED)

    def probe_or_shed(self, number: int) -> bytes:
        try:
            return self.probe(number)
        except OSError:  # a reset, or the end of a handshake
            return SHED

    def check(self, kind: str, count: int, addresses: int) -> None:
        """Probe the port while it has silent connections."""
        pid = self.running.program.process.pid
        assert [self.probe(number) for number in range(8)] == [OK] * 8  # whatever is loaded at first, is loaded
        before = rss(pid)
        with silent_connections(self.port, count, kind, addresses) as holder:
            assert holder.stdout is not None
            meanwhile = [
                self.probe_as_a_kubelet(number) if number % 2 else self.probe_or_shed(number)
                for number in range(PROBES)
            ]
            assert holder.stdout.readline().strip() == OPEN
            answers = [self.probe_as_a_kubelet(number) for number in range(PROBES)]
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            growth = rss(pid) - before
        assert answers + meanwhile[1::2] == [OK] * (PROBES + PROBES // 2)
        assert set(meanwhile[::2]) <= {OK, SHED, b""}
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
