"""The small HTTP server, by raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import h11
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http import server, tls
from sidecars.chassis.http.listen import bind
from sidecars.chassis.http.server import ClientLimits, Request, Response
from tests.support import PATIENCE

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass
class Served:
    """A server in this process, and what its handler has seen and may do."""

    port: int
    seen: list[Request] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: Request) -> Response:
        self.seen.append(request)
        async with self.came:
            self.came.notify_all()
        match request.path:
            case "/held":
                await self.release.wait()
            case "/large":
                return Response(body=b"x" * 20_000_000)
            case "/defect":
                raise KeyError("hunter2")
            case "/empty":
                return Response(204)
            case "/unsendable":
                return Response(headers={"X": "one\r\ntwo"})
            case "/umlaut":
                return Response(headers={"X-Odd": "ä"})
        return server.text(200, request.path)

    async def connect(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.clients[-1]

    async def has_seen(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(PATIENCE), self.came:
            await self.came.wait_for(lambda: len(self.seen) >= count)

    async def is_free_again(self) -> None:
        """Wait until a new connection is served."""
        async with asyncio.timeout(PATIENCE):
            while True:
                client = await self.connect()
                await client.send(LAST)
                if (await client.rest()).endswith(b"/last"):
                    return


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset fails."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(end)


@asynccontextmanager
async def serving(limits: ClientLimits | None = None, grace: float = 0.5) -> AsyncIterator[Served]:
    sockets = bind(Address("127.0.0.1", 0), "TEST")
    served = Served(sockets[0].getsockname()[1])
    try:
        async with server.serve(served.answer, sockets, limits=limits, grace=grace):
            yield served
    finally:
        for client in served.clients:
            await client.close()


def answers(received: bytes, methods: Sequence[str]) -> list[tuple[int, bytes]]:
    """The answers in these bytes, read by another implementation's rules: h11's client."""
    client, found = h11.Connection(h11.CLIENT), []
    client.receive_data(received)
    client.receive_data(b"")
    for method in methods:
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        head, body = client.next_event(), b""
        assert isinstance(head, h11.Response)
        while isinstance(event := client.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        found.append((head.status_code, bytes(body)))
        if client.our_state is h11.DONE and client.their_state is h11.DONE:
            client.start_next_cycle()
    return found


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n" + GET + LAST)
        served.release.set()

        assert answers(await client.rest(), ["GET"] * 3) == [(200, b"/held"), (200, b"/a"), (200, b"/last")]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, len(GET * 2 + LAST) - 1), max_size=6))
def test_however_the_bytes_are_split_the_answers_are_the_same(cuts: list[int]) -> None:
    async def run() -> None:
        stream, ends = GET * 2 + LAST, sorted({0, *cuts, len(GET * 2 + LAST)})
        async with serving() as served:
            client = await served.connect()
            client.writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for begin, end in pairwise(ends):
                await client.send(stream[begin:end])
                await asyncio.sleep(0)
            assert [status for status, _ in answers(await client.rest(), ["GET"] * 3)] == [200] * 3

    asyncio.run(run())


async def test_head_and_204_come_without_a_body_and_the_connection_goes_on() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /empty HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
        received = await client.rest()

        assert answers(received, ["HEAD", "GET", "GET"]) == [(200, b""), (204, b""), (200, b"/last")]
        assert received.count(b"Content-Length: 2\r\n") == 1  # of what GET would have got


async def test_a_request_is_told_with_its_path_query_and_headers() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(
            b"GET http://host:1/%61?c=d&e HTTP/1.1\r\nHost: x\r\nX-Odd: \xe4\r\nConnection: close\r\n\r\n"
        )
        await client.rest()

    [request] = served.seen
    assert (request.method, request.path, request.query) == ("GET", "/%61", "c=d&e")
    assert request.headers["x-odd"] == "ä"


async def test_who_has_sent_all_and_half_closed_is_answered() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        client.writer.write_eof()
        await served.has_seen(1)
        served.release.set()

        assert answers(await client.rest(), ["GET"]) == [(200, b"/held")]


async def test_http_1_0_is_answered_and_closed() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /a HTTP/1.0\r\n\r\n")

        assert (await client.rest()).endswith(b"\r\n\r\n/a")


async def test_a_short_body_is_dropped_and_the_connection_goes_on() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + LAST)

        assert answers(await client.rest(), ["POST", "GET"]) == [(200, b"/a"), (200, b"/last")]


async def test_a_long_body_is_refused_and_the_refusal_can_be_read() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n", b"x" * 200_000)

        assert (await client.rest()).startswith(b"HTTP/1.1 413 ")
    assert not served.seen


async def test_who_asks_whether_to_send_a_body_is_answered_without_it() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")

        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await client.rest()  # and then it closes: whether the body still comes cannot be known


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hunter2 \xff\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000, 431),
    ],
)
async def test_what_is_no_request_is_refused_and_closed(request_: bytes, status: int) -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(request_)

        assert (await client.rest()).startswith(f"HTTP/1.1 {status} ".encode())
    assert not served.seen


async def test_a_request_that_drips_is_given_up_with_408() -> None:
    async with serving(ClientLimits(request=0.1)) as served:
        client = await served.connect()
        await client.send(b"GET /a HT")

        assert (await client.rest()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with serving(ClientLimits(idle=0.1)) as served:
        client = await served.connect()

        assert await client.rest() == b""


async def test_a_client_that_takes_nothing_is_cut_and_gives_its_place_to_others() -> None:
    async with serving(ClientLimits(write=0.1, connections=1)) as served:
        greedy = await served.connect()
        greedy.writer.transport.pause_reading()  # type: ignore[attr-defined] # typed as one for writing only
        await greedy.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        await served.has_seen(1)

        await served.is_free_again()
        assert [request.path for request in served.seen] == ["/large", "/last"]  # the second /large was never begun


async def test_more_connections_than_allowed_are_told_503() -> None:
    async with serving(ClientLimits(connections=1)) as served:
        first = await served.connect()
        await first.send(GET)
        await first.until(b"/a")

        assert (await (await served.connect()).rest()).startswith(b"HTTP/1.1 503 ")
        await first.close()
        await served.is_free_again()


async def test_at_the_end_idle_connections_close_and_a_request_at_work_is_finished() -> None:
    async with serving(grace=20) as served:
        idle, working = await served.connect(), await served.connect()
        await idle.send(GET)
        await idle.until(b"/a")
        await working.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await served.has_seen(2)
        rests = asyncio.gather(idle.rest(), working.rest())
        asyncio.get_running_loop().call_later(0.05, served.release.set)

    nothing, received = await rests
    assert nothing == b""
    assert answers(received, ["GET"]) == [(200, b"/held")]
    assert b"Connection: close\r\n" in received


async def test_at_the_end_a_request_that_hangs_is_cut() -> None:
    async with serving(grace=0.05) as served:
        client = await served.connect()
        await client.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await served.has_seen(1)
        rest = asyncio.ensure_future(client.rest())

    assert await rest == b""


async def test_a_defect_is_500_and_told_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /defect HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
        received = await client.rest()

    assert [status for status, _ in answers(received, ["GET", "GET"])] == [500, 200]
    assert b"hunter2" not in received
    assert "hunter2" in json.dumps([str(record.exc_info) for record in caplog.records])


async def test_tls_is_spoken_with_the_files_as_they_are_now(tmp_path: Path) -> None:
    path = tmp_path / "tls.pem"
    sockets = bind(Address("127.0.0.1", 0), "DEMO_LISTEN")
    port = sockets[0].getsockname()[1]

    def renew() -> ssl.SSLContext:
        authority = trustme.CA()
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(client)
        return client

    async def ask(context: ssl.SSLContext) -> bytes:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        writer.write(LAST)
        with contextlib.closing(writer):
            return await reader.read()

    async def answer(request: Request) -> Response:
        return server.text(200, request.path)

    old = renew()
    async with server.serve(answer, sockets, tls=tls.server_context(tls.PemFile("DEMO_CERT", str(path)))):
        assert (await ask(old)).endswith(b"/last")
        new = renew()
        assert (await ask(new)).endswith(b"/last")
        with pytest.raises(ssl.SSLError):
            await ask(old)


# -- hostile requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_a_request_with_a_length_and_an_encoding_is_the_last_of_its_connection(head: bytes) -> None:
    """RFC 9112, section 6.1: what follows may be a request that somebody has hidden."""
    async with serving() as served:
        client = await served.connect()
        await client.send(head + b"0\r\n\r\n" + GET)
        received = await client.rest()

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close\r\n" in received
    assert [request.path for request in served.seen] in ([], ["/a"])


@pytest.mark.parametrize("piece", [b"1\r\nx\r\n", b"1;" + b"y" * 500 + b"\r\nx\r\n"])
async def test_a_body_in_very_small_pieces_is_refused(piece: bytes) -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 2000)

        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 413 ")
    assert not served.seen


@pytest.mark.parametrize("number", [257, 3000, 60_000])
async def test_a_request_with_very_many_headers_is_refused_also_when_it_comes_at_once(number: int) -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * number + b"\r\n")

        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 431 ")
    assert not served.seen


async def test_a_flood_of_requests_sent_ahead_holds_up_nobody_else() -> None:
    async with serving() as served:
        flood = await served.connect()

        async def pour() -> None:
            while True:
                await flood.send(GET * 1000)

        async def take() -> None:
            while await flood.reader.read(65536):
                pass

        flooding = [asyncio.create_task(pour()), asyncio.create_task(take())]
        await served.has_seen(100)
        for _ in range(10):
            other = await served.connect()
            await other.send(LAST)
            assert (await other.rest()).endswith(b"/last")
        for task in flooding:
            task.cancel()


async def test_an_answer_that_cannot_be_sent_is_a_defect_and_not_a_connection_that_hangs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /unsendable HTTP/1.1\r\nHost: x\r\n\r\n")

        assert (await client.rest()).startswith(b"HTTP/1.1 500 ")
    assert "cannot be sent" in caplog.text


async def test_a_header_of_an_answer_may_have_any_letter_of_latin_1() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /umlaut HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert b"X-Odd: \xe4\r\n" in await client.rest()


PARTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /a?b HTTP/1.1\r\n",
        b"GET \xff HTTP/9.9\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.0\r\n",
        b"Host: x\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        "Content-Length: \u0663\r\n".encode(),
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: x\r\nConnection: upgrade\r\n",
        b"X: \xff\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"3\r\nabc\r\n",
        b"-3\r\n",
        b"0\r\n\r\n",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.one_of(PARTS, st.binary(max_size=10)), max_size=12), min_size=1, max_size=4))
def test_whatever_a_client_writes_is_answered_or_closed_and_is_never_a_defect(streams: list[list[bytes]]) -> None:
    async def run() -> list[dict[str, object]]:
        loop, troubles = asyncio.get_running_loop(), list[dict[str, object]]()
        loop.set_exception_handler(lambda _loop, context: troubles.append(context))
        async with serving() as served:
            served.release.set()
            for parts in streams:
                client = await served.connect()
                await client.send(b"".join(parts))
                client.writer.write_eof()
                received = await client.rest()
                assert b" 500 " not in received
                assert received == b"" or received.startswith(b"HTTP/1.1 ")
            await served.is_free_again()
        return troubles

    assert asyncio.run(run()) == []
