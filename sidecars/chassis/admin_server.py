"""The admin server. No endpoint changes state, and none shows a secret.

GET /          the page for people (package `page`): what `/status` says, as tables, refreshed
GET /livez     200 if every heartbeat is young enough; else 503 and the parts that have stopped
GET /readyz    200 if no part holds a readiness latch; else 503 and the reasons. A client that prefers application/json
               gets the state with them
GET /metrics   Prometheus text, or OpenMetrics by negotiation
GET /status    JSON: state, trouble, the sidecar's own status, effective settings. A client that prefers text/html gets
               the page, unless it asks for `/status?json`. `/status?compact` is the JSON on one line
GET /siblings  JSON: the health of the other sidecars of the Pod (`siblings`)

`/` and `/status` answer clients on loopback only, unless `ADMIN_STATUS` is `any`: others get 403. Other Pods need
health and metrics, and no more. (The app beside us is on loopback, too, so they show nothing that the app may not
know.) Their `Host` has to be an address or `localhost`: a stranger's page in somebody's browser could otherwise read
them through a port-forward, by DNS rebinding (`http.host_header`). No browser asks a unix socket.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from sidecars.chassis import siblings
from sidecars.chassis.accept.listen import bind, bound_address
from sidecars.chassis.config.settings import ServiceSettings, variable
from sidecars.chassis.http import host_header, server
from sidecars.chassis.http.accept_header import prefers
from sidecars.chassis.http.server import Request, Response
from sidecars.chassis.runtime import descriptors, logs
from sidecars.chassis.runtime.blocking_thread import BlockingThread
from sidecars.chassis.runtime.health import Health
from sidecars.chassis.shared_work import SharedWork
from sidecars.chassis.siblings import Siblings
from sidecars.chassis.status_document import Status, StatusDocument

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from sidecars.chassis.page.picture import Picture

log = logs.get("admin")

_METHODS = ("GET", "HEAD")
_FORMS_OF_JSON = ("json", "compact")
_HTML, _JSON = "text/html", "application/json"
_METRICS = "sidecars.chassis.metrics"


def registry() -> CollectorRegistry:
    """Return a registry with the metrics of the process and those of all sidecars. It loads prometheus-client."""
    from sidecars.chassis import metrics  # noqa: PLC0415 - a start does not wait for it

    return metrics.registry()


@asynccontextmanager
async def serve(
    settings: ServiceSettings,
    health: Health,
    metrics: CollectorRegistry | Callable[[], CollectorRegistry],
    status: Status = dict,
    *,
    picture: Callable[[], Picture] | None = None,
) -> AsyncIterator[None]:
    """Serve the endpoints on `settings.admin_listen` while the context is open. Raises IOFailed if it cannot listen.

    `metrics` is a registry, or a function that makes one at the first scrape: no start waits for prometheus-client.
    `picture` imports the sidecar's picture and returns it. It is called for the first request for the page, so that the
    picture and the package `page` cost nothing at the start.
    They also work while the process has no free file descriptor: an operator needs them then.
    """
    if not settings.admin_listen:
        yield
        return
    sockets = bind(settings.admin_listen, variable(type(settings), "admin_listen"))
    scrapes = _Scrapes(settings.PREFIX.lower(), health, metrics)
    endpoints = _Endpoints(settings, health, scrapes, StatusDocument(settings, health, status), picture)
    async with server.serve(endpoints.answer, sockets, name="admin"):
        log.info("admin endpoints answer", address=bound_address(sockets))
        yield


class _Scrapes:
    """The metrics of the process. The registry is made at the first scrape, and owned from then on."""

    def __init__(self, name: str, health: Health, metrics: CollectorRegistry | Callable[[], CollectorRegistry]) -> None:
        self._name = name
        self._health = health
        self._metrics = metrics
        self._registry = None if callable(metrics) else self._completed(metrics)
        self._scrapes: SharedWork[str, Response] = SharedWork()  # by their form

    async def answer(self, request: Request) -> Response:
        """Return the metrics in the form that the client prefers.

        The first scrape loads prometheus-client in a thread: the event loop goes on meanwhile. No thread, or no
        descriptor for its files, is no failure: it is loaded here then, with the reserve.
        """
        if self._registry is None and _METRICS not in sys.modules:
            with suppress(RuntimeError, OSError, ImportError):
                await BlockingThread("metrics").call(import_module, _METRICS)
        with descriptors.reserved():
            from sidecars.chassis import metrics  # noqa: PLC0415 - a start does not wait for it

        encode, form = metrics.encoder(request.headers.get("accept", ""))
        return await self._scrapes.result(form, lambda _: self._scrape(encode, form))

    async def _scrape(self, encode: Callable[[CollectorRegistry], bytes], form: str) -> Response:
        with descriptors.reserved():  # the metrics of the process come from files in /proc
            if self._registry is None:
                self._registry = self._completed(self._metrics() if callable(self._metrics) else self._metrics)
            return Response(body=encode(self._registry), headers={"Content-Type": form})

    def _completed(self, registry: CollectorRegistry) -> CollectorRegistry:
        from sidecars.chassis import metrics  # noqa: PLC0415 - a start does not wait for it

        return metrics.complete(registry, self._name, self._health)


class _Endpoints:
    """The endpoints: one method for each path."""

    def __init__(
        self,
        settings: ServiceSettings,
        health: Health,
        scrapes: _Scrapes,
        status: StatusDocument,
        picture: Callable[[], Picture] | None,
    ) -> None:
        self._settings = settings
        self._health = health
        self._status = status
        self._picture = picture
        self._page_thread = BlockingThread("page")  # it starts with the first page
        self._documents: SharedWork[str, Response] = SharedWork()  # by their form, or by the path of a page
        name, own_port = settings.PREFIX.lower(), settings.admin_listen.port or 0
        self._siblings = Siblings(siblings.others(settings.admin_siblings, name, [own_port]))
        self._by_path: dict[str, Callable[[Request], Response | Awaitable[Response]]] = {
            "/": self._page_or_json,
            "/livez": lambda _: _result("alive", self._health.not_alive()),
            "/readyz": self._readiness,
            "/metrics": scrapes.answer,
            "/status": self._page_or_json,
            "/siblings": self._health_of_siblings,
        }

    async def answer(self, request: Request) -> Response:
        """Return the response of the path's endpoint. It is never cached. A 404 lists the paths."""
        endpoint = self._by_path.get(request.path)
        if endpoint is None:
            *most, last = self._by_path
            response = server.text(404, f"not found: try {', '.join(most)} or {last}\n")
        elif request.method not in _METHODS:
            allowed = {"Allow": ", ".join(_METHODS)}
            response = server.text(405, "not allowed: no endpoint changes anything\n", allowed)
        else:
            with descriptors.reserved():  # what a process tells of itself comes from files in /proc
                found = endpoint(request)
            response = found if isinstance(found, Response) else await found
        return replace(response, headers={**response.headers, "Cache-Control": "no-store"})

    def _readiness(self, request: Request) -> Response:
        """Return the reasons as text, or the whole state to a client that prefers JSON, such as a sibling."""
        problems = self._health.not_ready()
        if prefers(request.headers.get("accept", ""), _JSON, "text/plain"):
            return _json(self._status.state_text(), 503 if problems else 200)
        return _result("ready", problems)

    async def _health_of_siblings(self, request: Request) -> Response:
        return self._refusal(request) or _json(await self._siblings.text())

    async def _page_or_json(self, request: Request) -> Response:
        """Return the page at `/` and JSON at `/status`, unless the client prefers the other one."""
        if refusal := self._refusal(request):
            return refusal
        accept = request.headers.get("accept", "")
        is_json = prefers(accept, _JSON, _HTML) if request.path == "/" else not prefers(accept, _HTML, _JSON)
        if is_json or request.query in _FORMS_OF_JSON:
            return await self._documents.result("compact" if request.query == "compact" else _JSON, self._json)
        return await self._documents.result(request.path, self._page)

    async def _json(self, form: str) -> Response:
        own_members = await self._status.own_members()
        with descriptors.reserved():
            return _json(self._status.text(own_members, compact=form == "compact"))

    async def _page(self, path: str) -> Response:
        """Return the page. It is loaded and made in a thread: the event loop goes on meanwhile.

        No thread, or no descriptor for the files of its code, is no failure: it is made here then, with the reserve.
        """
        own_members = await self._status.own_members()
        with descriptors.reserved():
            text = self._status.text(own_members, compact=True)
        given = (self._picture, text, path, self._siblings.are_known)
        try:
            return await self._page_thread.call(_page, *given)
        except (RuntimeError, OSError, ImportError):
            with descriptors.reserved():
                return _page(*given)

    def _refusal(self, request: Request) -> Response | None:
        """Return the response to a client that may not see the status, or None if it may."""
        if self._settings.admin_status == "any":
            return None
        name = variable(type(self._settings), "admin_status")
        if not request.is_local:
            sentence = f"{request.path} answers loopback alone: use kubectl port-forward, or set {name}=any\n"
        elif not self._settings.admin_listen.path and not host_header.is_address(request.headers.get("host", "")):
            sentence = (
                f"{request.path} answers under an address or localhost alone, so that no stranger's page reads it by"
                f" DNS rebinding: use http://127.0.0.1, or set {name}=any\n"
            )
        else:
            return None
        return server.text(403, sentence)


def _page(picture: Callable[[], Picture] | None, text: str, path: str, has_siblings: bool) -> Response:  # noqa: FBT001 - of a call by place
    from sidecars.chassis.page import document  # noqa: PLC0415 - only a process that a person looks at loads it

    body = document.html(picture() if picture else None, text, path, siblings=has_siblings)
    return Response(body=body, headers={**document.headers(), "Vary": "Accept"})


def _json(text: str, status: int = 200) -> Response:
    return Response(status, text.encode(), {"Content-Type": f"{_JSON}; charset=utf-8", "Vary": "Accept"})


def _result(state: str, problems: list[str]) -> Response:
    if problems:
        text = "".join(f"not {state}: {problem}\n" for problem in problems)
        return server.text(503, logs.scrubbed(text, f"not {state}"))
    return server.text(200, f"{state}\n")
