"""Active health checks: each endpoint is checked every HEALTH_INTERVAL, with traffic or without.

A check opens a connection of its own. If there is a HEALTH_PATH, the check requests that, and passes with a 2xx or 3xx
in time. Otherwise it passes when the connection is open (with TLS, when the handshake is done). The balancer decides
the consequences. An ejected endpoint is checked as soon as its ejection ends: that check is its trial.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.balancing.outlier_ejection import PROBATION
from sidecars.ambassador.http.head_rules import MessageRejected
from sidecars.ambassador.http.local_replies import RESPONSE_TIMEOUT, Cause
from sidecars.ambassador.http.response_head import STATUS_LINES
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis.runtime import logs

log = logs.get("ambassador")

_STEP = 0.1  # seconds; the accuracy of the intervals
_MIN_TIMEOUT, _MAX_TIMEOUT = 1.0, 5.0  # seconds for one check: the interval, within these limits
_MAX_FIRST_LINE = 8 * 1024  # bytes


class _Probe(asyncio.Protocol):
    """The connection of one check: it sends the request, and waits for a status line.

    Without a request it only opens.
    """

    transport: Transport  # from `connection_made` on

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._seen = b""
        self.outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("Transport", transport)
        if self._request:
            self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        line, end, _ = self._seen.partition(b"\r\n")
        if self.outcome.done():
            return
        if end:
            try:
                self.outcome.set_result(STATUS_LINES[line][0])
            except MessageRejected as error:
                self.outcome.set_exception(error)
        elif len(line) > _MAX_FIRST_LINE:
            self.outcome.set_exception(MessageRejected(502, "it is no HTTP"))

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(MessageRejected(502, "the connection was closed before a response came"))
        if not self.outcome.cancelled():  # by the time-out of the check
            self.outcome.exception()  # retrieve it, since no check may be waiting


class HealthChecker:
    """The checks of the endpoints of one upstream. The data path runs it as a task."""

    def __init__(self, upstream: Upstream, every: float) -> None:
        self._upstream = upstream
        self._every = every
        self._due: dict[Endpoint, float] = {}
        self._running: dict[Endpoint, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Check until this is cancelled. New endpoints, and those on probation, are checked at once."""
        try:
            while True:
                now = time.monotonic()
                endpoints = self._upstream.endpoints
                self._due = {endpoint: self._due.get(endpoint, now) for endpoint in endpoints}
                for endpoint, due in self._due.items():
                    if endpoint not in self._running and (due <= now or endpoint.ejection.state is PROBATION):
                        self._due[endpoint] = now + self._every
                        self._running[endpoint] = asyncio.create_task(self._check(endpoint))
                await asyncio.sleep(_STEP)
        finally:
            for task in self._running.values():
                task.cancel()

    async def _check(self, endpoint: Endpoint) -> None:
        try:
            error = await self._try(endpoint)
        except Exception as defect:  # noqa: BLE001 - the next check may do better
            self._upstream.defects.note(defect)
            error = None
        finally:
            del self._running[endpoint]
        if error is None:
            return
        was_unhealthy = endpoint.unhealthy
        endpoint.note_check_error(error)
        self._upstream.balancer.on_health_check(endpoint, time.monotonic(), passed=not error)
        if endpoint.unhealthy is not was_unhealthy:
            where = {"upstream": self._upstream.name, "address": endpoint.label}
            if endpoint.unhealthy:
                log.warning("an endpoint is unhealthy", code="endpoint-unhealthy", **where, reason=error)
            else:
                log.info("an endpoint is healthy again", **where, reason=error)

    async def _try(self, endpoint: Endpoint) -> str | None:
        """Return the fault of the endpoint; "" if the check has passed, None if it could not be made."""
        path = self._upstream.settings.health_path
        request = b""
        if path:
            request = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: ambassador-health\r\nConnection: close\r\n\r\n" % (
                path.reveal().encode(),
                endpoint.host,
            )
        made: _Probe | Cause | None = None
        try:
            async with asyncio.timeout(max(_MIN_TIMEOUT, min(_MAX_TIMEOUT, self._every))):
                made = await self._upstream.pool.connect(endpoint, lambda: _Probe(request))
                if isinstance(made, Cause):
                    return None if made.own_fault else made.text
                status = await made.outcome if request else 200
        except TimeoutError:
            return RESPONSE_TIMEOUT.text
        except MessageRejected as error:
            return error.reason
        finally:
            if isinstance(made, _Probe):
                made.transport.abort()
        return "" if 200 <= status < 400 else f"it responded with {status}"
