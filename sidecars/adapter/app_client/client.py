"""Asking the apps. The one place that talks to them, and that translates what goes wrong into our words.

However many probers ask, an app is asked each question once at a time: whoever comes while a request is under way
shares its outcome (*single flight*), and for `cache_ttl` after it, too. A request has one deadline for everything, from
the connection to the last byte and to what was understood of it, so an outcome always comes in time, whatever the app
does. A prober with less time than that is told so; the request goes on for the others.

Connections are kept for a few seconds only, less than servers keep theirs.

`/livez` fails when a request outlives its deadline by far: then this process no longer does its work.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

import h11

from sidecars import chassis
from sidecars.adapter.app_client.background import LARGE, Background
from sidecars.adapter.app_client.interpretation import (
    Interpretation,
    InterpretationOptions,
    UnusableResponse,
    interpret_response,
)
from sidecars.adapter.app_client.outcome import AppRequest, AppResponse, NoResponse, Outcome
from sidecars.adapter.settings import App, Settings
from sidecars.adapter.statistics import Statistics
from sidecars.chassis.config.setting_types import format_duration, format_size
from sidecars.chassis.config.settings import variable
from sidecars.chassis.http import authorization, tls
from sidecars.chassis.http.client import BodyTooLarge, ConnectionClosed, HttpClient, MalformedResponse, ResponseProgress
from sidecars.chassis.http.error_reasons import certificate_reason, os_reason, tls_reason
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.health import Health, Heartbeat

log = logs.get("upstream")

_KEEP_ALIVE = 4.0  # seconds; node and uvicorn close an idle connection after 5
_OVERDUE = 10.0  # seconds beyond its deadline after which a request is a sign that nothing moves any more


class AppClient:
    """The apps, as something that can be asked. An async context: it holds connections."""

    def __init__(
        self,
        apps: Iterable[App],
        record: Statistics,
        health: Health,
        limits: Mapping[AppRequest, InterpretationOptions] | None = None,
    ) -> None:
        """Raises UnusableTLSFiles. Answers to the questions in `limits` are understood, within these."""
        self._record = record
        self._limits = limits or {}
        self.background = Background()
        self._health = health
        self._apps = {app.name: _Access(app) for app in apps}
        self._flights: dict[AppRequest, asyncio.Task[Outcome]] = {}
        self._kept: dict[AppRequest, tuple[Outcome, float]] = {}
        self._pulses: dict[AppRequest, Heartbeat] = {}
        self._now = asyncio.get_running_loop().time

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for flight in self._flights.values():
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        self.background.close()
        for access in self._apps.values():
            access.client.close()

    async def ask(self, app_request: AppRequest, patience: float | None = None) -> Outcome:
        """What comes of the question, at its deadline at the latest. Never raises for anything that the app does.

        Raises Impatient where there is no outcome after `patience` seconds; that says nothing about the app.
        """
        if app_request.cache_ttl:
            kept = self._kept.get(app_request)
            if kept and self._now() < kept[1]:
                return kept[0]
        flight = self._flights.get(app_request)
        if flight is None:
            flight = self._flights[app_request] = asyncio.create_task(self._fly(app_request))
        if patience is None or patience >= app_request.timeout:
            return await asyncio.shield(flight)
        try:
            async with asyncio.timeout(patience):
                return await asyncio.shield(flight)
        except TimeoutError:
            raise ScrapeTimeout(app_request, patience) from None

    async def _fly(self, app_request: AppRequest) -> Outcome:
        """One request under way, from its count to its outcome."""
        app = self._record.apps[app_request.app]
        pulse = self._pulse(app_request)
        pulse.beat()
        app.requests += 1
        try:
            outcome = await self._outcome(app_request)
        finally:
            pulse.idle()
            del self._flights[app_request]
        if app_request.cache_ttl:
            self._kept[app_request] = (outcome, self._now() + app_request.cache_ttl)
        app.outcome(outcome)
        return outcome

    def _pulse(self, app_request: AppRequest) -> Heartbeat:
        pulse = self._pulses.get(app_request)
        if pulse is None:
            pulse = self._health.heartbeat(f"request for {app_request.url}", app_request.timeout + _OVERDUE)
            self._pulses[app_request] = pulse
        return pulse

    async def _outcome(self, app_request: AppRequest) -> Outcome:
        """Everything that can go wrong, translated."""
        progress = ResponseProgress()
        reply: AppResponse | None = None
        try:
            async with asyncio.timeout(app_request.timeout):
                reply = await self._apps[app_request.app].get(app_request, progress)
                return await self._interpreted(app_request, reply)
        except Exception as error:  # noqa: BLE001 - a prober is answered whatever happens, and we hear of it
            if reply and isinstance(error, TimeoutError):
                return _unread(app_request, reply)
            known = classify_error(error, app_request, progress)
            if known is None:
                log.defect(f"a defect while asking {app_request.url}: please report the traceback", error)
            return known or NoResponse("defect", f"could not be asked: {type(error).__name__}")

    async def _interpreted(self, app_request: AppRequest, reply: AppResponse) -> AppResponse:
        """The reply, and what it says where that matters."""
        limits = self._limits.get(app_request)
        if limits is None:
            return reply
        size = LARGE if "content-encoding" in reply.headers else len(reply.body)
        found = await self.background.run(
            app_request.app, size, lambda checkpoint: interpret_response(reply, limits, checkpoint)
        )
        page = found.exposition if isinstance(found, Interpretation) else None
        told = page.fault_sentences() if page else [found.phrase] if isinstance(found, UnusableResponse) else []
        faults = page.fault_counts() if page else found.faults if isinstance(found, UnusableResponse) else {}
        app = self._record.apps[app_request.app]
        new = app.interpretation(faults, told, len(page.dropped) if page else 0)
        if new:
            log.warning("the app's page of metrics has faults", app=app_request.app, kinds=new, reasons=told)
        return replace(reply, interpretation=found)


def _unread(app_request: AppRequest, reply: AppResponse) -> NoResponse:
    within = format_duration(app_request.timeout)
    return NoResponse("timeout", f"answered, but its body of {len(reply.body)} B could not be read within {within}")


class ScrapeTimeout(Exception):
    """The prober has less time than the app has to answer."""

    def __init__(self, app_request: AppRequest, patience: float) -> None:
        self.phrase = f"has not answered yet after the {format_duration(patience)} that the scrape leaves"
        self.sentence = f"{app_request.url} {self.phrase}"
        super().__init__(self.sentence)


class UnusableCredentials(Exception):
    """What is to be shown to the app cannot be read, or cannot be sent. Says which variable it is."""


class _Access:
    """How one app is reached: its connections, and who we are to it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._origin = f"{app.target.scheme}://{app.target.netloc}"
        self._requests: dict[AppRequest, tuple[str, h11.Request]] = {}
        trusted = _trusted(app) if app.secure else None
        context = trusted.context if trusted else lambda: None
        self.client = HttpClient(app.target.hostname or "", app.port, context, keep_alive=_KEEP_ALIVE)

    async def get(self, app_request: AppRequest, progress: ResponseProgress) -> AppResponse:
        request = self._request(app_request)
        answer = await self.client.request(request, max_body=app_request.max_body, progress=progress)
        return AppResponse(answer.status, answer.headers, answer.body)

    def _request(self, app_request: AppRequest) -> h11.Request:
        """The request, made once, and again when the credentials have changed."""
        authorization = self._authorization()
        known = self._requests.get(app_request)
        if known is None or known[0] != authorization:
            known = (authorization, self._new_request(app_request, authorization))
            self._requests[app_request] = known
        return known[1]

    def _new_request(self, app_request: AppRequest, authorization: str) -> h11.Request:
        """Fixed, since the answer is shared: nothing of a prober's request is handed on.

        `identity` asks for plain bytes; what comes compressed all the same is handed on as it is by a forwarding route.
        """
        headers = [
            ("Host", self._app.target.netloc),
            ("User-Agent", f"sidecars-adapter/{chassis.__version__}"),
            ("Accept", app_request.accept),
            ("Accept-Encoding", "identity"),
        ]
        if authorization:
            headers.append(("Authorization", authorization))
        try:
            return h11.Request(method="GET", target=app_request.url.removeprefix(self._origin), headers=headers)
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise UnusableCredentials(f"{self._credential()} has characters that cannot be sent") from None

    def _authorization(self) -> str:
        """The header's value; a secret that came by file is read each time, so that a new one is used at once."""
        app = self._app
        try:
            if app.target_token:
                return authorization.bearer(app.target_token.reveal())
            if app.target_username and app.target_password:
                return authorization.basic(app.target_username, app.target_password.reveal())
        except (OSError, UnicodeDecodeError):
            raise UnusableCredentials(f"{self._credential()} cannot be read any more") from None
        return ""

    def _credential(self) -> str:
        return variable(Settings, "target_token" if self._app.target_token else "target_password", self._app.name)


