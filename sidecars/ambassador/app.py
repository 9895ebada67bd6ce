"""Put the ambassador together: one data path in this process, or one in each of several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.ambassador.data_path import DataPath, Resolvers, cares_resolver
from sidecars.ambassador.settings import Settings
from sidecars.chassis import admin_server
from sidecars.chassis.accept.listen import bind
from sidecars.chassis.config.settings import variable
from sidecars.chassis.runtime.lifecycle import ServiceContext

if TYPE_CHECKING:
    from sidecars.chassis.page.picture import Picture


def picture() -> Picture:
    """Return the picture of the page."""
    from sidecars.ambassador.picture import PICTURE  # noqa: PLC0415 - only a process that a person looks at loads it

    return PICTURE


async def serve(settings: Settings, context: ServiceContext, resolvers: Resolvers = cares_resolver) -> None:
    """Serve every upstream until the context stops, and then until the app's connections have ended."""
    if settings.workers > 1:
        from sidecars.ambassador.workers.supervisor import supervise  # noqa: PLC0415 - most ambassadors have one process

        await supervise(settings, context, picture)
        return
    path = DataPath(settings, context, resolvers)
    async with admin_server.serve(settings, context.health, path.metrics, path.status, picture=picture):
        listeners = {
            name: bind(group[0].listen, variable(Settings, "listen", group[0].name))
            for name, group in settings.ports.items()
        }
        await path.run(listeners)
