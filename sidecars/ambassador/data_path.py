"""The data path: all of the ambassador that carries traffic, in one process or in one worker of several."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from sidecars.ambassador import status
from sidecars.ambassador.discovery.dns_refresh import Resolver, is_address, keep_refreshed
from sidecars.ambassador.endpoint_metrics import EndpointCollector
from sidecars.ambassador.metrics import UpstreamCollector
from sidecars.ambassador.proxy.client_connection import ClientConnection
from sidecars.ambassador.proxy.tcp_connection import TcpConnection
from sidecars.ambassador.settings import Settings, UpstreamSettings
from sidecars.ambassador.transport.acceptor import Listener, most_descriptors
from sidecars.ambassador.transport.tcp_keepalive import set_keepalive
from sidecars.ambassador.upstream.health_checks import HealthChecker
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis import admin_server
from sidecars.chassis.http.listen import bound_address
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health
from sidecars.chassis.runtime.lifecycle import ServiceContext

log = logs.get("ambassador")

_TICK = 0.2  # seconds; how exactly timeouts are kept
_LIVES = 5.0  # seconds without a tick after which this process counts as stuck
_DRAIN_STEP = 0.01  # seconds
_FILES = 64  # descriptors for everything else than the app's connections

Resolvers = Callable[[UpstreamSettings], Resolver]


def cares_resolver(settings: UpstreamSettings) -> Resolver:
    from sidecars.ambassador.discovery.cares_resolver import CaresResolver  # noqa: PLC0415 - only where there are names to look up

    return CaresResolver(settings.resolv_conf)


class DataPath:
    """What carries the traffic: all of the ambassador in one process, or of one worker of several."""

    def __init__(self, settings: Settings, context: ServiceContext, resolvers: Resolvers = cares_resolver) -> None:
        self._context = context
        self._resolvers = resolvers
        self._listening = context.health.hold("listener", "not listening yet")
        self._drain_quiet = settings.drain_quiet
        loop = asyncio.get_running_loop()
        self._upstreams = [
            Upstream(
                upstream,
                loop,
                context.health.hold(f"upstream {upstream.name}", "it has no address yet"),
                settings.drain_timeout,
            )
            for upstream in settings.upstreams.values()
        ]
        _check_limit(settings)
        self.metrics = admin_server.registry()
        self.metrics.register(UpstreamCollector(self._upstreams))
        self.metrics.register(EndpointCollector(self._upstreams))

    def status(self) -> dict[str, object]:
        now = time.monotonic()
        return {
            "form": status.form(),
            "upstreams": {upstream.name: status.page(upstream, now) for upstream in self._upstreams},
        }

    async def run(self, listeners: Mapping[str, list[socket.socket]]) -> None:
        """Accept on the sockets, by the upstreams' names, until told to stop and the app's connections have ended."""
        async with contextlib.AsyncExitStack() as stack:
            for upstream in self._upstreams:
                await stack.enter_async_context(_listen(upstream, listeners[upstream.name]))
            self._listening.release()
            gc.collect()
            gc.freeze()  # what lives for ever need not be looked through again
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(_tick(self._upstreams, self._context.health))]
                for upstream in self._upstreams:
                    if upstream.settings.check_every:
                        checker = HealthChecker(upstream, upstream.settings.check_every)
                        background.append(group.create_task(checker.run()))
                    for name in upstream.dns_targets:
                        resolver = None if is_address(name.target.host) else self._resolvers(upstream.settings)
                        background.append(
                            group.create_task(keep_refreshed(upstream, name, resolver, upstream.settings.dns_min_ttl))
                        )
                await self._context.stopping.wait()
                await _drain(self._upstreams, self._drain_quiet)
                for task in background:
                    task.cancel()


def _check_limit(settings: Settings) -> None:
    """Tell where MAX_CONNECTIONS is more than the limit of open files allows: each needs one for its upstream, too."""
    needed = _FILES + 2 * sum(upstream.max_connections for upstream in settings.upstreams.values())
    limit = most_descriptors()
    if needed > limit:
        log.warning("the limit of open files is too low for MAX_CONNECTIONS", limit=limit, needed=needed)


@contextlib.asynccontextmanager
async def _listen(upstream: Upstream, sockets: list[socket.socket]) -> AsyncIterator[None]:
    """Accept the app's connections for as long as the context is open."""
    made = ClientConnection if upstream.settings.upstream.protocol == "http" else TcpConnection

    def accept() -> Any:  # a protocol by what it can do, not by what it inherits
        return made(upstream)

    for bound in sockets:
        set_keepalive(bound, upstream.settings.tcp_keepalive)
    upstream.listeners = [Listener(upstream.loop, bound, accept) for bound in sockets]
    try:
        for listener in upstream.listeners:
            await listener.start()
        for bound in sockets:
            name = bound.getsockname()
            if not isinstance(name, str):
                upstream.listens_on(name[0], name[1])
        log.info("listening", upstream=upstream.name, address=bound_address(sockets))
        yield
    finally:
        for listener in upstream.listeners:
            listener.close()
        upstream.close()


async def _tick(upstreams: Iterable[Upstream], health: Health) -> None:
    """The one clock of the data path: timeouts, idle connections, trials of endpoints."""
    pulse = health.heartbeat("data path", _LIVES)
    while True:
        await asyncio.sleep(_TICK)
        pulse.beat()
        now = time.monotonic()
        for upstream in upstreams:
            upstream.tick(now)


async def _drain(upstreams: list[Upstream], quiet: float) -> None:
    """Go on serving until the app has had no connection for so many seconds. The deadline is the lifecycle's."""
    busy_at = time.monotonic()
    while True:
        now = time.monotonic()
        for upstream in upstreams:
            upstream.drain(now)
        if any(upstream.is_busy(now) for upstream in upstreams):
            busy_at = now
        elif now - busy_at >= quiet:
            return
        await asyncio.sleep(_DRAIN_STEP)
