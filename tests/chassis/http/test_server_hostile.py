"""Hostile requests to the small HTTP server."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chassis.http_server import GET, LAST, serving
from tests.support import examples


@pytest.mark.parametrize(
    "head",
    [
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_a_request_with_a_length_and_an_encoding_is_the_last_of_its_connection(head: bytes) -> None:
    """RFC 9112, section 6.1: the bytes behind it may be a smuggled request."""
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


@pytest.mark.slow
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


@examples(100)
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
