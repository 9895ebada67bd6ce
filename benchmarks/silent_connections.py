"""Hold 3,000 silent connections to the adapter and probe it: `python -m benchmarks.silent_connections`.

The connections come from a process of their own, from one address or from a hundred, and send nothing, a request, half
a head, half a ClientHello or a whole one. Probes come from the same address and from another one, while the connections
are opened and when all are open. The figures are the slowest probe of each kind from either, with its TLS handshake,
and the growth of the resident memory. nginx and HAProxy stand beside it with the same number of connections and their
default time-outs for a head; a probe that they do not answer within 2 s counts as 2 s.

The exit status is 1 if a figure misses its limit, or if the adapter does not answer a probe.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from benchmarks.figures import Comparison, Figure, conclude
from tests.silent import silent_connections
from tests.support import free_port, peer, responds, wait_until

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 3000
PROBES = 50  # while the connections are opened, and again when all are open
PATIENCE = 2.0  # seconds for a probe
SAME, OTHER = "127.0.1.1", "127.0.0.9"
MOST_LATENCY, MOST_GROWTH = 250.0, 8.0  # ms, MiB

NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 "alive"; }} }} }}
"""
HAPROXY = """
global
  maxconn 2048
defaults
  mode http
  timeout client 60s
  timeout http-request 10s
frontend in
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string alive
"""


@dataclass(frozen=True)
class Result:
    """What 3,000 silent connections did to a server: the slowest probes in ms, unanswered ones, and MiB of memory."""

    same: float  # address
    other: float
    unanswered: tuple[int, int]
    growth: float

    @property
    def slowest(self) -> float:
        return max(self.same, self.other)


def rss(pid: int) -> float:
    """Return the resident memory of the process in MiB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def probe(port: int, address: str, tls: ssl.SSLContext | None) -> float | None:
    """Return the milliseconds until the response to a probe on a new connection; None without a 200."""
    began = time.perf_counter()
    place = ("127.0.0.1", port)
    with contextlib.suppress(OSError), socket.create_connection(place, PATIENCE, (address, 0)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or TLS waits 40 ms for a delayed acknowledgement
        own = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        with own:
            own.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if b" 200 " in own.makefile("rb").readline():
                return (time.perf_counter() - began) * 1000
    return None


def measure(port: int, pid: int, kind: str, addresses: int, tls: ssl.SSLContext | None = None) -> Result:
    for number in range(10):
        assert probe(port, (SAME, OTHER)[number % 2], tls) is not None
    before = rss(pid)
    with silent_connections(port, CONNECTIONS, kind, addresses) as holder:
        assert holder.stdout is not None
        found = [probe(port, (SAME, OTHER)[number % 2], tls) for number in range(PROBES)]
        holder.stdout.readline()
        found += [probe(port, (SAME, OTHER)[number % 2], tls) for number in range(PROBES)]
        growth = rss(pid) - before
    missing = (found[::2].count(None), found[1::2].count(None))
    same, other = (max(PATIENCE * 1000 if each is None else each for each in found[first::2]) for first in (0, 1))
    return Result(same, other, missing, growth)


@contextlib.contextmanager
def running(command: list[str], port: int, environ: dict[str, str]) -> Iterator[int]:
    """Run a server and yield its pid when it listens."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        wait_until(lambda: responds(port) or process.poll() is not None, command[0])
        yield process.pid
    finally:
        process.kill()
        process.wait()


def adapter(folder: Path, kind: str, addresses: int, *, secure: bool) -> Result:
    """Measure the adapter's port. Its app is its own admin port, which costs the same in each run."""
    port, admin = free_port(), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ADAPTER_LISTEN": f"127.0.0.1:{port}",
        "ADAPTER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "ADAPTER_TARGET": f"http://127.0.0.1:{admin}",
        "ADAPTER_ROUTES": "/livez=/livez",
        "ADAPTER_TIMEOUT": "5s",
    }
    client = None
    if secure:
        authority = trustme.CA()
        pem = folder / f"{port}.pem"
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
        client = ssl.create_default_context()
        authority.configure_trust(client)
        environ["ADAPTER_TLS_CERT"] = str(pem)
    with running([sys.executable, "-m", "sidecars.adapter"], port, environ) as pid:
        return measure(port, pid, kind, addresses, client)


def beside(folder: Path, name: str, config: str, flag: str, kind: str) -> Result:
    """Measure a peer, without TLS."""
    port = free_port()
    file = folder / f"{port}.conf"
    file.write_text(config.format(port=port, folder=folder))
    with running([peer(name), flag, str(file)], port, dict(os.environ)) as pid:
        return measure(port, pid, kind, 1)


def main() -> int:
    kinds = [(kind, addresses, False) for kind in ("nothing", "a request", "half a head") for addresses in (1, 100)]
    kinds += [(kind, addresses, True) for kind in ("nothing", "half a hello", "a hello") for addresses in (1, 100)]
    figures, plain = [], {}
    with tempfile.TemporaryDirectory() as raw:
        folder = Path(raw)
        for kind, addresses, secure in kinds:
            found = adapter(folder, kind, addresses, secure=secure)
            name = f"{'TLS, ' if secure else ''}{kind}, {addresses} address{'es' if addresses > 1 else ''}"
            for whose, slowest, missing in zip(
                ("the same", "another"), (found.same, found.other), found.unanswered, strict=True
            ):
                note = f"{missing} of {PROBES} probes unanswered" if missing else ""
                label = f"{name}: slowest probe from {whose} address"
                figures.append(Figure(label, slowest, MOST_LATENCY, "ms", note=note))
            figures.append(Figure(f"{name}: memory", found.growth, MOST_GROWTH, "MiB"))
            if not secure and addresses == 1:
                plain[kind] = found
        comparisons = []
        for kind, found in plain.items():
            values = {"silent_connections (the adapter)": found.slowest}
            values["nginx"] = beside(folder, "nginx", NGINX, "-c", kind).slowest
            values["HAProxy"] = beside(folder, "haproxy", HAPROXY, "-f", kind).slowest
            comparisons.append(Comparison(f"{kind}: slowest of {2 * PROBES} probes", "ms", values))
            print(kind, {name: round(value, 1) for name, value in values.items()})
    return conclude("silent_connections", figures, comparisons)


if __name__ == "__main__":
    sys.exit(main())
