"""The ambassador in the world: apps, origins, DNS and health checks around the whole program, from start to drain."""

from __future__ import annotations

import asyncio
from typing import Any

from sidecars.ambassador import app, data_path
from sidecars.ambassador.discovery.dns_target import DnsAnswer, LookupFailed, ResolvedAddress
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis.config.settings import load
from sidecars.chassis.runtime.lifecycle import ServiceContext
from tests.world.ambassador_apps import PORT, App, Received
from tests.world.ambassador_http2_apps import Http2App
from tests.world.ambassador_origins import Origin, Seen
from tests.world.network import Weather
from tests.world.sockets import VirtualSocket
from tests.world.universe import check, check_equal
from tests.world.world import World

_POOL = tuple(f"10.0.1.{number}" for number in range(1, 7))
_SHADOWS = ("10.0.2.1", "10.0.2.2")  # of the mirror
_APPS = 8


class _Names:
    """The name server: the addresses of `shop.test` change, and sometimes it fails."""

    def __init__(self, world: World) -> None:
        self._universe = world.universe
        self._fails = self._universe.choose(0.0, 0.2)
        self._count = self._universe.dice.randint(1, 4)

    async def lookup(self, _host: str) -> DnsAnswer:
        await asyncio.sleep(self._universe.between(0.0, 0.2))
        if self._universe.chance(self._fails):
            raise LookupFailed("the name server does not answer")
        addresses = self._universe.dice.sample(_POOL, self._count)
        return DnsAnswer(tuple(ResolvedAddress(each) for each in addresses), self._universe.choose(0.1, 1.0, 5.0))

    lookup_srv = lookup


class _DataPath(data_path.DataPath):
    """The data path, which the scenario finds by this name."""

    upstreams: list[Upstream]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        type(self).upstreams = self._upstreams


setattr(app, "DataPath", _DataPath)  # noqa: B010 - it is not exported


