"""The mode `verdict`: whether the apps are healthy, in the dialect of the prober.

A verdict and its bodies are kept as long as the outcomes that they follow from. So a thousand probers that share an
outcome get one verdict, and mostly the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.adapter.app_client.client import AppClient
from sidecars.adapter.app_client.outcome import AppRequest
from sidecars.adapter.server.route_handlers import gather_all
from sidecars.adapter.server.route_statistics import RouteStatistics
from sidecars.adapter.server.routes import Route
from sidecars.adapter.setting_types import DialectName
from sidecars.adapter.verdict.dialect_negotiation import choose_dialect
from sidecars.adapter.verdict.dialects import render_verdict
from sidecars.adapter.verdict.judge import Judge
from sidecars.adapter.verdict.probe_response import ProbeResponse
from sidecars.adapter.verdict.verdict import Verdict, combine_apps
from sidecars.chassis.http.server import Request


class VerdictHandler:
    """The mode `verdict`: one verdict of all apps of a route."""

    def __init__(
        self, route: Route, app_client: AppClient, judges: Sequence[Judge], statistics: RouteStatistics
    ) -> None:
        """`judges` are in the order of the route's app requests."""
        self._route = route
        self._statistics = statistics
        self._app_client = app_client
        self._judges = judges
        self._verdicts: list[Verdict] = []
        self._verdict: Verdict | None = None
        self._rendered: dict[DialectName, ProbeResponse] = {}

    async def judge(self, scrape_timeout: float | None) -> Verdict:
        """Return the present verdict. Raises ScrapeTimeout if there is none after `scrape_timeout` seconds."""
        pairs = zip(self._judges, self._route.app_requests, strict=True)
        await gather_all([self._judge_app(judge, app_request, scrape_timeout) for judge, app_request in pairs])
        # The latest verdict of each judge: another route may share the judge and have caused it.
        verdicts = [judge.verdict for judge in self._judges if judge.verdict]
        if self._verdict is None or any(new is not old for new, old in zip(verdicts, self._verdicts, strict=True)):
            apps = [app_request.app for app_request in self._route.app_requests]
            self._verdicts, self._verdict = verdicts, combine_apps(dict(zip(apps, verdicts, strict=True)))
            self._rendered.clear()
            self._statistics.record_verdict(self._verdict)
        return self._verdict

    async def _judge_app(self, judge: Judge, app_request: AppRequest, scrape_timeout: float | None) -> None:
        """Judge one app as soon as its outcome comes, so that outcomes are judged in their order."""
        outcome = await self._app_client.fetch(app_request, scrape_timeout)
        await judge.judge_in_turn(outcome, self._app_client.background)

    async def handle(self, request: Request, scrape_timeout: float | None) -> ProbeResponse:
        verdict = await self.judge(scrape_timeout)
        dialect = choose_dialect(self._route.format, request.path, request.headers.get("accept", ""))
        self._statistics.count_dialect(dialect)
        if request.query and dialect == "kubernetes":
            return render_verdict(verdict, dialect, request.path, request.query)
        known = self._rendered.get(dialect)
        if known is None:
            known = self._rendered[dialect] = render_verdict(verdict, dialect, request.path)
        return known
