"""The statistics of the adapter, gathered for `/status`. No I/O.

Each part has one owner that writes it: the server its routes, the app client its apps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sidecars.adapter.app_client.app_statistics import AppStatistics
from sidecars.adapter.app_client.outcome import AppRequest
from sidecars.adapter.server.route_statistics import Clock, ServerStatistics, format_time
from sidecars.adapter.server.routes import Route


class Statistics:
    """All statistics. `server` are those of the routes; `apps` are those of the apps by name."""

    def __init__(self, routes: Iterable[Route], clock: Clock = time.time) -> None:
        self._routes = list(routes)
        self.server = ServerStatistics(self._routes, clock)
        self.apps = {request.app: AppStatistics(clock) for route in self._routes for request in route.app_requests}
        self._clock = clock
        self._judges: dict[AppRequest, Callable[[], dict[str, Any]]] = {}
        self._rule_problems: dict[str, list[Callable[[], str]]] = {}

    def watch_rules(self, app: str, problem: Callable[[], str]) -> None:
        """Watch a file of rules. `problem` returns the reason why it is not in force, or ""."""
        self._rule_problems.setdefault(app, []).append(problem)

    def watch_judge(self, app_request: AppRequest, page: Callable[[], dict[str, Any]]) -> None:
        """Add the judge of a request. `page` returns its part of `/status`."""
        self._judges[app_request] = page

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
                    "dialect": route.format if route.mode == "verdict" else None,
                    **self.server.routes[route.path].status_page(),
                }
                for route in self._routes
            },
            "requests": self._requests(),
            "apps": {
                name: {"requests": app.requests, "kept": app.kept, "shared": app.shared, "errors": _counted(app.errors)}
                for name, app in self.apps.items()
            },
        }
        pages = {name: _page_faults(app) for name, app in self.apps.items() if app.faults}
        if pages:
            page["metrics_pages"] = pages
        problems = self.rule_problems()
        if problems:
            page["rules"] = {name: problem or "in force as the file has them" for name, problem in problems.items()}
        return page

    def _requests(self) -> list[dict[str, Any]]:
        """Return each request to an app: its last answer, and the verdict with the checks of its judge."""
        paths: dict[AppRequest, list[str]] = {}
        for route in self._routes:
            for app_request in route.app_requests:
                paths.setdefault(app_request, []).append(route.path)
        now, found = self._clock(), []
        for app_request, routes in paths.items():
            app, judge = self.apps[app_request.app], self._judges.get(app_request)
            answer = app.answers.get(app_request)
            found.append(
                {
                    "app": app_request.app,
                    "url": str(app_request.url),
                    "routes": routes,
                    "answer": answer.status_page(now, app_request.cache_ttl) if answer else None,
                    "verdict": judge() if judge else None,
                }
            )
        return found


def _counted(errors: Mapping[Any, int]) -> dict[str, int]:
    return {reason: count for reason, count in errors.items() if count}


def _page_faults(app: AppStatistics) -> dict[str, Any]:
    """Return the faults of an app's metrics pages."""
    return {
        "families_left_out": app.left_out,
        "last_faults": {"reasons": list(app.last_faults), "at": format_time(app.last_faults_at)},
        "faults": dict(app.faults),
    }
