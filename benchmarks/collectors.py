"""The receivers of logshipper's benchmark: one that discards, in its own process, and one that notes arrival times."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition is true; end the benchmark if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"a condition was not met within {seconds:g} s")
        time.sleep(0.01)


def receiver(port_file: str) -> None:
    """Read requests for ever, and answer each with 204. The port is written to a file."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        Path(port_file).write_text(str(server.getsockname()[1]))
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_discard, args=(connection,), daemon=True).start()


def _discard(connection: socket.socket) -> None:
    buffer = bytearray(1 << 20)
    with connection, contextlib.suppress(OSError):
        while head := _head(connection):
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            left = length - len(head.partition(b"\r\n\r\n")[2])
            while left > 0:
                left -= connection.recv_into(buffer, min(left, len(buffer)))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        if not more:
            return b""
        head += more
    return head


@contextlib.contextmanager
def receiving(folder: Path) -> Iterator[int]:
    """Run a discarding receiver as a process. Yields its port."""
    port_file = folder / "port"
    process = subprocess.Popen([sys.executable, __file__, str(port_file)])
    try:
        wait_for(lambda: port_file.exists() and port_file.read_text() != "")
        yield int(port_file.read_text())
    finally:
        process.kill()
        process.wait()


class Collector:
    """A receiver in this process that notes the arrival time of each line."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}  # message -> time
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._server.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        file = connection.makefile("rwb")
        with connection, contextlib.suppress(OSError):
            while file.readline():
                length = 0
                while (name := file.readline().strip().lower()) != b"":
                    length = int(name.split(b":")[1]) if name.startswith(b"content-length:") else length
                body, now = file.read(length), time.monotonic()
                for line in body.splitlines():
                    self.arrived.setdefault(json.loads(line)["message"], now)
                file.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                file.flush()

    def close(self) -> None:
        self._server.close()


if __name__ == "__main__":
    receiver(sys.argv[1])
