"""The small HTTP client against servers whose bytes a test chooses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.http import response_parser
from sidecars.chassis.http.client import (
    BodyTooLarge,
    ClientResponse,
    ConnectionClosed,
    HttpClient,
    MalformedResponse,
    RequestFailed,
    ResponseProgress,
)
from sidecars.chassis.http.response_parser import ResponseParser
from tests.support import PATIENCE

GET = h11.Request(method="GET", target="/", headers=[("Host", "x")])
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Place:
    """A server, and a client of it. `connections` counts the accepted connections."""

    def __init__(self, port: int, keep: float = 60.0) -> None:
        self.connections = 0
        self.client = HttpClient("localhost", port, lambda: None, keep_alive=keep)

    async def ask(self, **more: int) -> ClientResponse:
        async with asyncio.timeout(PATIENCE):
            return await self.client.request(GET, max_body=more.get("max_body", 1000))


@asynccontextmanager
async def place(serve: Connection, keep: float = 60.0) -> AsyncIterator[Place]:
    """Start a server that gives each connection to `serve`, and a client of it."""
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.connections += 1
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    there = Place(server.sockets[0].getsockname()[1], keep)
    try:
        yield there
    finally:
        there.client.close()
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def always(*responses: bytes) -> Connection:
    """Return a server that sends these responses to the requests of each connection in turn, and then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in responses:
            await head(reader)
            writer.write(response)
            await writer.drain()

    return serve


async def test_an_answer_is_told_whole() -> None:
    raw = b"HTTP/1.1 418 Odd\r\nX-A: 1\r\nX-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    async with place(always(b"HTTP/1.1 103 Early Hints\r\n\r\n" + raw)) as there:
        response = await there.ask()

    assert (response.status, response.body, response.headers["x-a"], response.early) == (418, b"abc", "1", False)


async def test_a_kept_connection_is_used_again() -> None:
    async with place(always(OK, OK, OK)) as there:
        assert [(await there.ask()).body for _ in range(3)] == [b"ok"] * 3
        assert there.connections == 1


async def test_one_that_is_closed_just_as_it_is_used_again_is_no_failure() -> None:
    async with place(always(OK)) as there:
        assert [(await there.ask()).body for _ in range(5)] == [b"ok"] * 5
        assert there.connections == 5


async def test_one_that_closes_without_an_answer_at_once_is_a_failure() -> None:
    async with place(always(b"")) as there:
        with pytest.raises(ConnectionClosed):
            await there.ask()
        assert there.connections == 1


async def test_a_connection_is_kept_for_so_long_and_no_longer() -> None:
    async with place(always(OK, OK), keep=0.0) as there:
        await there.ask()
        await there.ask()

        assert there.connections == 2


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        if there.connections == 3:
            release.set()
        await release.wait()
        writer.write(OK)

    async with place(serve) as there:
        assert len(await asyncio.gather(*(there.ask() for _ in range(3)))) == 3


async def test_a_cancelled_request_takes_its_connection_with_it() -> None:
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        if there.connections == 1:
            asked.set()
            await reader.read()  # until the client has gone
        writer.write(OK)

    async with place(serve) as there:
        request = asyncio.create_task(there.ask())
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (await there.ask()).body == b"ok"
        assert there.connections == 2


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", MalformedResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", ConnectionClosed),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, MalformedResponse),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n", MalformedResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", BodyTooLarge),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, BodyTooLarge),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", MalformedResponse),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", MalformedResponse),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, MalformedResponse),
        (b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 60_000 + b"\r\n", MalformedResponse),
        (CHUNKED + b"fffffffffffffffffffff\r\n", MalformedResponse),
    ],
)
async def test_an_answer_that_is_none_is_told_by_its_kind(raw: bytes, error: type[RequestFailed]) -> None:
    async with place(always(raw)) as there:
        with pytest.raises(error):
            await there.ask()


async def test_what_nobody_asked_for_is_never_taken_for_the_next_answer() -> None:
    async with place(always(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK)) as there:
        await there.ask()

        assert (await there.ask()).body == b"ok"


async def test_an_answer_that_comes_before_the_body_has_left_is_heard_and_says_so() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()  # bytes that are still in transit

    blocks = [b"x" * 1_000_000] * 100
    post = h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "100000000")])
    async with place(serve) as there, asyncio.timeout(PATIENCE):
        response = await there.client.request(post, blocks, max_body=10)

    assert (response.status, response.early) == (413, True)


