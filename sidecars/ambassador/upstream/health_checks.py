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
from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.upstream.http2.single_request import SingleRequest
from sidecars.ambassador.upstream.http2.undecided import Undecided
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.chassis.runtime import logs

log = logs.get("ambassador")

_STEP = 0.1  # seconds; the accuracy of the intervals
_MIN_TIMEOUT, _MAX_TIMEOUT = 1.0, 5.0  # seconds for one check: the interval, within these limits
_MAX_FIRST_LINE = 8 * 1024  # bytes
_HTTP1_REQUEST = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: ambassador-health\r\nConnection: close\r\n\r\n"


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
        target = path.reveal().encode() if path else b""
        try:
            async with asyncio.timeout(max(_MIN_TIMEOUT, min(_MAX_TIMEOUT, self._every))):
                made = await self._open(endpoint, target)
                if isinstance(made, Cause):
                    return None if made.own_fault else made.text
                try:
                    return await self._ask(made, target)
                finally:
                    made.transport.abort()
        except TimeoutError:
            return RESPONSE_TIMEOUT.text
        except MessageRejected as error:
            return error.reason

    async def _ask(self, made: _Probe | SingleRequest, target: bytes) -> str:
        """Return the fault that the response shows, "" for none. Raises MessageRejected."""
        asks_grpc = self._upstream.settings.health_service is not None
        status = 200
        if isinstance(made, SingleRequest):
            response = await made.outcome
            status = response.head.status
            if asks_grpc and status == 200:
                return grpc.health_fault(grpc.status_in(response.fields, status), response.body)
        elif asks_grpc:
            return "it does not speak HTTP/2, so gRPC cannot ask it"
        elif target:
            status = await made.outcome
        return "" if 200 <= status < 400 and (status == 200 or not asks_grpc) else f"it responded with {status}"

    async def _open(self, endpoint: Endpoint, target: bytes) -> _Probe | SingleRequest | Cause:
        """Open the connection of a check, in the protocol that the endpoint speaks. Without a target it only opens."""
        pool = self._upstream.pool

        def http1() -> _Probe:
            return _Probe(_HTTP1_REQUEST % (target, endpoint.host) if target else b"")

        def http2() -> _Probe | SingleRequest:
            service = self._upstream.settings.health_service
            loop = asyncio.get_running_loop()
            if service is not None:
                scheme = b"https" if endpoint.tls else b"http"
                return SingleRequest(loop.create_future(), _check(scheme, endpoint), grpc.health_request(service))
            if not target:
                return _Probe(b"")
            fields = (
                (b":method", b"GET"),
                (b":scheme", b"https" if endpoint.tls else b"http"),
                (b":authority", endpoint.host),
                (b":path", target),
                (b"user-agent", b"ambassador-health"),
            )
            block = b"".join([encode_field(name, value) for name, value in fields])
            return SingleRequest(loop.create_future(), block)

        if not endpoint.tls or self._upstream.settings.upstream.protocol != "http":
            return await pool.connect(endpoint, http2 if endpoint.http2 else http1)
        made = await pool.connect(endpoint, lambda: Undecided(http1, http2))
        if isinstance(made, Cause):
            return made
        assert made.chosen is not None  # noqa: S101 - the handshake is over
        return made.chosen


def _check(scheme: bytes, endpoint: Endpoint) -> bytes:
    """Return the head of a health check of gRPC."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", scheme),
        (b":authority", endpoint.host),
        (b":path", grpc.HEALTH_PATH),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"ambassador-health"),
    )
    return b"".join([encode_field(name, value) for name, value in fields])