class AmbassadorWorld:
    """One run of the ambassador."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.universe = world.universe
        self.seen = Seen()
        self.copied = Seen()  # by the mirror
        self.received = Received()
        self.is_polite = self.universe.chance(0.4)
        self.drain_timeout = self.universe.choose(2.0, 30.0, 120.0)
        environment = self._environment()
        self.has_mirror = self.universe.chance(0.3)
        if self.has_mirror:
            self._add_mirror(environment)
        self.settings = load(Settings, environment)
        for host in _POOL + _SHADOWS:
            self.world.network.weather[host, 80] = self._weather()
        self.world.network.weather["127.0.0.1", PORT] = Weather(slowest=0.001)

    def _environment(self) -> dict[str, str]:
        choose = self.universe.choose
        fixed = ",".join(f"http://{host}" for host in self.universe.dice.sample(_POOL, 2))
        environment = {
            "AMBASSADOR_UPSTREAM": choose("http://shop.test", fixed),
            "AMBASSADOR_ADMIN_LISTEN": "127.0.0.1:9913",
            "AMBASSADOR_DRAIN_TIMEOUT": f"{self.drain_timeout}s",
            "AMBASSADOR_DRAIN_QUIET": choose("0", "0", "1s"),
            "AMBASSADOR_BALANCE": choose("ewma", "least_request", "round_robin", "random", "hash:header:x-length"),
            "AMBASSADOR_HEALTH_PATH": choose("", "/health"),
            "AMBASSADOR_HEALTH_INTERVAL": choose("", "500ms"),
            "AMBASSADOR_RETRIES": choose("0", "2", "5"),
            "AMBASSADOR_RETRY_BUFFER": choose("100", "64KiB"),
            "AMBASSADOR_TRY_TIMEOUT": choose("", "1s"),
            "AMBASSADOR_HEDGE_AFTER": choose("off", "off", "2ms", "100ms", "p95"),
            "AMBASSADOR_TIMEOUT": choose("2s", "20s"),
            "AMBASSADOR_TOTAL_TIMEOUT": choose("", "", "5s"),
            "AMBASSADOR_IDLE_TIMEOUT": choose("1s", "60s"),
            "AMBASSADOR_CONNECT_TIMEOUT": choose("500ms", "2s"),
            "AMBASSADOR_DNS_MIN_TTL": "500ms",
            "AMBASSADOR_MAX_CONNECTIONS": choose("3", "4096", "4096"),
            "AMBASSADOR_MAX_PENDING": choose("2", "1024", "1024"),
            "AMBASSADOR_ACCESS_LOG": "all",
        }
        if environment["AMBASSADOR_RETRIES"] == "0":
            del environment["AMBASSADOR_TRY_TIMEOUT"]  # it would have no effect, which is refused
        if environment["AMBASSADOR_UPSTREAM"] == fixed:
            del environment["AMBASSADOR_DNS_MIN_TTL"]
        return environment

    def _add_mirror(self, environment: dict[str, str]) -> None:
        """Give the upstream a name, and a mirror."""
        choose = self.universe.choose
        environment["AMBASSADOR_ORDERS_UPSTREAM"] = environment.pop("AMBASSADOR_UPSTREAM")
        environment["AMBASSADOR_ORDERS_MIRROR"] = choose("shadow", "shadow 30%")
        environment["AMBASSADOR_MIRROR_LIMIT"] = choose("1", "128")
        environment["AMBASSADOR_SHADOW_UPSTREAM"] = ",".join(f"http://{host}" for host in _SHADOWS)
        environment["AMBASSADOR_SHADOW_LISTEN"] = "127.0.0.1:8501"

    def _weather(self) -> Weather:
        universe = self.universe
        return Weather(
            refuses=universe.chance(0.1),
            hangs=universe.chance(0.05),
            slowest=universe.choose(0.001, 0.02),
            stalls=universe.choose(0.0, 0.0, 0.02),
            keeps_whole=universe.choose(0.3, 0.9),
        )

    async def run(self) -> None:
        """Start everything, stop in the middle or after it, and check."""
        world, universe = self.world, self.universe
        origins = [await Origin(world, host, self.seen).listen() for host in _POOL]
        if self.has_mirror:
            origins += [await Origin(world, host, self.copied).listen() for host in _SHADOWS]
        world.start(self._service, self.drain_timeout)
        await world.listening("127.0.0.1", PORT)
        apps = [asyncio.ensure_future(self._app(number)) for number in range(_APPS)]
        weather = asyncio.ensure_future(self._change_weather())
        if is_early := universe.chance(0.4):
            await asyncio.sleep(universe.between(0.01, 3.0))
        else:
            await asyncio.wait(apps)
        await world.stop(self.drain_timeout)
        await asyncio.wait(apps)
        weather.cancel()
        for origin in origins:
            origin.close()
        for task in apps:
            task.result()
        self._check_end()
        if self.is_polite and not is_early:
            self._check_counts()

    async def _service(self, context: ServiceContext) -> None:
        await app.serve(self.settings, context, lambda _: _Names(self.world))

    async def _app(self, number: int) -> None:
        await asyncio.sleep(self.universe.between(0.0, 2.0))
        kind = Http2App if self.universe.chance(0.3) else App
        await kind(self.world, number, self.received, is_polite=self.is_polite).run()

    async def _change_weather(self) -> None:
        while True:
            await asyncio.sleep(self.universe.between(0.5, 3.0))
            weather = self.world.network.weather[self.universe.dice.choice(_POOL), 80]
            weather.refuses, weather.hangs = self.universe.chance(0.2), self.universe.chance(0.1)

    # -- promises -------------------------------------------------------------------------------------------------

    def _is_ours(self, own: VirtualSocket) -> bool:
        """Return True for a socket of the ambassador: accepted from the app, or connected to an origin."""
        return own.address[1] in (PORT, 8501, 9913) or own.peer_address[1] == 80

    def _check_end(self) -> None:
        world, counters = self.world, _DataPath.upstreams[0].counters
        still_open = world.network.open_connections(self._is_ours)
        check(
            "after the drain no connection is open",
            not still_open,
            *(f"{own.address} {own.peer_address}" for own in still_open),
        )
        check(
            "no request begins after the drain",
            self.seen.last_at <= world.ended_at + 5.0,
            self.seen.last_at,
            world.ended_at,
        )
        for upstream in _DataPath.upstreams:
            check_equal("no request is under way after the drain", upstream.admission.under_way, 0)
            check_equal("no connection is being opened after the drain", upstream.pool.opening, 0)
            for endpoint in upstream.endpoints_and_leaving:
                check_equal(
                    f"{endpoint.label} has no attempt and no connection",
                    (endpoint.pending, endpoint.connections),
                    (0, 0),
                )
        for upstream in _DataPath.upstreams[1:]:
            copies = upstream.counters.requests
            check(
                "the mirror sees each copy once",
                sum(self.copied.times.values()) <= copies + upstream.counters.races,
                copies,
            )
            check_equal("a copy is not retried", upstream.counters.retries, 0)
        check_equal("each request has a duration", sum(counters.durations), counters.requests)
        companion = _DataPath.upstreams[0].companion
        hedges = companion.counts().get("hedges", {}) if companion is not None else {}
        most = (
            counters.requests
            + counters.retries
            + counters.races
            + counters.unprocessed
            + sum(hedges.values())
            - hedges.get("unpaid", 0)
        )
        check(
            "origins see no more than the requests, retries, races and hedges",
            sum(self.seen.times.values()) <= most,
            dict(self.seen.times),
            most,
        )

    def _check_counts(self) -> None:
        """Compare the counters with what the app has received, where no connection broke."""
        if self.received.broken:
            return
        counters = _DataPath.upstreams[0].counters
        check_equal(
            "the statuses that are counted are those that the app got",
            dict(counters.codes),
            dict(sorted(self.received.statuses.items())),
        )
        check_equal("each connection is counted", counters.accepted, self.received.opened)