async def test_how_far_an_answer_has_come_is_told_while_it_comes() -> None:
    progress = ResponseProgress()
    async with place(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")) as there:
        with pytest.raises(ConnectionClosed):
            await there.client.request(GET, max_body=10, progress=progress)

    assert (progress.status, progress.received) == (200, 3)


# -- hostile responses ------------------------------------------------------------------------------------------------


def endless(head: bytes, piece: bytes) -> Connection:
    """Send the piece again and again, until the client stops reading."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece * (1 + 100_000 // len(piece)))
            await writer.drain()

    return serve


@pytest.mark.parametrize(
    ("head_", "piece", "error"),
    [
        (CHUNKED, b"1\r\nx\r\n", MalformedResponse),
        (CHUNKED, b"1;" + b"x" * 1000 + b"\r\nx\r\n", MalformedResponse),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", MalformedResponse),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", MalformedResponse),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", MalformedResponse),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"[]", BodyTooLarge),
    ],
)
async def test_an_answer_without_an_end_is_ended(head_: bytes, piece: bytes, error: type[RequestFailed]) -> None:
    async with place(endless(head_, piece)) as there:
        with pytest.raises(error):
            await there.ask(max_body=2**20)


async def test_an_answer_that_drips_is_ended_by_the_callers_deadline() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in CHUNKED + b"1\r\nx\r\n" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)

    async with place(serve) as there:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await there.client.request(GET, max_body=10_000)


async def test_an_answer_in_small_pieces_is_taken_and_others_have_their_turn_between_them() -> None:
    """All pieces come at once; the event loop runs once for every few of them."""
    pieces, rounds = 2000, 0
    done = asyncio.Event()

    async def turn() -> None:
        nonlocal rounds
        while not done.is_set():
            rounds += 1
            await asyncio.sleep(0)

    async with place(always(CHUNKED + b"1\r\nx\r\n" * pieces + b"0\r\n\r\n", OK)) as there:
        other = asyncio.create_task(turn())
        response = await there.ask(max_body=pieces)
        done.set()
        await other
        assert (await there.ask()).body == b"ok"
        assert there.connections == 1

    assert response.body == b"x" * pieces
    assert rounds > pieces / 100


@pytest.mark.parametrize("keep", [0, 1, 10, 500, 1000, None])
def test_of_a_body_only_so_much_is_kept_as_is_wanted(keep: int | None) -> None:
    body = bytes(range(256)) * 3
    connection = response_parser.protocol()
    connection.send(GET)
    connection.send(h11.EndOfMessage())
    progress = ResponseProgress(keep)
    reader = ResponseParser(connection, len(body), progress)
    for piece in (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body[:7], body[7:300], body[300:]):
        reader.receive(piece)
        while not reader.advance(3):
            pass
    assert reader.is_whole
    assert reader.response(early=False).body == body[:keep]
    assert progress.received == len(body)


def read_all(data: bytes, cuts: list[int], max_body: int = 1000) -> ClientResponse | None:
    """Return the response in these bytes, which come in pieces before the end of the connection; None without one."""
    connection = response_parser.protocol()
    connection.send(GET)
    connection.send(h11.EndOfMessage())
    reader = ResponseParser(connection, max_body, ResponseProgress())
    ends = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[begin:end] for begin, end in pairwise(ends)]
    try:
        for piece in (*pieces, b""):
            reader.receive(piece)
            while not reader.advance(3):
                pass
            if reader.is_whole:
                return reader.response(early=False)
    except RequestFailed:
        return None
    raise AssertionError("after its end a response is whole, or there is none")


HEADS = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 999 \xff\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/2 200\r\n"]
)
FIELDS = st.sampled_from(
    [
        b"Content-Length: 3\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1_0\r\n",
        "Content-Length: \u0663\r\n".encode(),
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Connection: close\r\n",
        b"Upgrade: x\r\n",
        b"X: \xff\x80\r\n",
        b" folded\r\n",
        b": \r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"-1\r\n",
        b"0\r\n",
        b"0\r\nTrailer: x\r\n\r\n",
    ]
)


@given(
    st.lists(st.one_of(HEADS, FIELDS, st.binary(max_size=20)), max_size=12),
    st.lists(st.integers(0, 10_000), max_size=5),
)
def test_whatever_a_peer_writes_is_an_answer_or_none_and_never_a_defect(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)

    whole = read_all(data, [])

    assert read_all(data, cuts) == whole
