"""A pinned client has one connection in its life, and every cookie of a response is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import pytest

from sidecars.chassis.http.client import ClientResponse, ConnectionClosed, HttpClient
from tests.support import PATIENCE

GET = h11.Request(method="GET", target="/", headers=[("Host", "x")])
OK = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def client_of(responses: int) -> AsyncIterator[tuple[HttpClient, list[int]]]:
    """Yield a pinned client of a server that closes each connection after so many responses, and its connections."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        for _ in range(responses):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient("localhost", server.sockets[0].getsockname()[1], lambda: None, keep_alive=60, pinned=True)
    try:
        yield client, connections
    finally:
        client.close()
        server.close()


async def ask(client: HttpClient) -> ClientResponse:
    async with asyncio.timeout(PATIENCE):
        return await client.request(GET, max_body=100)


async def test_a_closed_connection_is_never_replaced() -> None:
    async with client_of(2) as (client, connections):
        idle = [client.has_idle_connection]
        await ask(client)
        idle.append(client.has_idle_connection)
        await ask(client)
        for _ in range(2):
            with pytest.raises(ConnectionClosed):
                await ask(client)
        idle.append(client.has_idle_connection)
        assert idle == [False, True, False]
        assert connections == [0]


async def test_all_cookies_of_a_response_are_told() -> None:
    async with client_of(1) as (client, _):
        assert list((await ask(client)).set_cookies) == ["a=1; Path=/", "b=2"]
