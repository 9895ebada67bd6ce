"""A replica of a gRPC service as a process, which records what it executes and leaves gracefully at SIGTERM.

    python -m tests.ambassador.http2.replica PORT RECORD SECONDS

A call of `Get` is executed when its message is complete: the message, a line, is appended to the file RECORD. The same
message is the answer, after SECONDS. A call of `Watch` gets one message at once, and then nothing. At SIGTERM:

    1  the port is closed, and every connection gets GOAWAY, which refuses nothing yet, and PING
    2  behind the answer to the PING it gets GOAWAY with the last stream, which is executed, too
    3  a connection ends with its last call, and the process with its last connection
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from hpack import Decoder

from tests.ambassador.http2 import raw
from tests.ambassador.http2.raw_server import OK, RESPONSE

WATCH = b"/shop.v1.Orders/Watch"
EVERY_STREAM = 2**31 - 1
HEAD = raw.block(RESPONSE)
END = raw.block(OK)


class Replica:
    """The process: its connections, and the file of what was executed."""

    def __init__(self, record: str, seconds: float) -> None:
        self.seconds = seconds
        self.connections: set[Session] = set()
        self.leaving = asyncio.Event()
        self.is_empty = asyncio.Event()  # set when a last connection has ended
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def execute(self, message: bytes) -> None:
        os.write(self._record, message + b"\n")

    async def serve(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.leaving.set)
        server = await loop.create_server(lambda: Session(self), "127.0.0.1", port, backlog=1024)
        await self.leaving.wait()
        server.close()
        for session in list(self.connections):
            session.leave()
        if self.connections:
            await self.is_empty.wait()


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.decoder = Decoder()
        self.buffer = b""
        self.has_preface = False
        self.is_last = False  # True once GOAWAY has named the last stream
        self.highest = 0
        self.paths: dict[int, bytes] = {}  # of the streams that are open
        self.messages: dict[int, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.replica.connections.add(self)
        transport.write(raw.settings((raw.MAX_CONCURRENT_STREAMS, 100)))
        if self.replica.leaving.is_set():
            self.leave()

    def connection_lost(self, _error: Exception | None) -> None:
        self.paths = {}
        self.replica.connections.discard(self)
        if not self.replica.connections and self.replica.leaving.is_set():
            self.replica.is_empty.set()

    def leave(self) -> None:
        self.transport.write(raw.goaway(EVERY_STREAM) + raw.ping(b"leaving."))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.has_preface:
            if len(self.buffer) < len(raw.PREFACE):
                return
            self.buffer = self.buffer[len(raw.PREFACE) :]
            self.has_preface = True
        while len(self.buffer) >= 9 and len(self.buffer) >= 9 + int.from_bytes(self.buffer[:3], "big"):
            end = 9 + int.from_bytes(self.buffer[:3], "big")
            head, payload, self.buffer = self.buffer[:9], self.buffer[9:end], self.buffer[end:]
            self._take(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == raw.SETTINGS and not flags & raw.ACK:
            self.transport.write(raw.frame(raw.SETTINGS, raw.ACK))
        elif kind == raw.PING and not flags & raw.ACK:
            self.transport.write(raw.ping(payload, raw.ACK))
        elif kind == raw.PING:
            self.is_last = True
            self.transport.write(raw.goaway(self.highest))
            self._end_if_last()
        elif kind == raw.HEADERS:
            fields = dict(self.decoder.decode(payload, raw=True))
            if not self.is_last:
                self.highest = stream
                self.paths[stream] = bytes(fields[b":path"])
                self.messages[stream] = b""
        elif kind == raw.RST_STREAM:
            self.paths.pop(stream, None)
            self._end_if_last()
        elif kind == raw.DATA and stream in self.paths:
            self.messages[stream] += payload
            if payload:
                self.transport.write(raw.window_update(0, len(payload)))
        if kind == raw.DATA and flags & raw.END_STREAM and stream in self.paths:
            self._begin(stream)

    def _begin(self, stream: int) -> None:
        message = self.messages.pop(stream)
        if self.paths[stream] == WATCH:
            self.transport.write(raw.headers(stream, HEAD, raw.END_HEADERS) + raw.data(stream, message))
            return
        self.replica.execute(message[5:])
        asyncio.get_running_loop().call_later(self.replica.seconds, self._answer, stream, message)

    def _answer(self, stream: int, message: bytes) -> None:
        if self.paths.pop(stream, None) is not None:
            head = raw.headers(stream, HEAD, raw.END_HEADERS)
            self.transport.write(head + raw.data(stream, message) + raw.headers(stream, END))
            self._end_if_last()

    def _end_if_last(self) -> None:
        if self.is_last and not self.paths:
            self.transport.close()


if __name__ == "__main__":
    asyncio.run(Replica(sys.argv[2], float(sys.argv[3])).serve(int(sys.argv[1])))
