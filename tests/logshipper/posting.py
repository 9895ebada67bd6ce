"""Posts single batches through the HTTP sink."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sidecars.logshipper.model.batch import Batch
from tests.logshipper.opened_sinks import opened
from tests.logshipper.support import a_batch, a_chunk

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ACCEPTED = b"HTTP/1.1 204 No Content\r\n\r\n"


def batch(text: str, start: int = 0) -> Batch:
    return a_batch(a_chunk(text.encode(), start))


async def post(url: str, text: str, **settings: str) -> None:
    async with opened(url, **settings) as sink:
        await sink.deliver(batch(text))


@asynccontextmanager
async def served(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Yield the address of a server whose bytes `serve` writes."""
    handlers: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await ended(handlers)


async def ended(handlers: set[asyncio.Task[None] | None]) -> None:
    """Wait until the handlers of a server have seen the ends of their connections; stop those that wait for more."""
    tasks = [task for task in handlers if task is not None]
    if tasks:
        _, waiting = await asyncio.wait(tasks, timeout=0.2)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def request_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)
