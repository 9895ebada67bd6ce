"""Which request is answered from what. No I/O.

A route is one path that the settings name; it is matched as a whole, and a query in the request has no part in it and
is not handed on: what is asked of the app is what the settings say, and nothing that a prober sends can change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecars.adapter.outcome import Question
from sidecars.adapter.settings import App
from sidecars.adapter.verdict import Answer, Mode, own_answer

METHODS = ("GET", "HEAD")
OTHER = "other"  # the label of all requests that no route answers

_NOT_FOUND = 404
_METHOD_NOT_ALLOWED = 405


@dataclass(frozen=True, slots=True)
class Route:
    """A path, the question whose outcome answers it, and how."""

    path: str
    question: Question
    mode: Mode = "forward"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that no app is asked about. `label` is the route's path, or `OTHER`."""

    label: str
    answer: Answer


class Routes:
    """The table of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_path = {route.path: route for route in routes}
        self._not_found = own_answer(_NOT_FOUND, f"not found: the routes are {', '.join(self._by_path)}")
        allowed = " and ".join(METHODS)
        self._not_allowed = own_answer(
            _METHOD_NOT_ALLOWED, f"not allowed: a route answers {allowed}", headers={"Allow": ", ".join(METHODS)}
        )

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_path.values())

    def find(self, method: str, path: str) -> Route | Refusal:
        """The route for the request, or the answer that refuses it."""
        route = self._by_path.get(path)
        if route is None:
            return Refusal(OTHER, self._not_found)
        if method not in METHODS:
            return Refusal(path, self._not_allowed)
        return route


def routes_of(apps: Iterable[App]) -> Routes:
    """The routes that the settings ask for."""
    return Routes(
        Route(path, Question(app.name, f"http://{app.target.netloc}{target}", app.timeout, app.max_body))
        for app in apps
        for path, target in app.routes.items()
    )
