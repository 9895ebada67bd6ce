"""Many silent connections from a process of their own: `python -m tests.silent PORT COUNT KIND ADDRESSES`.

KIND is what each connection sends before it falls silent (`KINDS`). They come from that many addresses of 127.0.0.0/8.
It prints a line when all are open, keeps them open, and ends when its stdin does.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator

from tests.support import PATIENCE, ROOT

OPEN = "open"


def client_hello() -> bytes:
    """Return the first bytes of a client of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


HELLO = client_hello()
KINDS = {
    "nothing": b"",
    "half a head": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 4000,
    "a request": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a hello": HELLO[: len(HELLO) // 2],
    "a hello": HELLO,
}


def hold(port: int, count: int, kind: str, addresses: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    held = []
    for number in range(count):
        own = socket.socket()
        own.settimeout(PATIENCE)
        own.bind((f"127.0.1.{1 + number % addresses}", 0))
        own.connect(("127.0.0.1", port))
        with contextlib.suppress(ConnectionError):  # it was shed
            own.sendall(KINDS[kind])
        held.append(own)
    sys.stdout.write(f"{OPEN}\n")
    sys.stdout.flush()
    sys.stdin.read()


@contextlib.contextmanager
def silent_connections(port: int, count: int, kind: str, addresses: int = 1) -> Iterator[subprocess.Popen[str]]:
    """Begin to hold connections to the port; the process prints `OPEN` when all are there. End them all at the end."""
    command = [sys.executable, "-m", "tests.silent", str(port), str(count), kind, str(addresses)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            yield holder
        finally:
            holder.kill()


if __name__ == "__main__":
    hold(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
