"""Peers that are dead, that lie, and that repeat what they were sent. They keep every byte that they get."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support import free_port

Behaviour = Callable[[bytes], bytes]

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\nTransfer-Encoding: *chunked\r\n", re.IGNORECASE)


def is_whole(request: bytes) -> bool:
    """Return True if the head has come, and the body whose length it says, or the last chunk of one."""
    head, end, body = request.partition(b"\r\n\r\n")
    if not end or _CHUNKED.search(head + b"\r\n"):
        return bool(end) and body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return len(body) >= (int(length[1]) if length else 0)


class Peer:
    """A server on a loopback port, which it gives as `port`. `received` has all bytes of all its connections."""

    def __init__(self, behaviour: Behaviour) -> None:
        peer = self
        self.received = b""

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(30)
                data = b""
                try:
                    while not is_whole(data) and (more := self.request.recv(65536)):
                        data += more
                        peer.received += more
                    self.request.sendall(behaviour(data))
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", free_port()), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Peer]:
    peer = Peer(behaviour)
    try:
        yield peer
    finally:
        peer.close()


def lie(_request: bytes) -> bytes:
    """Answer with bytes that are no HTTP."""
    return b"220 smtp.example ESMTP\r\n\x00\xff"


def echo(status: str, location: str = "", *, as_json: bool = False) -> Behaviour:
    """Return a behaviour that answers with the whole request, in the head and in the body of the response.

    The fields with secrets come first: much of a long text is not shown.
    """

    def answer(request: bytes) -> bytes:
        lines = request.decode("latin-1").split("\r\n")
        text = "\r\n".join(
            sorted(lines, key=lambda line: not line.lower().startswith(("authorization", "x-", "cookie")))
        )
        one_line = " ".join(text.split())
        body = text.encode("latin-1")
        kind = "text/plain"
        if as_json:
            kind = "application/json"
            body = json.dumps({"status": "DOWN", "details": {"error": one_line}, "output": one_line}).encode()
        fields = [f"Content-Type: {kind}", f"Content-Length: {len(body)}", f"X-Echo: {one_line}", "Connection: close"]
        fields += [f"Location: {location}"] if location else []
        head = "\r\n".join([f"HTTP/1.1 {status}", *fields])
        return f"{head}\r\n\r\n".encode("latin-1") + body

    return answer
