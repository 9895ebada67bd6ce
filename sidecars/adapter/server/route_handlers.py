"""The three modes of a route, each as something that answers its requests from what comes of its questions.

    Forward   the app's answer as it is
    Verdicts  whether the app is healthy, in the dialect that the prober understands
    Metrics   what the app says, as a Prometheus page; of several apps as one page, with a label `app`

What is worked out from an outcome is kept as long as that outcome is: a thousand probers who share one are answered
from one verdict, and mostly with the same bytes.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sidecars.adapter.app_client.background import LARGE
from sidecars.adapter.app_client.client import AppClient, ScrapeTimeout
from sidecars.adapter.app_client.interpretation import InterpretationOptions, UnusableResponse, read
from sidecars.adapter.app_client.outcome import AppRequest, NoResponse, Outcome
from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.health.to_metrics import CONTENT_TYPE, page_of_up
from sidecars.adapter.rendering.negotiation import ExpositionFormat, negotiate_format
from sidecars.adapter.rendering.render import render_metrics
from sidecars.adapter.server.routes import Route
from sidecars.adapter.statistics import RouteStatistics
from sidecars.adapter.verdict.dialect_negotiation import Format, choose_dialect
from sidecars.adapter.verdict.dialects import render
from sidecars.adapter.verdict.judge import Judge
from sidecars.adapter.verdict.probe_response import SERVICE_UNAVAILABLE, ProbeResponse, forward, text_response
from sidecars.adapter.verdict.verdict import Verdict, combine_apps
from sidecars.chassis.config.setting_types import format_duration
from sidecars.chassis.http.server import Request

_LONGEST_WRITING = 60.0  # seconds

T = TypeVar("T")
Part = tuple[Mapping[str, str], Exposition]


class RouteHandler(Protocol):
    """Answers the requests for one route."""

    async def answer(self, request: Request, patience: float | None) -> ProbeResponse:
        """The answer, within `patience` seconds where that is not None."""


async def gather_all(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What comes of each; all go on at once."""
    if len(asked) == 1:
        return [await asked[0]]
    return await asyncio.gather(*asked)


class ForwardHandler:
    """The app's answer as it is."""

    def __init__(self, route: Route, app_client: AppClient) -> None:
        (self._app_request,) = route.app_requests
        self._app_client = app_client

    async def answer(self, _request: Request, patience: float | None) -> ProbeResponse:
        return forward(self._app_request, await self._app_client.ask(self._app_request, patience))


class VerdictHandler:
    """One verdict of all apps of a route."""

    def __init__(self, route: Route, app_client: AppClient, judges: Sequence[Judge], record: RouteStatistics) -> None:
        self._route = route
        self._record = record
        self._app_client = app_client
        self._judges = judges
        self._parts: list[Verdict] = []
        self._verdict: Verdict | None = None
        self._rendered: dict[Format, ProbeResponse] = {}

    async def judge(self, patience: float | None) -> Verdict:
        """The verdict as it is now, within `patience` seconds where that is not None."""
        pairs = zip(self._judges, self._route.app_requests, strict=True)
        await gather_all([self._part(judge, app_request, patience) for judge, app_request in pairs])
        parts = [judge.verdict for judge in self._judges if judge.verdict]  # the latest, whoever has asked for it
        if self._verdict is None or any(new is not old for new, old in zip(parts, self._parts, strict=True)):
            apps = [app_request.app for app_request in self._route.app_requests]
            self._parts, self._verdict = parts, combine_apps(dict(zip(apps, parts, strict=True)))
            self._rendered.clear()
            self._record.judged(self._verdict)
        return self._verdict

    async def _part(self, judge: Judge, app_request: AppRequest, patience: float | None) -> None:
        """One app's, at once when its outcome is there: outcomes are judged in their order."""
        judge.judge(await self._app_client.ask(app_request, patience))

    async def answer(self, request: Request, patience: float | None) -> ProbeResponse:
        verdict = await self.judge(patience)
        form = choose_dialect(self._route.format, request.path, request.headers.get("accept", ""))
        if request.query and form == "kubernetes":
            return render(verdict, form, request.path, request.query)
        known = self._rendered.get(form)
        if known is None:
            known = self._rendered[form] = render(verdict, form, request.path)
        return known


