"""The table of routes: the path of each, the requests to its apps, and its mode. No I/O.

A route is one path of the settings, and is matched as a whole. The query of a prober's request is ignored and is not
passed on. The request to the app follows from the settings alone, so that no prober can change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sidecars.adapter.app_client.outcome import ANYTHING, AppRequest
from sidecars.adapter.setting_types import AUTO
from sidecars.adapter.settings import App, Mode
from sidecars.adapter.verdict.probe_response import ProbeResponse, text_response
from sidecars.chassis.config.urls import RequestTarget

METHODS = ("GET", "HEAD")
OTHER = "other"  # the label of all requests that no route answers


# Each mode prefers the formats that it is made for, and understands the others, too.
_ACCEPT: Mapping[Mode, str] = {
    "forward": ANYTHING,
    "verdict": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.9,text/plain;version=0.0.4;q=0.8,"
    "application/health+json;q=0.4,application/json;q=0.3,*/*;q=0.1",
    "metrics": "application/health+json,application/json;q=0.9,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A path, its mode, and the requests whose outcomes answer it: one for each app that shares the path.

    format  the dialect of a verdict, or `auto`
    """

    path: str
    app_requests: tuple[AppRequest, ...]
    mode: Mode = "forward"
    format: str = AUTO


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response to a request that reaches no app. `label` is the route's path, or `OTHER`."""

    label: str
    response: ProbeResponse


class Routes:
    """The table of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_path = {route.path: route for route in routes}
        self._not_found = text_response(404, f"not found: the routes are {', '.join(self._by_path)}")
        allowed = " and ".join(METHODS)
        self._not_allowed = text_response(
            405, f"not allowed: a route answers {allowed}", headers={"Allow": ", ".join(METHODS)}
        )

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_path.values())

    def find(self, method: str, path: str) -> Route | Refusal:
        """Return the route for the request, or the response that refuses it."""
        route = self._by_path.get(path)
        if route is None:
            return Refusal(OTHER, self._not_found)
        if method not in METHODS:
            return Refusal(path, self._not_allowed)
        return route


def routes_of(apps: Iterable[App]) -> Routes:
    """Return the routes of the settings. A path that several apps have is one route."""
    found: dict[str, Route] = {}
    for app in apps:
        for path, target in app.routes.items():
            mode, app_request = app.mode[path], _app_request(app, path, target)
            earlier = found[path].app_requests if path in found else ()
            found[path] = Route(path, (*earlier, app_request), mode, app.format[path])
    return Routes(found.values())


def _app_request(app: App, path: str, target: RequestTarget) -> AppRequest:
    url = app.target.with_target(target)
    return AppRequest(app.name, url, app.timeout, app.max_body, _ACCEPT[app.mode[path]], app.cache_ttl)
