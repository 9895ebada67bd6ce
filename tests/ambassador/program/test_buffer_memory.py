"""Hundreds of peers that do not read: memory has a maximum, and whoever reads is served."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.ambassador.support import GET, Ambassador, Backend, Peer
from tests.chassis.program.test_memory_ledger import peak
from tests.conftest import Start
from tests.repo.test_memory_ledgers import ledger_of
from tests.support import PATIENCE, get, wait_until

MIB = 1024 * 1024
STALLED = 60  # connections of each kind
SIZE = 6 * MIB  # more than the kernel takes of a response that is not read
DOWNLOAD = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"PUT /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE
BODY = b"x" * SIZE
SETTINGS = {"BUFFER_MEMORY": "8MiB", "RETRY_BUFFER": "1MiB", "MAX_CONNECTIONS": "128"}


def serve(release: threading.Event) -> Backend:
    """Start a backend with large and small responses, which reads the bodies of uploads only once it is released."""

    def handle(peer: Peer) -> None:
        while head := peer.head():
            if b"/ignored" in head:
                release.wait(PATIENCE)
                return
            body = BODY if b"/large" in head else b"ok"
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return Backend(handle)


def stalled(stack: contextlib.ExitStack, port: int, sent: bytes) -> None:
    """Connect clients that send as much as is taken at once, and read nothing."""
    for _ in range(STALLED):
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.send(sent)


def test_the_peak_is_within_the_ledger_and_those_who_read_are_served(start: Start) -> None:
    release = threading.Event()
    backend = serve(release)
    ambassador = Ambassador(start, backend.url, **SETTINGS)
    environ = {"AMBASSADOR_UPSTREAM": backend.url, **{f"AMBASSADOR_{name}": value for name, value in SETTINGS.items()}}
    with contextlib.ExitStack() as stack:
        stack.callback(release.set)
        stalled(stack, ambassador.port, DOWNLOAD)
        stalled(stack, ambassador.port, UPLOAD + BODY)
        wait_until(lambda: backend.connections >= STALLED, "the uploads are at the backend")
        wait_until(lambda: ambassador.metric("ambassador_buffer_short") == 1.0, "memory is short")
        for request, size in ((GET, 2), (DOWNLOAD, SIZE), (GET, 2)):
            with ambassador.connect() as reader:
                reader.send(request)
                assert len(reader.response()[2]) == size
        buffers = get(f"http://127.0.0.1:{ambassador.admin}/status").json()["buffers"]
        assert buffers["short"] is True
        assert buffers["held"] <= buffers["most"]
        assert peak(ambassador.program) <= ledger_of("ambassador", environ).total
    wait_until(lambda: ambassador.metric("ambassador_buffer_short") == 0.0, "memory is plentiful again")
    wait_until(lambda: ambassador.metric("ambassador_buffer_bytes") == 0.0, "nothing is held any more")
    assert ambassador.ask()[0] == 200
    backend.stop()
