"""The app client: sends requests to the apps, and returns an outcome for each in time.

Single flight: an app gets each request once at a time, however many probers wait for it. A prober that comes while a
request is in flight shares its outcome. With a `cache_ttl` the outcome is used again for so long after it came.

Deadline: one deadline covers everything, from the connection to the last byte and to the interpretation of the
response. So an outcome always comes in time, whatever the app does. A scraper may have less time than that; it gets
`ScrapeTimeout`, and the request goes on for the other probers.

Liveness: `/livez` fails if a request is in flight for long after its deadline, because the event loop is stuck then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sidecars.adapter.app_client.app_connection import AppConnection
from sidecars.adapter.app_client.app_statistics import AppStatistics
from sidecars.adapter.app_client.background_threads import LARGE, BackgroundThreads
from sidecars.adapter.app_client.failures import classify_error
from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse, Outcome
from sidecars.adapter.settings import App
from sidecars.chassis.config.setting_types import format_duration
from sidecars.chassis.http.client import ResponseProgress
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health, Heartbeat

if TYPE_CHECKING:
    from sidecars.adapter.app_client.interpretation import Interpretation, InterpretationOptions, UnusableResponse
    from sidecars.adapter.exposition.cancellation import Checkpoint

log = logs.get("upstream")

_OVERDUE = 10.0  # seconds after its deadline at which a request that is still in flight shows a stuck event loop


class ScrapeTimeout(Exception):
    """The scraper's timeout is over before the request has an outcome. This is no failure of the app."""

    def __init__(self, app_request: AppRequest, scrape_timeout: float) -> None:
        self.phrase = f"has not answered within the {format_duration(scrape_timeout)} that the scrape timeout leaves"
        self.sentence = f"{app_request.url} {self.phrase}"
        super().__init__(self.sentence)


class AppClient:
    """The client of all apps of the Pod. An async context manager, since it owns connections and threads."""

    def __init__(
        self,
        apps: Iterable[App],
        statistics: Mapping[str, AppStatistics],
        health: Health,
        options: Mapping[AppRequest, InterpretationOptions] | None = None,
    ) -> None:
        """Raises UnusableTLSFiles.

        `statistics` are by the app's name. Responses to the requests in `options` are interpreted; others are
        returned as they are.
        """
        self._statistics = statistics
        self._options = options or {}
        self.background = BackgroundThreads()
        self._health = health
        self._apps = {app.name: AppConnection(app) for app in apps}
        self._in_flight: dict[AppRequest, asyncio.Task[Outcome]] = {}
        self._cached: dict[AppRequest, tuple[Outcome, float]] = {}
        self._heartbeats: dict[AppRequest, Heartbeat] = {}
        self._now = asyncio.get_running_loop().time

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._in_flight.values():
            task.cancel()
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)
        self.background.close()
        for connection in self._apps.values():
            connection.close()

    async def fetch(self, app_request: AppRequest, scrape_timeout: float | None = None) -> Outcome:
        """Return the outcome of the request, at its deadline at the latest. Never raises because of the app.

        Raises ScrapeTimeout if there is no outcome after `scrape_timeout` seconds.
        """
        if app_request.cache_ttl:
            cached = self._cached.get(app_request)
            if cached and self._now() < cached[1]:
                self._statistics[app_request.app].count_kept()
                return cached[0]
        task = self._in_flight.get(app_request)
        if task is None:
            task = self._in_flight[app_request] = asyncio.create_task(self._send(app_request))
        else:
            self._statistics[app_request.app].count_shared()
        if scrape_timeout is None or scrape_timeout >= app_request.timeout:
            return await asyncio.shield(task)
        try:
            async with asyncio.timeout(scrape_timeout):
                return await asyncio.shield(task)
        except TimeoutError:
            raise ScrapeTimeout(app_request, scrape_timeout) from None

    async def _send(self, app_request: AppRequest) -> Outcome:
        """Send the request, count it, and keep its outcome in the cache."""
        statistics = self._statistics[app_request.app]
        heartbeat = self._heartbeat(app_request)
        heartbeat.beat()
        statistics.count_request()
        began = self._now()
        try:
            outcome = await self._outcome(app_request)
        finally:
            heartbeat.idle()
            del self._in_flight[app_request]
        if app_request.cache_ttl:
            self._cached[app_request] = (outcome, self._now() + app_request.cache_ttl)
        statistics.record_outcome(app_request, outcome, self._now() - began)
        return outcome

    def _heartbeat(self, app_request: AppRequest) -> Heartbeat:
        heartbeat = self._heartbeats.get(app_request)
        if heartbeat is None:
            heartbeat = self._health.heartbeat(f"request for {app_request.url}", app_request.timeout + _OVERDUE)
            self._heartbeats[app_request] = heartbeat
        return heartbeat

    async def _outcome(self, app_request: AppRequest) -> Outcome:
        """Return the outcome; every exception becomes a `NoResponse`."""
        progress = ResponseProgress()
        response: AppResponse | None = None
        try:
            async with asyncio.timeout(app_request.timeout):
                response = await self._apps[app_request.app].get(app_request, progress)
                return await self._interpreted(app_request, response)
        except Exception as error:  # noqa: BLE001 - a prober gets a response whatever happens, and the log has the defect
            if response and isinstance(error, TimeoutError):
                return _not_read_in_time(app_request, response)
            known = classify_error(error, app_request, progress)
            if known is None:
                log.defect(f"a defect during a request for {app_request.url}: please report the traceback", error)
            return known or NoResponse("defect", f"could not be requested: {type(error).__name__}")

    async def _interpreted(self, app_request: AppRequest, response: AppResponse) -> AppResponse:
        """Return the response with its interpretation, and record the faults of a metrics page."""
        options = self._options.get(app_request)
        if options is None:
            return response
        from sidecars.adapter.app_client.interpretation import interpret_response  # noqa: PLC0415 - not to forward

        size = LARGE if "content-encoding" in response.headers else len(response.body)

        def work(checkpoint: Checkpoint) -> Interpretation | UnusableResponse:
            return interpret_response(response, options, checkpoint)

        found = await self.background.run(app_request.app, size, work)
        self._record_page(app_request.app, found)
        return replace(response, interpretation=found)

    def _record_page(self, app: str, found: Interpretation | UnusableResponse) -> None:
        """Record the faults of a metrics page. Log each kind of fault once for each app."""
        statistics = self._statistics[app]
        from sidecars.adapter.app_client.interpretation import Interpretation  # noqa: PLC0415 - not to forward

        if isinstance(found, Interpretation):
            page, sentences = found.exposition, found.exposition.fault_sentences()
            new = statistics.record_page(page.fault_counts(), sentences, len(page.dropped))
        else:
            sentences = [found.phrase]
            new = statistics.record_page(found.faults, sentences, 0)
        if new:
            log.warning(
                "the app's page of metrics has faults", code="app-page-faults", app=app, kinds=new, reasons=sentences
            )


def _not_read_in_time(app_request: AppRequest, response: AppResponse) -> NoResponse:
    within = format_duration(app_request.timeout)
    return NoResponse("timeout", f"answered, but its body of {len(response.body)} B could not be read within {within}")
