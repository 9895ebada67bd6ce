"""The mode `metrics`: the metrics of a route's apps as one page, in the format that the scraper prefers.

The page of several apps has a label `app` on every series, and `adapter_app_up` for each app. A large page is written
by a background thread, once for all scrapers that wait for it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sidecars.adapter.app_client.background_threads import LARGE
from sidecars.adapter.app_client.client import AppClient, ScrapeTimeout
from sidecars.adapter.app_client.interpretation import InterpretationOptions, UnusableResponse, interpret
from sidecars.adapter.app_client.outcome import AppRequest, NoResponse, Outcome
from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.health.to_metrics import CONTENT_TYPE, page_of_up
from sidecars.adapter.rendering.negotiation import ExpositionFormat, negotiate_format
from sidecars.adapter.rendering.render import LabelledExposition, render_metrics
from sidecars.adapter.server.route_handlers import gather_all
from sidecars.adapter.server.routes import Route
from sidecars.adapter.verdict.probe_response import ProbeResponse, text_response
from sidecars.chassis.config.setting_types import format_duration
from sidecars.chassis.http.server import Request

_MAX_WRITING = 60.0  # seconds

T = TypeVar("T")


class MetricsHandler:
    """Handles the requests for a route of the mode `metrics`."""

    def __init__(self, route: Route, app_client: AppClient, options: Sequence[InterpretationOptions]) -> None:
        """`options` are in the order of the route's app requests."""
        self._route = route
        self._app_client = app_client
        self._options = options
        self._longest = max(app_request.timeout for app_request in route.app_requests)
        self._now = asyncio.get_running_loop().time
        self._page: _MetricsPage | None = None
        self._page_outcomes: list[weakref.ref[Outcome]] = []

    async def handle(self, request: Request, scrape_timeout: float | None) -> ProbeResponse:
        begun = self._now()
        outcomes = await gather_all(
            [self._outcome(app_request, scrape_timeout) for app_request in self._route.app_requests]
        )
        page = self._page
        if page is None or any(new is not old() for new, old in zip(outcomes, self._page_outcomes, strict=True)):
            page = self._page = _MetricsPage(self._route.app_requests, outcomes, self._options)
            self._page_outcomes = [weakref.ref(outcome, self._forget_page) for outcome in outcomes]
        target = negotiate_format(request.headers.get("accept", ""))
        if page.is_large(target):
            return await self._large_response(page, target, begun, scrape_timeout)
        return page.response(target)

    async def _large_response(
        self, page: _MetricsPage, target: ExpositionFormat, begun: float, scrape_timeout: float | None
    ) -> ProbeResponse:
        """Return the response with a large page, which a background thread writes.

        The scraper's timeout is the limit; without one, the longest timeout of the apps.
        """
        longest = self._longest if scrape_timeout is None else min(scrape_timeout, _MAX_WRITING)
        left = longest - (self._now() - begun)

        def write(checkpoint: Checkpoint) -> bytes:
            return page.write(target, checkpoint)

        def begin() -> Coroutine[Any, Any, bytes | None]:
            return _within(left, self._app_client.background.run(self._route.path, page.size, write))

        body = await page.share(target, begin)
        if body is None:
            sentence = page.too_slow(longest)
            return text_response(503, sentence, sentence)
        return page.response(target, body)

    def _forget_page(self, _outcome: weakref.ref[Outcome]) -> None:
        """Free the page with its outcome: pages can be large."""
        self._page = None

    async def _outcome(self, app_request: AppRequest, scrape_timeout: float | None) -> Outcome:
        """Return the outcome. Of several apps, one that is too slow for the scrape does not hold back the others."""
        try:
            return await self._app_client.fetch(app_request, scrape_timeout)
        except ScrapeTimeout as error:
            if len(self._route.app_requests) == 1:
                raise
            return NoResponse("timeout", error.phrase)


async def _within(seconds: float, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of the work; None if it takes longer."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None


class _MetricsPage:
    """The metrics of all apps of a route, written once in each requested format.

    With several apps, an app without a usable response is 0 in `adapter_app_up`. If no app has one, the response is
    503 with the reasons.

    size  bytes of the apps' own pages
    """

    def __init__(
        self, app_requests: Sequence[AppRequest], outcomes: Sequence[Outcome], options: Sequence[InterpretationOptions]
    ) -> None:
        several = len(outcomes) > 1
        self._in_progress: dict[ExpositionFormat, asyncio.Task[bytes | None]] = {}
        self._urls = " and ".join(str(app_request.url) for app_request in app_requests)
        self._responses: dict[ExpositionFormat, ProbeResponse] = {}
        self._parts: list[LabelledExposition] = []
        problems: dict[str, str] = {}
        for app_request, outcome, how in zip(app_requests, outcomes, options, strict=True):
            try:
                labels = {"app": app_request.app} if several else {}
                self._parts.append((labels, interpret(outcome, how).exposition))
            except UnusableResponse as error:
                problems[app_request.app] = f"{app_request.url} {error.phrase}"
        if several and self._parts:
            ups = {app_request.app: app_request.app not in problems for app_request in app_requests}
            self._parts.append(({}, parse_page(page_of_up(ups), CONTENT_TYPE, len(ups))))
        self._reason = "; ".join(problems.values())
        self.size = sum(len(exposition.page) for _, exposition in self._parts)

    def is_large(self, target: ExpositionFormat) -> bool:
        """True if a background thread must write the page in this format."""
        return self.size >= LARGE and target not in self._responses

    async def share(
        self, target: ExpositionFormat, begin: Callable[[], Coroutine[Any, Any, bytes | None]]
    ) -> bytes | None:
        """Return the result of `begin`. Callers that need the same format at the same time share one call of it."""
        task = self._in_progress.get(target)
        if task is None:
            task = self._in_progress[target] = asyncio.create_task(begin())
            task.add_done_callback(lambda _: self._in_progress.pop(target, None))
        return await asyncio.shield(task)

    def write(self, target: ExpositionFormat, checkpoint: Checkpoint) -> bytes:
        return render_metrics(self._parts, target, checkpoint)

    def too_slow(self, seconds: float) -> str:
        """Return the sentence about a page that was not written within `seconds`."""
        within = format_duration(seconds)
        return f"{self._urls} answered, but {self.size} B of metrics could not be written within {within}"

    def response(self, target: ExpositionFormat, body: bytes | None = None) -> ProbeResponse:
        """Return the response in this format. `body` is the page if it has been written before."""
        if not self._parts:
            return text_response(503, self._reason, self._reason)
        known = self._responses.get(target)
        if known is None:
            headers = {"Content-Type": target.content_type, "Cache-Control": "no-store"}
            written = self.write(target, never_cancelled) if body is None else body
            known = self._responses[target] = ProbeResponse(200, headers, written, self._reason)
        return known
