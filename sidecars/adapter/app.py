"""The adapter, put together."""

from __future__ import annotations

from chassis import admin, logs
from chassis.lifecycle import Life
from chassis.listen import bind, bound_address
from chassis.settings import variable
from sidecars.adapter.metrics import RecordCollector
from sidecars.adapter.record import Record
from sidecars.adapter.routes import routes_of
from sidecars.adapter.server import Probes, serve
from sidecars.adapter.settings import Settings
from sidecars.adapter.upstream import Upstream

log = logs.get("adapter")


async def run(settings: Settings, life: Life) -> None:
    """Answer the routes until told to stop. It is ready once it listens: it never waits for the app."""
    listening = life.health.hold("listener", "not listening yet")
    routes = routes_of(settings.apps.values())
    record = Record(routes)
    metrics = admin.registry()
    metrics.register(RecordCollector(record))
    sockets = bind(settings.listen, variable(Settings, "listen"))
    longest = max(app.timeout for app in settings.apps.values())
    async with (
        admin.serve(settings, life.health, metrics, record.page),
        Upstream(record, life.health) as upstream,
        serve(Probes(routes, upstream, record), sockets, longest),
    ):
        listening.release()
        log.info("listening", address=bound_address(sockets), routes=[route.path for route in routes])
        await life.stopping.wait()
