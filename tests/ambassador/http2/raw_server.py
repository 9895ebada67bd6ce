"""A server of raw frames: a test's function handles each connection, in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw import Connection, Frame
from tests.support import free_port

RESPONSE: Final = [(b":status", b"200"), (b"content-type", b"application/grpc")]
OK: Final = [(b"grpc-status", b"0")]


class Session(Connection):
    """A connection in the role of the server, which keeps to the windows of the client."""

    def __init__(self, own: socket.socket, *, answers: bool = True) -> None:
        super().__init__(own, answers=answers)
        self.initial = self.window = raw.WINDOW
        self.windows: dict[int, int] = {}
        self.heads: dict[int, list[tuple[bytes, bytes]]] = {}  # of the streams that have begun
        self.bodies: dict[int, bytes] = {}
        self.resets: dict[int, int] = {}
        self.pongs = 0  # PINGs of ours that were answered
        self._complete: list[int] = []

    def frame(self) -> Frame | None:
        got = super().frame()
        if got is None:
            return None
        if got.kind == raw.WINDOW_UPDATE:
            more = int.from_bytes(got.payload, "big")
            if got.stream:
                self.windows[got.stream] = self.windows.get(got.stream, self.initial) + more
            else:
                self.window += more
        elif got.kind in {raw.PING, raw.SETTINGS}:
            self._note(got)
        elif got.kind == raw.RST_STREAM:
            self.resets[got.stream] = got.code
        elif got.kind == raw.HEADERS:
            self.heads.setdefault(got.stream, self.head(got))
        elif got.kind == raw.DATA:
            self.bodies[got.stream] = self.bodies.get(got.stream, b"") + got.payload
            if got.payload:
                more = len(got.payload)
                self.send(raw.window_update(0, more), raw.window_update(got.stream, more))
        if got.ends:
            self._complete.append(got.stream)
        return got

    def _note(self, got: Frame) -> None:
        if got.kind == raw.PING:
            self.pongs += got.flags & raw.ACK
            return
        pairs = got.payload
        for at in range(0, len(pairs), 6):
            if int.from_bytes(pairs[at : at + 2], "big") == raw.INITIAL_WINDOW_SIZE:
                size = int.from_bytes(pairs[at + 2 : at + 6], "big")
                self.windows = {stream: left + size - self.initial for stream, left in self.windows.items()}
                self.initial = size

    @property
    def has_request(self) -> bool:
        """True if `request` would not wait."""
        return bool(self._complete)

    def request(self) -> int:
        """Return the next stream whose request is complete, or 0 if the client has ended the connection."""
        while not self._complete:
            if self.frame() is None:
                return 0
        return self._complete.pop(0)

    def send_data(self, stream: int, pieces: list[bytes], *, padding: int | None = None) -> None:
        """Send each piece as a frame of its own, as soon as the windows allow it."""
        waiting: list[bytes] = []
        for piece in pieces:
            payload = piece if padding is None else bytes((padding,)) + piece + bytes(padding)
            while min(self.windows.get(stream, self.initial), self.window) < len(payload) and not self.is_over:
                self.send(*waiting)
                waiting = []
                if self.frame() is None:
                    return
            self.windows[stream] = self.windows.get(stream, self.initial) - len(payload)
            self.window -= len(payload)
            waiting.append(raw.data(stream, payload, 0 if padding is None else raw.PADDED))
        self.send(*waiting)

    def respond(self, stream: int, payload: bytes, *more: tuple[bytes, bytes]) -> None:
        """Answer a call with one message and the status 0."""
        whole = raw.message(payload)
        self.send(raw.headers(stream, RESPONSE, raw.END_HEADERS))
        self.send_data(stream, [whole[at : at + 16_384] for at in range(0, len(whole), 16_384)])
        self.send(raw.headers(stream, [*OK, *more]))


Handler = Callable[[Session], None]


class RawServer:
    """A server that runs the handler for each connection, once the preface has come. It counts connections."""

    def __init__(self, handler: Handler, *pairs: tuple[int, int], port: int = 0) -> None:
        self.handler = handler
        self.pairs = pairs
        self.sessions: list[Session] = []
        self.errors: list[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", port or free_port()), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                own, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(own,), daemon=True).start()

    def _serve(self, own: socket.socket) -> None:
        with contextlib.suppress(OSError), Session(own) as session:
            if session.accept_preface(*self.pairs):
                self.sessions.append(session)
                try:
                    self.handler(session)
                except AssertionError as error:
                    self.errors.append(error)

    @property
    def url(self) -> str:
        return f"h2c://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End like a killed process: nothing listens any more, and open connections are reset."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self.sessions:
            with contextlib.suppress(OSError):
                session.socket.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(handler: Handler, *pairs: tuple[int, int]) -> Iterator[RawServer]:
    server = RawServer(handler, *pairs)
    try:
        yield server
    finally:
        server.stop()
    assert server.errors == []


def answering(session: Session) -> None:
    """Answer each call with its own path."""
    while stream := session.request():
        session.respond(stream, dict(session.heads[stream])[b":path"])


def trailers_only(fields: list[tuple[bytes, bytes]]) -> Handler:
    """Return a handler that answers each request with this head, and nothing else."""

    def handle(session: Session) -> None:
        while stream := session.request():
            session.send(raw.headers(stream, fields))

    return handle
