"""Requests to the small HTTP server and their responses, as raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import socket
from email.utils import formatdate
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.http.messages import date_text
from tests.chassis.http_server import GET, LAST, responses, serving
from tests.support import examples


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n" + GET + LAST)
        served.release.set()

        assert responses(await client.rest(), ["GET"] * 3) == [(200, b"/held"), (200, b"/a"), (200, b"/last")]


@examples(30)
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
            assert [status for status, _ in responses(await client.rest(), ["GET"] * 3)] == [200] * 3

    asyncio.run(run())


async def test_head_and_204_come_without_a_body_and_the_connection_goes_on() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /empty HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
        received = await client.rest()

        assert responses(received, ["HEAD", "GET", "GET"]) == [(200, b""), (204, b""), (200, b"/last")]
        assert received.count(b"Content-Length: 2\r\n") == 1  # the length of GET's body


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

        assert responses(await client.rest(), ["GET"]) == [(200, b"/held")]


async def test_http_1_0_is_answered_and_closed() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"GET /a HTTP/1.0\r\n\r\n")

        assert (await client.rest()).endswith(b"\r\n\r\n/a")


async def test_a_short_body_is_dropped_and_the_connection_goes_on() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + LAST)

        assert responses(await client.rest(), ["POST", "GET"]) == [(200, b"/a"), (200, b"/last")]


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


@given(st.integers(0, 253_402_300_799))  # the last second of the year 9999
def test_the_date_is_that_of_the_standard_library(now: int) -> None:
    assert date_text(now) == formatdate(now, usegmt=True)