class Metrics:
    """What the apps of a route say, as one page of metrics."""

    def __init__(self, route: Route, app_client: AppClient, limits: Sequence[InterpretationOptions]) -> None:
        self._route = route
        self._app_client = app_client
        self._limits = limits
        self._longest = max(app_request.timeout for app_request in route.app_requests)
        self._now = asyncio.get_running_loop().time
        self._page: _Page | None = None
        self._about: list[weakref.ref[Outcome]] = []

    async def answer(self, request: Request, patience: float | None) -> ProbeResponse:
        begun = self._now()
        outcomes = await gather_all([self._outcome(app_request, patience) for app_request in self._route.app_requests])
        page = self._page
        if page is None or any(new is not old() for new, old in zip(outcomes, self._about, strict=True)):
            page = self._page = _Page(self._route.app_requests, outcomes, self._limits)
            self._about = [weakref.ref(outcome, self._let_go) for outcome in outcomes]
        form = negotiate_format(request.headers.get("accept", ""))
        if page.is_large(form):
            return await self._written(page, form, begun, patience)
        return page.answer(form)

    async def _written(
        self, page: _Page, form: ExpositionFormat, begun: float, patience: float | None
    ) -> ProbeResponse:
        """The answer from a large page, which is written beside the event loop: once for all who wait for it.

        It may take as long as the scraper waits; where that does not say, as long as the app's answer may take.
        """
        longest = self._longest if patience is None else min(patience, _LONGEST_WRITING)
        left = longest - (self._now() - begun)
        task = page.writing.get(form)
        if task is None:
            work = self._app_client.background.run(self._route.path, page.size, lambda go: page.write(form, go))
            task = page.writing[form] = asyncio.create_task(_within(left, work))
            task.add_done_callback(lambda _: page.writing.pop(form, None))
        body = await asyncio.shield(task)
        if body is None:
            sentence = page.unwritten(longest)
            return text_response(SERVICE_UNAVAILABLE, sentence, sentence)
        return page.answer(form, body)

    def _let_go(self, _outcome: weakref.ref[Outcome]) -> None:
        """Nobody is told of it any more: pages can be large."""
        self._page = None

    async def _outcome(self, app_request: AppRequest, patience: float | None) -> Outcome:
        """Of several apps, one that takes too long for the scrape does not keep back what the others say."""
        try:
            return await self._app_client.ask(app_request, patience)
        except ScrapeTimeout as error:
            if len(self._route.app_requests) == 1:
                raise
            return NoResponse("timeout", error.phrase)


async def _within(seconds: float, work: Coroutine[Any, Any, T]) -> T | None:
    """What comes of the work; None where it is not done in time."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None


class _Page:
    """The answers of all apps, understood, and written in each format that was asked for.

    Of several apps the page tells which gave no usable answer; of one, or where none did, it is the answer's status.
    """

    def __init__(
        self, app_requests: Sequence[AppRequest], outcomes: Sequence[Outcome], limits: Sequence[InterpretationOptions]
    ) -> None:
        several = len(outcomes) > 1
        self.writing: dict[ExpositionFormat, asyncio.Task[bytes | None]] = {}
        """What is being written, by format."""
        self._urls = " and ".join(app_request.url for app_request in app_requests)
        self._rendered: dict[ExpositionFormat, ProbeResponse] = {}
        self._parts: list[Part] = []
        problems: dict[str, str] = {}
        for app_request, outcome, limit in zip(app_requests, outcomes, limits, strict=True):
            try:
                self._parts.append(({"app": app_request.app} if several else {}, read(outcome, limit).exposition))
            except UnusableResponse as error:
                problems[app_request.app] = f"{app_request.url} {error.phrase}"
        if several and self._parts:
            ups = {app_request.app: app_request.app not in problems for app_request in app_requests}
            self._parts.append(({}, parse_page(page_of_up(ups), CONTENT_TYPE, len(ups))))
        self._why = "; ".join(problems.values())
        self.size = sum(len(exposition.page) for _, exposition in self._parts)
        """Bytes of the apps' pages."""

    def is_large(self, form: ExpositionFormat) -> bool:
        """True if it must be written beside the event loop."""
        return self.size >= LARGE and form not in self._rendered

    def write(self, form: ExpositionFormat, checkpoint: Checkpoint) -> bytes:
        """The page in this format."""
        return render_metrics(self._parts, form, checkpoint)

    def unwritten(self, seconds: float) -> str:
        """The sentence about a page that was not written in time."""
        within = format_duration(seconds)
        return f"{self._urls} answered, but {self.size} B of metrics could not be written within {within}"

    def answer(self, form: ExpositionFormat, body: bytes | None = None) -> ProbeResponse:
        """The answer in this format; `body` where it has been written."""
        if not self._parts:
            return text_response(SERVICE_UNAVAILABLE, self._why, self._why)
        known = self._rendered.get(form)
        if known is None:
            headers = {"Content-Type": form.content_type, "Cache-Control": "no-store"}
            written = self.write(form, never_cancelled) if body is None else body
            known = self._rendered[form] = ProbeResponse(200, headers, written, self._why)
        return known
