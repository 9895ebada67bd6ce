"""Handlers of routes: the protocol of all three modes, and the mode `forward`.

    ForwardHandler  returns the app's response as it is
    VerdictHandler  returns whether the apps are healthy, in the dialect of the prober (module `verdict_handler`)
    MetricsHandler  returns the apps' metrics as one page (module `metrics_handler`)

Only the modules of the modes that are set are loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from sidecars.adapter.app_client.client import AppClient
from sidecars.adapter.server.routes import Route
from sidecars.adapter.verdict.probe_response import ProbeResponse, forwarded_response
from sidecars.chassis.http.server import Request

T = TypeVar("T")


class RouteHandler(Protocol):
    """Handles the requests for one route."""

    async def handle(self, request: Request, scrape_timeout: float | None) -> ProbeResponse:
        """Return the response. Raises ScrapeTimeout if there is none after `scrape_timeout` seconds."""


async def gather_all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run the coroutines concurrently and return their results. A single one runs without a task of its own."""
    if len(work) == 1:
        return [await work[0]]
    return await asyncio.gather(*work)


class ForwardHandler:
    """The mode `forward`: the app's response as it is."""

    def __init__(self, route: Route, app_client: AppClient) -> None:
        (self._app_request,) = route.app_requests
        self._app_client = app_client

    async def handle(self, _request: Request, scrape_timeout: float | None) -> ProbeResponse:
        return forwarded_response(self._app_request, await self._app_client.fetch(self._app_request, scrape_timeout))
