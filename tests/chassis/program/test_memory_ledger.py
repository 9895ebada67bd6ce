"""The most memory that a program took under hostile load is no more than its ledger says."""

from __future__ import annotations

import contextlib
import re
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

from sidecars.chassis.config.memory_ledger import MIB
from tests.adapter.support import App, respond
from tests.ambassador.support import Backend, Peer
from tests.conftest import Start
from tests.logshipper.support import Receiver
from tests.repo.test_memory_ledgers import ledger_of
from tests.support import Program, free_port, get, wait_until

CLIENTS = 48
LARGE = b"x" * (6 * MIB)


def peak(program: Program) -> int:
    """Return the bytes of memory that the program had at the most (VmHWM, proc(5))."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@contextlib.contextmanager
def silent_clients(port: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connect clients that send, and read nothing."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stack.enter_context(client)
            client.connect(("127.0.0.1", port))
            client.sendall(sent)
            clients.append(client)
        yield clients


def answered(admin: int) -> float:
    """Return the number of requests that the adapter has answered with 200."""
    lines = get(f"http://127.0.0.1:{admin}/metrics").text.splitlines()
    found = (line for line in lines if line.startswith("adapter_requests_total{") and 'code="200"' in line)
    return sum(float(line.rpartition(" ")[2]) for line in found)


def test_of_the_adapter_when_nobody_reads_large_pages(start: Start) -> None:
    port, admin = free_port(), free_port()
    with App({"/metrics": respond(LARGE[: 3 * MIB])}) as app:
        environ = {
            "ADAPTER_TARGET": app.url,
            "ADAPTER_LISTEN": f"127.0.0.1:{port}",
            "ADAPTER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
            "ADAPTER_TIMEOUT": "1m",
            "ADAPTER_CACHE_TTL": "1m",
            "ADAPTER_MAX_CONNECTIONS": "256",
        }
        adapter = start("adapter", **environ)
        adapter.wait_ready(admin)
        with silent_clients(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"):
            wait_until(lambda: answered(admin) >= CLIENTS, "a response to each")
            assert get(f"http://127.0.0.1:{port}/health").content == LARGE[: 3 * MIB]
        assert peak(adapter) <= ledger_of("adapter", environ).total


def test_of_the_ambassador_when_neither_side_reads(start: Start) -> None:
    port, admin = free_port(), free_port()

    def flood(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE)

    backend = Backend(flood)
    environ = {
        "AMBASSADOR_UPSTREAM": backend.url,
        "AMBASSADOR_LISTEN": f"127.0.0.1:{port}",
        "AMBASSADOR_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "AMBASSADOR_MAX_CONNECTIONS": str(2 * CLIENTS),
    }
    ambassador = start("ambassador", **environ)
    ambassador.wait_ready(admin)
    with (
        silent_clients(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + LARGE[:60_000]),
        silent_clients(port, b"GET / HTTP/1.1\r\nHost: x\r\na: " + LARGE[:60_000]),
    ):
        wait_until(lambda: backend.connections >= CLIENTS, "all requests at the backend")
        get(f"http://127.0.0.1:{admin}/metrics")
        assert peak(ambassador) <= ledger_of("ambassador", environ).total
    backend.stop()


def test_of_the_logshipper_with_a_line_of_escapes(start: Start, tmp_path: Path) -> None:
    admin, receiver = free_port(), Receiver()
    lines = [b'a="' + b"\\\\" * 500_000 + b'"', b'{"a":"' + b"\\u0000" * 160_000 + b'"}', b"\0" * 1_000_000]
    (tmp_path / "app.log").write_bytes(b"\n".join(lines * 4) + b"\n")
    environ = {
        "LOGSHIPPER_PATHS": str(tmp_path / "*.log"),
        "LOGSHIPPER_SINK": receiver.url,
        "LOGSHIPPER_STATE_DIR": str(tmp_path / "state"),
        "LOGSHIPPER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "LOGSHIPPER_FORMAT": "logfmt",
        "LOGSHIPPER_REDACT": "secrets,personal",
        "LOGSHIPPER_COMPRESSION": "gzip",
    }
    shipper = start("logshipper", **environ)
    shipper.wait_ready(admin)
    wait_until(lambda: len(receiver.stored) >= len(lines) * 4, "all lines")
    assert peak(shipper) <= ledger_of("logshipper", environ).total


def test_of_the_warcopier_with_an_archive_of_many_names(start: Start, tmp_path: Path) -> None:
    source, target, admin = tmp_path / "source", tmp_path / "target", free_port()
    source.mkdir()
    target.mkdir()
    with zipfile.ZipFile(source / "shop.war", "w") as war:
        for number in range(15_000):
            war.writestr(zipfile.ZipInfo(f"WEB-INF/{number % 300}/{number}"), b"")
    environ = {
        "WARCOPIER_SOURCE": str(source),
        "WARCOPIER_TARGET": str(target),
        "WARCOPIER_WATCH": "true",
        "WARCOPIER_ADMIN_LISTEN": f"127.0.0.1:{admin}",
    }
    copier = start("warcopier", **environ)
    copier.wait_ready(admin)
    assert (target / "shop.war").exists()
    assert peak(copier) <= ledger_of("warcopier", environ).total
