"""An HTTP proxy that is strict: it accepts CONNECT and requests with a whole URL, and asks for credentials."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tests.logshipper.posting import ended


class StrictProxy:
    """Resolves names by `hosts`, nothing else. `requests`: the lines of requests; `inside`: bytes from clients."""

    def __init__(self, hosts: dict[str, int], authorization: str = "") -> None:
        self.hosts = hosts  # host:port of a request -> port on loopback
        self.authorization = authorization
        self.requests: list[str] = []
        self.inside = b""
        self.response = b""  # sent instead of any other
        self.port = 0
        self.handlers: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("ascii").split("\r\n")
            self.requests.append(lines[0])
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            writer.write(self.response or await self._answer(lines[0], fields, head, reader, writer))
            await writer.drain()
        writer.close()

    async def _answer(
        self,
        line: str,
        fields: dict[str, str],
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bytes:
        method, target, version = line.split(" ")
        assert version == "HTTP/1.1"
        if self.authorization and fields.get("proxy-authorization") != self.authorization.lower():
            return b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        if method == "CONNECT":
            assert fields["host"] == target
            place = target
        else:
            parts = urlsplit(target)
            assert parts.scheme == "http"
            assert fields["host"] == parts.netloc
            place = parts.netloc if parts.port else f"{parts.netloc}:80"
            head = head.replace(target.encode(), (parts.path + (f"?{parts.query}" if parts.query else "")).encode(), 1)
            head = b"\r\n".join(part for part in head.split(b"\r\n") if not part.lower().startswith(b"proxy-"))
        if place not in self.hosts:
            return b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
        there, out = await asyncio.open_connection("127.0.0.1", self.hosts[place])
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            out.write(head)
        await asyncio.gather(self._copy(reader, out, keep=True), self._copy(there, writer, keep=False))
        return b""

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, keep: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                self.inside += data if keep else b""
                target.write(data)
                await target.drain()
        target.close()


@contextlib.asynccontextmanager
async def proxy(hosts: dict[str, int], authorization: str = "") -> AsyncIterator[StrictProxy]:
    made = StrictProxy(hosts, authorization)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await ended(made.handlers)