def _trusted(app: App) -> tls.ReloadingContext:
    ca, cert, key = (
        tls.pem_file(app, field, Settings, app.name) for field in ("target_ca", "target_cert", "target_key")
    )
    return tls.client_context(ca, cert, key)


def classify_error(error: Exception, app_request: AppRequest, progress: ResponseProgress) -> NoResponse | None:
    """What went wrong, in our words; None for a defect."""
    found: NoResponse | None = None
    match error:
        case TimeoutError():  # our own: one of the system's comes only after minutes
            found = NoResponse("timeout", f"{_so_far(progress)} within {format_duration(app_request.timeout)}")
        case BodyTooLarge():
            found = NoResponse("too_large", f"answered with more than {format_size(app_request.max_body)}")
        case ConnectionClosed():
            found = NoResponse("closed", f"{_so_far(progress)}: it closed the connection")
        case MalformedResponse():
            found = NoResponse("malformed", "answered with what is not HTTP, or with too large a head")
        case UnusableCredentials():
            found = NoResponse("credentials", f"cannot be asked: {error}")
        case OSError():
            found = classify_connection_error(error)
    return found


def _so_far(progress: ResponseProgress) -> str:
    if not progress.status:
        return "did not answer"
    return (
        f"began an answer with the status {progress.status}, but did not end it after {progress.received} B of its body"
    )


def classify_connection_error(error: OSError) -> NoResponse:
    """Why there is no connection, in our words. None of them repeats what the app has sent."""
    match error:
        case socket.gaierror():
            return NoResponse("unresolved", "cannot be asked: its host name has no address")
        case ssl.SSLCertVerificationError():
            return NoResponse("tls", f"cannot be asked: its certificate is not trusted: {certificate_reason(error)}")
        case ssl.SSLError():
            return NoResponse("tls", f"cannot be asked: TLS failed: {tls_reason(error)}")
        case OSError(errno=errno.ECONNREFUSED):
            return NoResponse("refused", "cannot be asked: connection refused; is the app up?")
    return NoResponse("unreachable", f"cannot be asked: {os_reason(error) or type(error).__name__}")
