"""The memory ledger of the adapter: the limits of its ports, and the pages of its apps."""

from __future__ import annotations

from sidecars.adapter.app_client import recent_values
from sidecars.adapter.rules import series_history
from sidecars.adapter.server.limits import MAX_AGENT_CONNECTIONS, client_limits
from sidecars.adapter.settings import App, Settings
from sidecars.adapter.verdict import check_history
from sidecars.chassis import memory
from sidecars.chassis.config.memory_ledger import KIB, MIB, Entry, MemoryLedger

_BASE = 36 * MIB
_SAMPLE = 512  # bytes of a sample of a parsed page, beside the page
_COPIES = 4  # of a page: as received, unpacked, parsed, written anew
_POINT = 16  # bytes of a history


def ledger(settings: Settings) -> MemoryLedger:
    """Return the memory that the adapter takes at most."""
    entries = [
        *memory.entries(settings.admin_listen),
        *memory.server_entries("probers", client_limits(settings), tls=settings.tls_cert is not None),
    ]
    if settings.agent_listen:
        entries.append(Entry("connections of agent-checks", MAX_AGENT_CONNECTIONS, 8 * KIB))
    for app in settings.apps.values():
        entries += _app_entries(app)
    return MemoryLedger(_BASE, tuple(entries))


def _app_entries(app: App) -> list[Entry]:
    requests = len(set(app.routes.values()))  # one at a time for each path, whatever the number of probers is
    parsed = sum(app.mode[route] != "forward" for route in app.routes)
    entries = [Entry(f"pages of the app {app.name}", requests, (_COPIES if parsed else 2) * app.max_body)]
    if parsed:
        samples = min(app.max_series, app.max_body // 4)  # `a 1` and a line feed
        entries.append(Entry(f"samples of the app {app.name}", min(requests, parsed) * samples, _SAMPLE))
    entries.append(Entry(f"durations shown of the app {app.name}", requests, recent_values.SIZE))
    judged = sum(app.mode[route] == "verdict" for route in app.routes)
    if judged:  # a health document may have as many components
        judges = min(judged, requests)
        shown, rings = judges * check_history.MOST_CHECKS, judges * check_history.MOST_VALUES
        entries.append(Entry(f"checks shown of the app {app.name}", shown, check_history.SIZE))
        entries.append(Entry(f"values shown of the app {app.name}", rings if app.rules else 0, recent_values.SIZE))
    if app.rules:
        ranges = app.rules.text.count("[")
        entries.append(Entry(f"histories of the app {app.name}", ranges * series_history.MAX_POINTS, _POINT))
    return entries
