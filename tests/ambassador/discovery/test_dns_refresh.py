"""Names with addresses that change or cannot be looked up, with a resolver that the test controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sidecars.ambassador import app
from sidecars.ambassador.discovery.dns_target import DnsAnswer, LookupFailed, ResolvedAddress, is_address
from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import ServiceContext
from tests.support import free_port

PORT = 0


class Zone:
    """A resolver that returns `addresses`; without any, each look-up fails."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def lookup(self, host: str) -> DnsAnswer:
        self.asked += 1
        if not self.addresses:
            raise LookupFailed(f"SERVFAIL for {host}")
        return DnsAnswer(tuple(map(ResolvedAddress, self.addresses)), 0.01)

    async def lookup_srv(self, name: str) -> DnsAnswer:
        raise NotImplementedError(name)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - no event announces the condition
            await asyncio.sleep(0.01)
    assert what


@asynccontextmanager
async def backend(address: str, port: int, connections: set[Any]) -> AsyncIterator[int]:
    """Run a server that responds to every request with the address on which it listens."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(address), address.encode()))
        except asyncio.IncompleteReadError:
            connections.discard(writer)
        writer.close()

    server = await asyncio.start_server(answer, address, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(connections):
            writer.close()


@asynccontextmanager
async def ambassador(zone: Zone, port: int) -> AsyncIterator[tuple[Callable[[], Awaitable[str]], ServiceContext]]:
    """Run the ambassador for `orders:port` in-process; yield a function that sends it a request, and the context."""
    own = free_port()
    settings = load(
        Settings,
        {
            "AMBASSADOR_UPSTREAM": f"http://orders:{port}",
            "AMBASSADOR_LISTEN": f"127.0.0.1:{own}",
            "AMBASSADOR_ADMIN_LISTEN": "off",
            "AMBASSADOR_DNS_MIN_TTL": "100ms",
        },
    )
    context = ServiceContext(5.0)
    serving = asyncio.create_task(app.serve(settings, context, lambda _: zone))

    async def ask() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", own)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = (await reader.read()).decode()
        writer.close()
        return answer.partition("\r\n\r\n")[2]

    async def looked_up() -> bool:
        await asyncio.sleep(0)
        return zone.asked > 0

    await until(looked_up, "a first look-up")
    yield ask, context
    context.begin_drain(asyncio.get_running_loop().time())
    await serving


async def test_a_name_that_moves_is_followed_and_its_idle_connections_are_closed() -> None:
    old: set[Any] = set()
    new: set[Any] = set()
    zone = Zone("127.0.0.2")
    async with (
        backend("127.0.0.2", PORT, old) as port,
        backend("127.0.0.3", port, new),
        ambassador(zone, port) as (ask, _),
    ):
        assert await ask() == "127.0.0.2"
        assert len(old) == 1
        zone.addresses = ["127.0.0.3"]

        async def moved() -> bool:
            return await ask() == "127.0.0.3" and not old

        await until(moved, "the new address, and no connection left to the old one")
        assert {await ask() for _ in range(10)} == {"127.0.0.3"}


async def test_when_dns_fails_the_last_good_addresses_are_used_on() -> None:
    zone = Zone("127.0.0.2")
    async with backend("127.0.0.2", PORT, set()) as port, ambassador(zone, port) as (ask, context):
        assert await ask() == "127.0.0.2"
        zone.addresses = []
        asked = zone.asked

        async def failed_twice() -> bool:
            return zone.asked > asked + 2

        await until(failed_twice, "failed look-ups")
        assert await ask() == "127.0.0.2"
        assert context.health.not_ready() == []


async def test_it_becomes_ready_with_the_first_address() -> None:
    zone = Zone()
    async with backend("127.0.0.2", PORT, set()) as port, ambassador(zone, port) as (ask, context):
        assert "it has no address" in context.health.not_ready()[0]
        assert "the upstream has no address" in await ask()
        zone.addresses = ["127.0.0.2"]

        async def ready() -> bool:
            return not context.health.not_ready()

        await until(ready, "readiness")
        assert await ask() == "127.0.0.2"


def test_what_is_an_address_is_never_looked_up() -> None:
    assert is_address("10.0.0.1")
    assert is_address("fd00::1")
    assert not is_address("orders.shop")
