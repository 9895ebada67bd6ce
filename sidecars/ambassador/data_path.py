"""The data path: the part of the ambassador that carries traffic, in the only process or in one worker of several.

It listens for the app, refreshes the endpoints of each upstream, checks their health, and drains. One clock (`_tick`)
serves all time-outs, so that no request arms a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, cast

from sidecars.ambassador.config import shared_ports
from sidecars.ambassador.config.auth_settings import NO_AUTH
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.discovery.dns_refresh import Resolver, keep_refreshed
from sidecars.ambassador.discovery.dns_target import DnsTarget
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.settings import Settings
from sidecars.ambassador.status import upstream_status
from sidecars.ambassador.status.upstream_status import UpstreamWatch
from sidecars.ambassador.transport.acceptor import Listener, most_descriptors
from sidecars.ambassador.transport.tcp_keepalive import set_keepalive
from sidecars.ambassador.upstream.buffer_memory import BufferMemory
from sidecars.ambassador.upstream.health_checks import HealthChecker
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis import admin_server
from sidecars.chassis.accept.listen import bound_address
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health, ReadinessLatch
from sidecars.chassis.runtime.lifecycle import ServiceContext

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from sidecars.ambassador.trace_export.exporter import SpanExporter

log = logs.get("ambassador")

_TICK = 0.2  # seconds; the accuracy of time-outs
_STUCK_AFTER = 5.0  # seconds without a tick
_DRAIN_STEP = 0.01  # seconds
_LOOK_EVERY = 1.0  # seconds; the accuracy of the time since when an upstream is in its condition
_LOG_AGAIN = 60.0  # seconds between two log lines about the memory
_OTHER_DESCRIPTORS = 64  # for everything else than the app's connections

Resolvers = Callable[[UpstreamSettings], Resolver]


def cares_resolver(settings: UpstreamSettings) -> Resolver:
    """Return a resolver for one name of this upstream."""
    from sidecars.ambassador.discovery.cares_resolver import CaresResolver  # noqa: PLC0415 - needed only for names

    return CaresResolver(settings.resolv_conf)


class DataPath:
    """The upstreams of one process and the tasks that serve them. The app or a worker owns it."""

    def __init__(self, settings: Settings, context: ServiceContext, resolvers: Resolvers = cares_resolver) -> None:
        self._context = context
        self._settings = settings
        self._resolvers = resolvers
        self._listening = context.health.hold("listener", "not listening yet")  # `workers.reports` knows it
        self._drain_quiet = settings.drain_quiet
        loop = asyncio.get_running_loop()
        self._memory = BufferMemory(
            settings.buffer_memory, max(upstream.max_header_size for upstream in settings.upstreams.values())
        )
        self._upstreams: list[Upstream] = []
        self._ports: dict[str, Upstream] = {}  # by their names; a port without routes is its upstream
        for name, group in settings.ports.items():
            self._add_port(name, group, loop)
        if any(upstream.settings.has_companion for upstream in self._upstreams):
            from sidecars.ambassador.proxy.beside import companions  # noqa: PLC0415 - hedges and mirrors are rare

            companions.attach(self._upstreams, time.monotonic())
        self._exporter = _observe(settings, self._upstreams, self._ports)
        self._watches = [UpstreamWatch(upstream, time.monotonic()) for upstream in self._upstreams]
        _check_descriptor_limit(settings)

    def _add_port(self, name: str, group: list[UpstreamSettings], loop: asyncio.AbstractEventLoop) -> None:
        """Make the upstreams of one port, and the port if it is none of them."""
        port = None
        if name != group[0].name:
            own = shared_ports.settings_of_port(name, group)
            port = Upstream(own, loop, ReadinessLatch(name, ""), self._settings.drain_timeout, self._memory)
        members = [
            Upstream(
                upstream,
                loop,
                self._context.health.hold(f"upstream {upstream.name}", "it has no address yet"),
                self._settings.drain_timeout,
                self._memory,
                port,
            )
            for upstream in group
        ]
        self._upstreams += members
        self._ports[name] = port or members[0]
        if any(upstream.is_routed(upstream.upstream.base) for upstream in group):
            from sidecars.ambassador.proxy.routed.tables import add_routes  # noqa: PLC0415 - only with routes

            add_routes(self._ports[name], members)
        for member in members:
            if member.settings.auth != NO_AUTH:
                self._identify(member)

    def _identify(self, upstream: Upstream) -> None:
        """Give an upstream with AUTH its identity."""
        from sidecars.ambassador.proxy.identity import places  # noqa: PLC0415 - needed only with AUTH

        latch = self._context.health.hold(f"identity of {upstream.name}", "its first credentials have not come yet")
        upstream.identity = places.create(self._settings, upstream, latch)

    def metrics(self) -> CollectorRegistry:
        """Return a registry with the metrics of this data path."""
        from sidecars.ambassador.endpoint_metrics import EndpointCollector  # noqa: PLC0415 - at the first scrape
        from sidecars.ambassador.metrics import BufferCollector, UpstreamCollector  # noqa: PLC0415 - at the first scrape

        registry = admin_server.registry()
        registry.register(UpstreamCollector(self._upstreams, self._ports.values()))
        registry.register(EndpointCollector(self._upstreams))
        registry.register(BufferCollector(self._memory))
        if self._exporter is not None:
            from sidecars.ambassador.trace_export.trace_metrics import TraceCollector  # noqa: PLC0415 - TRACES=on alone

            registry.register(TraceCollector(self._exporter.queue))
        return registry

    def status(self, *, every: bool = False) -> dict[str, object]:
        """Return the part of `/status`. If there are many endpoints, only the worst are listed, unless `every`."""
        page = upstream_status.page(self._watches, self._memory, time.monotonic(), every=every)
        if any(port.routes is not None for port in self._ports.values()):
            from sidecars.ambassador.status import port_status  # noqa: PLC0415 - only with routes

            page |= port_status.page(self._ports.values())
        return page

    def connections(self) -> int:
        """Return the number of connections that the app has open."""
        return sum(len(port.clients.open) for port in self._ports.values())

    async def run(
        self, listeners: Mapping[str, list[socket.socket]], is_my_turn: Callable[[], bool] | None = None
    ) -> None:
        """Accept on the sockets until the context stops and the app's connections have ended.

        `listeners` are the listening sockets of each port, by its name. `is_my_turn` is given if other workers
        accept from the same sockets.
        """
        async with contextlib.AsyncExitStack() as stack:
            for upstream in {**dict.fromkeys(self._upstreams), **dict.fromkeys(self._ports.values())}:
                stack.callback(upstream.close)
            for name, port in self._ports.items():
                await stack.enter_async_context(_listen(port, listeners[name], is_my_turn))
            self._listening.release()
            # Objects that live for ever need no further collection. A full one here takes 7 ms and finds nothing.
            gc.collect(1)
            gc.freeze()
            async with asyncio.TaskGroup() as group:
                exporting = group.create_task(self._exporter.run()) if self._exporter is not None else None
                background = [group.create_task(_tick(self._watches, self._memory, self._context.health))]
                for upstream in self._upstreams:
                    if upstream.settings.check_every:
                        checker = HealthChecker(upstream, upstream.settings.check_every)
                        background.append(group.create_task(checker.run()))
                    for target in upstream.dns_targets:
                        if target.target.is_kubernetes:
                            background += self._follow(upstream, target, group)
                            continue
                        resolver = self._resolvers(upstream.settings) if target.needs_lookup else None
                        background.append(
                            group.create_task(keep_refreshed(upstream, target, resolver, upstream.settings.dns_min_ttl))
                        )
                    if upstream.proxy is not None:
                        looks_up = upstream.proxy.needs_lookup
                        resolver = self._resolvers(upstream.settings) if looks_up else None
                        background.append(group.create_task(upstream.proxy.follow(resolver)))
                await self._context.stopping.wait()
                await _drain(self._upstreams, self._drain_quiet)
                if self._exporter is not None and exporting is not None:
                    await self._exporter.finish(exporting)
                for task in background:
                    task.cancel()

    def _follow(self, upstream: Upstream, target: DnsTarget, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start the tasks that follow a Service in Kubernetes."""
        from sidecars.ambassador.discovery.kubernetes import tasks  # noqa: PLC0415 - needed only for k8s://

        resolver = self._resolvers(upstream.settings)
        found = tasks.follow(self._settings, os.environ, upstream, target, resolver)
        return [group.create_task(each) for each in found]


