"""The limits of the ports for probers. Without the ports themselves: `--check` reads them, too, and loads no server."""

from __future__ import annotations

from sidecars.adapter.settings import Settings
from sidecars.chassis.http.messages import ClientLimits

MAX_AGENT_CONNECTIONS = 256  # of HAProxy's agent-checks

_UNSENT = 16 * 1024 * 1024  # bytes of responses that are not read, besides two of the largest


def client_limits(settings: Settings) -> ClientLimits:
    """Return the limits of the port for probers: room for a few of the largest pages that are not read."""
    largest = sum(app.max_body for app in settings.apps.values())
    return ClientLimits(connections=settings.max_connections, unsent=_UNSENT + 2 * largest)
