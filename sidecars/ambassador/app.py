"""The ambassador, put together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterable

from chassis import admin, logs
from chassis.health import Health
from chassis.lifecycle import Life
from chassis.listen import BACKLOG, bind, bound_address
from chassis.settings import variable
from sidecars.ambassador.downstream import Client
from sidecars.ambassador.metrics import UpstreamCollector
from sidecars.ambassador.resolve import Resolver, follow, is_address
from sidecars.ambassador.settings import Settings, UpstreamSettings
from sidecars.ambassador.tcp import TcpClient
from sidecars.ambassador.upstream import Upstream

log = logs.get("ambassador")

_TICK = 0.2  # seconds; how exactly timeouts are kept
_LIVES = 5.0  # seconds without a tick after which this process counts as stuck
_DRAIN_STEP = 0.01  # seconds

Resolvers = Callable[[UpstreamSettings], Resolver]


def _cares(settings: UpstreamSettings) -> Resolver:
    from sidecars.ambassador.cares import CaresResolver  # noqa: PLC0415 - only where there are names to look up

    return CaresResolver(settings.resolv_conf)


async def serve(settings: Settings, life: Life, resolvers: Resolvers = _cares) -> None:
    """Serve every upstream until told to stop, and then until the app's connections have ended."""
    loop = asyncio.get_running_loop()
    upstreams = [
        Upstream(upstream, loop, life.health.hold(f"upstream {upstream.name}", "it has no address yet"))
        for upstream in settings.upstreams.values()
    ]
    metrics = admin.registry()
    metrics.register(UpstreamCollector(upstreams))

    def status() -> dict[str, object]:
        return {"upstreams": {upstream.name: upstream.page() for upstream in upstreams}}

    async with contextlib.AsyncExitStack() as stack:
        listening = life.health.hold("listener", "not listening yet")
        await stack.enter_async_context(admin.serve(settings, life.health, metrics, status))
        for upstream in upstreams:
            await stack.enter_async_context(_listen(upstream))
        listening.release()
        gc.collect()
        gc.freeze()  # what lives for ever need not be looked through again
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(_tick(upstreams, life.health))]
            for upstream in upstreams:
                for name in upstream.names:
                    resolver = None if is_address(name.target.host) else resolvers(upstream.settings)
                    background.append(group.create_task(follow(upstream, name, resolver)))
            await life.stopping.wait()
            await _drain(upstreams)
            for task in background:
                task.cancel()


@contextlib.asynccontextmanager
async def _listen(upstream: Upstream) -> AsyncIterator[None]:
    """Accept the app's connections for as long as the context is open."""
    address = upstream.settings.listen
    sockets = bind(address, variable(Settings, "listen", upstream.name))
    accept = Client if upstream.settings.upstream.protocol == "http" else TcpClient
    create = upstream.loop.create_unix_server if address.path else upstream.loop.create_server
    servers = [await create(lambda: accept(upstream), sock=bound, backlog=BACKLOG) for bound in sockets]
    try:
        for bound in sockets:
            name = bound.getsockname()
            if not isinstance(name, str):
                upstream.listens_on(name[0], name[1])
        log.info("listening", upstream=upstream.name, address=bound_address(sockets))
        yield
    finally:
        for server in servers:
            server.close()
        upstream.close()


async def _tick(upstreams: Iterable[Upstream], health: Health) -> None:
    """The one clock of the data path: timeouts, idle connections, trials of endpoints."""
    pulse = health.pulse("data path", _LIVES)
    while True:
        await asyncio.sleep(_TICK)
        pulse.beat()
        now = time.monotonic()
        for upstream in upstreams:
            upstream.tick(now)


async def _drain(upstreams: list[Upstream]) -> None:
    """Go on serving until no connection of the app is left. The deadline is the lifecycle's."""
    while True:
        now = time.monotonic()
        for upstream in upstreams:
            upstream.drain(now)
        if not any(upstream.is_busy(now) for upstream in upstreams):
            return
        await asyncio.sleep(_DRAIN_STEP)
