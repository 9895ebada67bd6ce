"""Responses in pieces, as raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sidecars.chassis.accept.listen import bind
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http import server
from sidecars.chassis.http.server import ClientLimits, Request, Response
from sidecars.chassis.http.streaming_connection import StreamedResponse, StreamingConnection
from tests.chassis.http_server import Client, responses
from tests.support import PATIENCE

GET = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"


class Body:
    """A body whose pieces the test gives."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.taken = 0

    async def next(self) -> bytes:
        piece = await self.queue.get()
        if piece == b"defect":
            raise KeyError(piece)
        self.taken += 1
        return piece

    def close(self) -> None:
        self.closed.set()
        self.queue.put_nowait(b"")


@dataclass
class Streaming:
    """A server in this process that streams."""

    port: int
    bodies: list[Body] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    began: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_full: asyncio.Event = field(default_factory=asyncio.Event)  # a client does not read
    beginnings: list[asyncio.Task[None]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        if request.path != "/stream":
            return server.text(200, "short")
        return StreamedResponse(headers={"X": "y"}, begin=self._begin)

    def _begin(self) -> Body:
        self.bodies.append(Body())
        self.beginnings.append(asyncio.ensure_future(self._tell()))
        return self.bodies[-1]

    async def _tell(self) -> None:
        async with self.began:
            self.began.notify_all()

    async def ask(self, request: bytes = GET) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        await client.send(request)
        return client

    async def body(self, index: int = 0) -> Body:
        async with asyncio.timeout(PATIENCE), self.began:
            await self.began.wait_for(lambda: len(self.bodies) > index)
        return self.bodies[index]


@asynccontextmanager
async def streaming(limits: ClientLimits | None = None) -> AsyncIterator[Streaming]:
    sockets = bind(Address("127.0.0.1", 0), "TEST")
    served = Streaming(sockets[0].getsockname()[1])

    class Connection(StreamingConnection):
        def pause_writing(self) -> None:
            super().pause_writing()
            served.is_full.set()

    try:
        async with server.serve(served.answer, sockets, limits=limits, grace=0.05, connection=Connection):
            yield served
    finally:
        for client in served.clients:
            await client.close()


async def closed(body: Body) -> None:
    async with asyncio.timeout(PATIENCE):
        await body.closed.wait()


async def test_each_piece_is_a_chunk_and_comes_at_once_and_the_end_of_the_body_ends_the_connection() -> None:
    async with streaming() as served:
        client = await served.ask()
        body = await served.body()
        received = await client.until(b"\r\n\r\n")
        body.queue.put_nowait(b"one\n")
        received += (first := await client.until(b"one\n\r\n"))
        body.queue.put_nowait(b"two\n")
        body.queue.put_nowait(b"")
        received += await client.rest()

        assert first == b"4\r\none\n\r\n"
        assert responses(received, ["GET"]) == [(200, b"one\ntwo\n")]
        await closed(body)


async def test_a_client_of_http_1_0_gets_the_pieces_up_to_the_end_of_the_connection() -> None:
    async with streaming() as served:
        client = await served.ask(b"GET /stream HTTP/1.0\r\n\r\n")
        body = await served.body()
        for piece in (b"one\n", b"two\n", b""):
            body.queue.put_nowait(piece)

        assert (await client.rest()).endswith(b"\r\n\r\none\ntwo\n")


async def test_other_responses_are_as_they_are_without_streams() -> None:
    async with streaming() as served:
        client = await served.ask(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        client.writer.write_eof()

        assert responses(await client.rest(), ["GET", "GET"]) == [(200, b"short")] * 2


async def test_the_body_is_closed_when_the_client_leaves_or_closes_its_side() -> None:
    async with streaming() as served:
        gone, half = await served.ask(), await served.ask()
        first, second = await served.body(0), await served.body(1)
        await gone.close()
        half.writer.write_eof()

        await closed(first)
        await closed(second)


async def test_who_does_not_read_is_asked_for_nothing_more_and_goes_on_when_it_reads() -> None:
    async with streaming() as served:
        client = await served.ask()
        body = await served.body()
        count, piece = 300, b"x" * 99_999 + b"\n"
        for _ in range(count):
            body.queue.put_nowait(piece)
        async with asyncio.timeout(PATIENCE):
            await served.is_full.wait()

        assert body.taken < count  # the kernel has some; the rest waits with its owner
        body.queue.put_nowait(b"")
        assert responses(await client.rest(), ["GET"]) == [(200, piece * count)]


async def test_who_reads_nothing_for_the_limit_of_time_is_reset() -> None:
    async with streaming(ClientLimits(write=0.1)) as served:
        await served.ask()
        body = await served.body()
        for _ in range(300):
            body.queue.put_nowait(b"x" * 100_000)

        await closed(body)
        assert body.taken < 300


async def test_a_defect_in_a_body_ends_this_stream_alone() -> None:
    async with streaming() as served:
        bad, good = await served.ask(), await served.ask()
        first, second = await served.body(0), await served.body(1)
        first.queue.put_nowait(b"defect")
        await closed(first)
        second.queue.put_nowait(b"fine")
        second.queue.put_nowait(b"")

        assert responses(await good.rest(), ["GET"]) == [(200, b"fine")]
        with contextlib.suppress(ConnectionError):
            assert b"fine" not in await bad.rest()


async def test_streams_are_ended_with_the_server() -> None:
    async with streaming() as served:
        client = await served.ask()
        body = await served.body()
        await client.until(b"\r\n\r\n")

    await closed(body)