def _observe(settings: Settings, upstreams: Iterable[Upstream], ports: Mapping[str, Upstream]) -> SpanExporter | None:
    """Observe the exchanges of those upstreams whose settings ask for it; return the exporter of their spans.

    Raises IOFailed if a TLS file cannot be used.
    """
    observed = [one for one in upstreams if one.settings.is_observed and one.settings.upstream.protocol == "http"]
    if not observed:
        return None
    from sidecars.ambassador.proxy.observed.observer import observe  # noqa: PLC0415 - most ambassadors do not

    exporter = None
    if settings.traces_endpoint is not None:
        from sidecars.ambassador.trace_export.exporter import SpanExporter  # noqa: PLC0415 - TRACES=on alone

        exporter = SpanExporter(settings)
    queue = exporter.queue if exporter is not None else None
    for upstream in observed:
        observe(upstream, queue, upstream.settings)
    for name, group in settings.ports.items():
        is_seen = group[0].is_observed and shared_ports.seen_alike(group)
        if is_seen and ports[name].members and ports[name].observer is None:
            observe(ports[name], queue, group[0])  # for the requests that no upstream gets
    return exporter


def _check_descriptor_limit(settings: Settings) -> None:
    """Warn if MAX_CONNECTIONS needs too many open files: each connection of the app needs one to an endpoint."""
    needed = _OTHER_DESCRIPTORS + 2 * sum(group[0].max_connections for group in settings.ports.values())
    limit = most_descriptors()
    if needed > limit:
        log.warning(
            "the limit of open files is too low for MAX_CONNECTIONS",
            code="open-files-limit-low",
            limit=limit,
            needed=needed,
        )


