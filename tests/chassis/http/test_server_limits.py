"""Deadlines and limits of the small HTTP server, its end, and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import ssl
from pathlib import Path

import pytest
import trustme

from sidecars.chassis.accept.listen import bind
from sidecars.chassis.config.setting_types import Address
from sidecars.chassis.http import server, tls
from sidecars.chassis.http.server import ClientLimits, Request, Response
from sidecars.chassis.http.server_connection import ServerConnection
from tests.chassis.http_server import GET, LAST, responses, serving


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


async def test_responses_that_nobody_reads_have_a_limit_together_and_others_are_answered() -> None:
    """Of the clients that do not read, the one with the largest response is cut, until the rest fits."""
    async with serving(ClientLimits(unsent=50_000_000)) as served:
        greedy = []
        for _ in range(10):
            client = await served.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined] # typed as one for writing only
            await client.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            greedy.append(client)
        await served.has_seen(len(greedy))
        await served.is_free_again()
        whole = 0
        for client in greedy:
            client.writer.transport.resume_reading()  # type: ignore[attr-defined] # typed as one for writing only
            with contextlib.suppress(ConnectionError):
                whole += len(await client.rest()) > 20_000_000
        assert 1 <= whole <= 5


async def test_a_connection_that_is_closed_leaves_nothing_to_the_garbage_collector() -> None:
    async with serving() as served:
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                client = await served.connect()
                await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                await client.rest()
            await served.is_free_again()
            left = sum(type(each) is ServerConnection for each in gc.get_objects())
        finally:
            gc.enable()
    assert left <= 2  # the last of them may not have ended yet


async def test_more_requests_at_work_than_connections_are_allowed_are_told_503() -> None:
    async with serving(ClientLimits(connections=1)) as served:
        first = await served.connect()
        await first.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await served.has_seen(1)

        assert (await (await served.connect()).rest()).startswith(b"HTTP/1.1 503 ")
        served.release.set()
        await first.until(b"/held")
        await served.is_free_again()


@pytest.mark.parametrize("sent", [b"", GET, b"GET /a HT"])
async def test_an_idle_connection_makes_room_for_a_newcomer(sent: bytes) -> None:
    async with serving(ClientLimits(connections=1)) as served:
        first = await served.connect()
        await first.send(sent)
        if sent == GET:
            await first.until(b"/a")
        second = await served.connect()
        await second.send(LAST)

        assert (await second.rest()).endswith(b"/last")
        assert await first.rest() in (b"", None)


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
    assert responses(received, ["GET"]) == [(200, b"/held")]
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

    assert [status for status, _ in responses(received, ["GET", "GET"])] == [500, 200]
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

    async def response(request: Request) -> Response:
        return server.text(200, request.path)

    old = renew()
    async with server.serve(response, sockets, tls=tls.server_context(tls.PemFile("DEMO_CERT", str(path)))):
        assert (await ask(old)).endswith(b"/last")
        new = renew()
        assert (await ask(new)).endswith(b"/last")
        with pytest.raises(ssl.SSLError):
            await ask(old)
