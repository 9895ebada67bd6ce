"""Upstreams with a companion, on fake transports."""

from __future__ import annotations

import asyncio

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.beside_settings import MirrorTarget
from sidecars.ambassador.discovery.dns_target import DnsAnswer, ResolvedAddress
from sidecars.ambassador.proxy.beside import companions
from sidecars.ambassador.proxy.beside.companions import Companions
from sidecars.ambassador.proxy.beside.mirror import Mirror
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.health import ReadinessLatch
from sidecars.chassis.runtime.light_dataclasses import replace
from tests.ambassador.exchanges import Pair, Wire, wire


def companion_of(upstream: Upstream) -> Companions:
    assert isinstance(upstream.companion, Companions)
    return upstream.companion


def hedges(upstream: Upstream) -> dict[str, int]:
    """Return how often each outcome of a hedge was counted, without those that never were."""
    return {name: count for name, count in companion_of(upstream).counts()["hedges"].items() if count}


def connection_of(pair: Pair, endpoint: Endpoint) -> UpstreamConnection:
    """Return the idle connection to this endpoint."""
    (connection,) = pair.upstream.pool.idle.of(endpoint)
    return connection


class HedgingPair(Pair):
    """Two endpoints with an idle connection each. Hedges begin after no time at all when the loop turns."""

    def __init__(self, endpoints: int = 2, **environ: str) -> None:
        super().__init__(AMBASSADOR_HEDGE_AFTER="1ms", AMBASSADOR_BALANCE="round_robin", **environ)
        self.add_endpoints(endpoints - 1)
        companions.attach([self.upstream], self.client.since)
        self.connections = {endpoint: connection_of(self, endpoint) for endpoint in self.upstream.endpoints}

    def __enter__(self) -> HedgingPair:  # noqa: PYI034 - a helper of one class
        return self

    def ask(self, request: bytes) -> tuple[UpstreamConnection, Endpoint]:
        """Let the app send a request; return the connection of the first attempt."""
        self.client.data_received(request)
        exchange = self.client.exchange
        assert exchange is not None
        assert exchange.endpoint is not None
        return self.connections[exchange.endpoint], exchange.endpoint

    def let_hedge(self, first: UpstreamConnection) -> UpstreamConnection | None:
        """Let the time of the hedge pass; return its connection, if there is one."""
        self.loop.run_until_complete(asyncio.sleep(0.005))
        for connection in self.connections.values():
            if connection is not first and connection.exchange is not None:
                return connection
        return None

    @property
    def pending(self) -> list[int]:
        return [endpoint.pending for endpoint in self.upstream.endpoints]


def response(status: int = 200, body: bytes = b"hello") -> bytes:
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def written(connection: UpstreamConnection) -> bytes:
    return wire(connection).written


def is_closed(connection: UpstreamConnection) -> bool:
    found: Wire = wire(connection)
    return found.closing


class MirrorPair(Pair):
    """An upstream, and the other one that gets copies of its requests, with idle connections."""

    def __init__(
        self, percent: int = 100, shadow: dict[str, str] | None = None, limit: int = 128, **environ: str
    ) -> None:
        super().__init__(**environ)
        self.upstream.settings = replace(self.upstream.settings, mirror_limit=limit)
        environ = {"AMBASSADOR_UPSTREAM": "http://shadow:8080", **(shadow or {})}
        settings = load(Settings, environ).upstreams["default"]
        self.other = Upstream(settings, self.loop, ReadinessLatch("other", ""), memory=self.upstream.memory)
        self.other.on_dns_answer(self.other.dns_targets[0], DnsAnswer((ResolvedAddress("10.0.9.1"),), 5.0), 0.0)
        (self.place,) = self.other.endpoints
        self.mirror = Mirror(self.upstream, MirrorTarget("shadow", percent), self.other)
        self.upstream.companion = Companions(self.upstream, None, self.mirror)
        self.copies = [self._connect(), self._connect()]

    def __enter__(self) -> MirrorPair:  # noqa: PYI034 - a helper of one class
        return self

    def __exit__(self, *reason: object) -> None:
        self.other.disconnects.close()
        super().__exit__(*reason)

    def _connect(self) -> UpstreamConnection:
        connection = self.other.pool.new_connection(self.place)
        connection.connection_made(Wire())  # type: ignore[arg-type] # a fake transport
        connection.keep_idle(self.client.since)
        return connection

    @property
    def copy(self) -> UpstreamConnection:
        """The connection that carries a copy."""
        (found,) = (each for each in self.copies if each.exchange is not None)
        return found

    @property
    def counts(self) -> dict[str, int]:
        return {name: count for name, count in self.mirror.counts.items() if count}

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))

    @property
    def is_released(self) -> bool:
        """True if nothing of any copy is left."""
        other = self.other
        return not (self.place.pending or other.admission.under_way or other.memory.held or self.mirror.under_way)