@contextlib.asynccontextmanager
async def _listen(
    upstream: Upstream, sockets: list[socket.socket], is_my_turn: Callable[[], bool] | None
) -> AsyncIterator[None]:
    """Accept the app's connections while the context is open."""
    protocol: Callable[[Upstream], object] = ClientConnection
    if upstream.settings.upstream.is_postgres:
        from sidecars.ambassador.proxy.tcp.postgres_connection import PostgresConnection  # noqa: PLC0415 - few speak it

        protocol = PostgresConnection
    elif upstream.settings.upstream.protocol != "http":
        from sidecars.ambassador.proxy.tcp.tcp_connection import TcpConnection  # noqa: PLC0415 - only where it is used

        protocol = TcpConnection

    def accept() -> asyncio.BaseProtocol:
        # It has the methods of one without inheriting from it: see ClientConnection.
        return cast("asyncio.BaseProtocol", protocol(upstream))

    for bound in sockets:
        set_keepalive(bound, upstream.settings.tcp_keepalive)
    listeners = [Listener(upstream.loop, bound, accept, is_my_turn) for bound in sockets]
    upstream.clients.accept_from(listeners)
    try:
        for listener in listeners:
            await listener.start()
        for bound in sockets:
            name = bound.getsockname()
            if not isinstance(name, str):
                upstream.listens_on(name[0], name[1])
        log.info("listening", upstream=upstream.name, address=bound_address(sockets))
        yield
    finally:
        for listener in listeners:
            listener.close()


async def _tick(watches: Iterable[UpstreamWatch], memory: BufferMemory, health: Health) -> None:
    """Run the clock of the data path: time-outs, idle connections, ejections and trials of endpoints."""
    heartbeat = health.heartbeat("data path", _STUCK_AFTER)
    told, told_at = 0, -_LOG_AGAIN
    look_at = 0.0
    while True:
        await asyncio.sleep(_TICK)
        heartbeat.beat()
        now = time.monotonic()
        for watch in watches:
            watch.upstream.tick(now)
            if now >= look_at:
                watch.tick(now)
        if now >= look_at:
            look_at = now + _LOOK_EVERY
        if memory.shortages > told and now - told_at >= _LOG_AGAIN:
            told, told_at = memory.shortages, now
            log.warning(
                "peers do not take what is sent to them, and the memory for it is short: reads are small, bodies are"
                " not kept for a retry",
                code="buffer-memory-short",
                advice="raise AMBASSADOR_BUFFER_MEMORY and the memory limit, or look for the peers that do not read",
            )


async def _drain(upstreams: list[Upstream], quiet: float) -> None:
    """Serve until the app has had no connection for `quiet` seconds. The lifecycle ends a longer drain."""
    busy_at = time.monotonic()
    while True:
        now = time.monotonic()
        for upstream in upstreams:
            upstream.drain(now)
        if any(upstream.clients.is_busy(now) for upstream in upstreams):
            busy_at = now
        elif now - busy_at >= quiet:
            return
        await asyncio.sleep(_DRAIN_STEP)
