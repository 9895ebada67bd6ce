"""A small HTTP proxy on loopback that does what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator

from tests.support import PATIENCE


class ConnectProxy:
    """A proxy for CONNECT. `hosts`: the places that it knows. `answer`: bytes that it sends instead of its own answer.

    `requests`: the heads of all requests. It runs on an event loop in a thread: a TLS connection is for one thread.
    """

    def __init__(self, hosts: dict[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.hosts = hosts
        self.answer: bytes | None = None
        self.requests: list[bytes] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self._server = self._loop.run_until_complete(serving)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            port = self.hosts.get(head.split(b" ")[1].decode())
            if self.answer is not None or port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n" if self.answer is None else self.answer)
                await writer.drain()
                if not self.answer:  # silent
                    await reader.read()
            else:
                there, out = await asyncio.open_connection("127.0.0.1", port)
                self._writers.append(out)
                writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 a\r\n\r\n")
                await asyncio.gather(_copy(reader, out), _copy(there, writer))
        writer.close()

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            await _turns()  # what was accepted last is served now, so that its writer is known
            own = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not own]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)
            await _turns()  # transports close their sockets in the turn after

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


async def _turns() -> None:
    """Let the event loop do what is due, and what follows from it."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@contextlib.contextmanager
def connect_proxy(hosts: dict[str, int], tls: ssl.SSLContext | None = None) -> Iterator[ConnectProxy]:
    made = ConnectProxy(hosts, tls)
    try:
        yield made
    finally:
        made.stop()
