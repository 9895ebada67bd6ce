"""The statistics of the adapter, gathered for `/status`. No I/O.

Each part has one owner that writes it: the server its routes, the app client its apps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from sidecars.adapter.app_client.app_statistics import AppStatistics
from sidecars.adapter.server.route_statistics import Clock, ServerStatistics, format_time
from sidecars.adapter.server.routes import Route


class Statistics:
    """All statistics. `server` are those of the routes; `apps` are those of the apps by name."""

    def __init__(self, routes: Iterable[Route], clock: Clock = time.time) -> None:
        self._routes = list(routes)
        self.server = ServerStatistics(self._routes, clock)
        self.apps = {request.app: AppStatistics(clock) for route in self._routes for request in route.app_requests}
        self._rule_problems: dict[str, list[Callable[[], str]]] = {}

    def watch_rules(self, app: str, problem: Callable[[], str]) -> None:
        """Watch a file of rules. `problem` returns the reason why it is not in force, or ""."""
        self._rule_problems.setdefault(app, []).append(problem)

    def rule_problems(self) -> dict[str, str]:
        """Return, by app with a file of rules, the reason why the file is not in force; "" if it is."""
        return {
            app: next(filter(None, (problem() for problem in problems)), "")
            for app, problems in self._rule_problems.items()
        }

    def status_page(self) -> dict[str, Any]:
        """Return the adapter's part of `/status`."""
        page: dict[str, Any] = {
            "routes": {
                route.path: {
                    "asks": {request.app: str(request.url) for request in route.app_requests},
                    "mode": route.mode,
                    **self.server.routes[route.path].status_page(),
                }
                for route in self._routes
            }
        }
        pages = {name: _page_faults(app) for name, app in self.apps.items() if app.faults}
        if pages:
            page["metrics_pages"] = pages
        problems = self.rule_problems()
        if problems:
            page["rules"] = {name: problem or "in force as the file has them" for name, problem in problems.items()}
        return page


def _page_faults(app: AppStatistics) -> dict[str, Any]:
    """Return the faults of an app's metrics pages."""
    return {
        "families_left_out": app.left_out,
        "last_faults": {"reasons": list(app.last_faults), "at": format_time(app.last_faults_at)},
        "faults": dict(app.faults),
    }
