"""The core of HTTP/2 on sockets, without the rest of the ambassador: a server that answers, and a client that asks.

A thread for each connection is its whole I/O shell. So the tables of cases run on the core alone, in milliseconds.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

from sidecars.ambassador.http2.connection import Connection
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.frames import PROTOCOL_ERROR
from sidecars.ambassador.http2.handler import DelegatingHandler
from sidecars.ambassador.http2.heads import RequestHead, ResponseHead
from sidecars.ambassador.http2.streams import Stream

MAX_HEADER_SIZE, MAX_HEADERS = 64 * 1024, 128


class Shell:
    """Reads and writes for one connection of the core. A server answers each request with its body."""

    def __init__(self, own: socket.socket, *, is_client: bool) -> None:
        self.socket = own
        self._lock = threading.Lock()  # a test asks while the thread reads
        self.outcomes: list[int | str] = []  # statuses of responses, and reasons why there was none
        self.bodies: dict[int, bytes] = {}
        self.core = Connection(
            DelegatingHandler(self), is_client=is_client, max_header_size=MAX_HEADER_SIZE, max_headers=MAX_HEADERS
        )
        self.core.begin()
        self.flush()

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(b"".join(self.core.output()))

    def run(self) -> None:
        """Serve until the connection ends."""
        with contextlib.suppress(OSError):
            while not self.core.is_broken and (got := self.socket.recv(256 * 1024)):
                with self._lock:
                    self.core.receive(got)
                    self.flush()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(256 * 1024):
                pass
        self.socket.close()

    def ask(self) -> None:
        """Open a stream with a request of a client."""
        fields = {b":method": b"GET", b":scheme": b"http", b":authority": b"a", b":path": b"/"}
        block = b"".join(encode_field(name, value) for name, value in fields.items())
        with self._lock:
            self.core.open_stream(block, None, end=True, is_head=False)
            self.flush()

    def _answer(self, stream: Stream, status: int) -> None:
        self.core.send_head(stream, encode_field(b":status", str(status).encode()), end=False)
        self.core.send_body(stream, [self.bodies.pop(stream.id, b"")], end=True)
        self.core.release(stream)

    def on_request(
        self, stream: Stream, _head: RequestHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        self.on_body(stream, pieces, end=end, trailers=trailers)

    def on_body(self, stream: Stream, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]) -> None:  # noqa: ARG002 - not needed here
        self.bodies[stream.id] = self.bodies.get(stream.id, b"") + b"".join(pieces)
        if end and not self.core.is_client:
            self._answer(stream, 200)

    def on_rejected(self, stream: Stream, status: int, reason: str, content_type: bytes) -> None:  # noqa: ARG002 - not needed here
        self._answer(stream, status)
        self.core.reset(stream, PROTOCOL_ERROR)

    def on_interim(self, stream: Stream, head: ResponseHead) -> None: ...

    def on_response(
        self, stream: Stream, head: ResponseHead, pieces: Sequence[bytes], *, end: bool, trailers: Sequence[Field]
    ) -> None:
        self.outcomes.append(head.status)
        self.on_body(stream, pieces, end=end, trailers=trailers)

    def on_settings(self) -> None: ...

    def on_goaway(self, last_stream_id: int, code: int) -> None: ...

    def on_reset(self, stream: Stream, code: int, *, is_unprocessed: bool) -> None:  # noqa: ARG002 - not needed here
        self.core.release(stream)
        self.outcomes.append(f"reset with {code}")

    def on_malformed(self, stream: Stream, status: int, reason: str) -> None:  # noqa: ARG002 - not needed here
        self.outcomes.append(reason)
        self.core.reset(stream, PROTOCOL_ERROR)
        self.core.release(stream)

    def on_writable(self, stream: Stream) -> None: ...

    def on_ping_ack(self, payload: bytes) -> None: ...

    def on_output(self) -> None: ...

    def write_output(self) -> None:
        self.flush()

    def on_broken(self, code: int, reason: str) -> None:
        self.outcomes.append(reason or str(code))


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """Run a server on the core, and return its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                own, _ = listener.accept()
                threading.Thread(target=Shell(own, is_client=False).run, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def connect(port: int) -> Shell:
    """Return a client on the core, which has asked once; it runs until the connection ends."""
    shell = Shell(socket.create_connection(("127.0.0.1", port)), is_client=True)
    shell.ask()
    threading.Thread(target=shell.run, daemon=True).start()
    return shell
