"""Apps and origins that speak HTTP/1.1 over streams, as well or as badly as the dice say."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")


class Incomplete(Exception):
    """The peer ended before the message did. `by_reset` is True if a reset said so."""

    def __init__(self, *, by_reset: bool) -> None:
        super().__init__("by a reset" if by_reset else "by an orderly end")
        self.by_reset = by_reset


@dataclass
class Message:
    """A request or a response."""

    head: bytes
    body: bytes = b""
    is_whole: bool = False
    interim: list[bytes] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.head[9:12])

    @property
    def first_line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    def field(self, name: str) -> str:
        found = re.search(rb"(?i)\r\n%b: *([^\r]*)" % name.encode(), self.head)
        return found[1].decode("latin-1") if found else ""


class Peer:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def _until(self, mark: bytes) -> bytes:
        try:
            return await self.reader.readuntil(mark)
        except asyncio.IncompleteReadError:
            raise Incomplete(by_reset=False) from None
        except ConnectionError:
            raise Incomplete(by_reset=True) from None

    async def _exactly(self, size: int) -> bytes:
        try:
            return await self.reader.readexactly(size)
        except asyncio.IncompleteReadError:
            raise Incomplete(by_reset=False) from None
        except ConnectionError:
            raise Incomplete(by_reset=True) from None

    async def read_request(self) -> Message:
        """Return the head of the next request. Raises Incomplete."""
        return Message(await self._until(b"\r\n\r\n"))

    async def read_body(self, message: Message) -> None:
        """Read the body of a request, or of a response that has a length or chunks. Raises Incomplete."""
        if _CHUNKED.search(message.head):
            while size := int((await self._until(b"\r\n")).split(b";")[0], 16):
                message.body += await self._exactly(size)
                await self._exactly(2)
            while await self._until(b"\r\n") != b"\r\n":
                pass
        elif length := _LENGTH.search(message.head):
            message.body += await self._exactly(int(length[1]))
        message.is_whole = True

    async def read_response(self, message: Message, *, to_head: bool = False) -> None:
        """Read the next final response into `message`. Raises Incomplete."""
        head = await self._until(b"\r\n\r\n")
        while head[9:10] == b"1":
            message.interim.append(head)
            head = await self._until(b"\r\n\r\n")
        message.head = head
        if to_head or message.status in (204, 304):
            message.is_whole = True
        elif _CHUNKED.search(message.head) or _LENGTH.search(message.head):
            await self.read_body(message)
        else:
            try:
                while data := await self.reader.read(4096):
                    message.body += data
            except ConnectionError:
                raise Incomplete(by_reset=True) from None
            message.is_whole = True

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def flush(self) -> None:
        """Wait until the other end takes more. A broken connection is found by the next read."""
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        own = self.writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def body_of(name: str, size: int) -> bytes:
    """Return the body that belongs to this request or response, and to no other one."""
    unit = f"<{name}>".encode()
    return (unit * (size // len(unit) + 1))[:size]


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """Return the body in chunks of these sizes, and the rest in one."""
    pieces, at = [], 0
    for size in [*sizes, len(body)]:
        piece = body[at : at + size]
        at += size
        if piece:
            pieces.append(b"%x\r\n%b\r\n" % (len(piece), piece))
    return b"".join(pieces) + b"0\r\n\r\n"
