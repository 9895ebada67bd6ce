"""The notes that exchanges of all kinds make of their attempts."""

from __future__ import annotations

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Response
from sidecars.ambassador.proxy.exchange import Exchange, monotonic
from sidecars.ambassador.proxy.observed.observation import Attempt, Observation
from sidecars.ambassador.proxy.observed.observer import Observer
from sidecars.ambassador.proxy.observed.spans import CALL_STATUSES
from sidecars.ambassador.upstream.upstream_side import UpstreamSide


def begin(observer: Observer, seen: Observation, connection: UpstreamSide, started: float) -> bytes:
    """Note an attempt that has a connection, a hedge perhaps, and return the field lines that it gets."""
    attempt = Attempt(connection.endpoint, observer.new_span_id(), started, http2=connection.tells_unprocessed)
    return observer.begin_attempt(seen, attempt)


def fail(exchange: Exchange, observer: Observer, seen: Observation, cause: Cause) -> None:
    """Note an attempt that is about to fail; one that got no connection has not been noted before."""
    now = monotonic()
    endpoint = exchange.endpoint
    if exchange.connection is None and endpoint is not None:
        attempt = Attempt(endpoint, observer.new_span_id(), exchange.attempt_started, http2=endpoint.http2)
        observer.begin_attempt(seen, attempt)
    failed = seen.of(endpoint)
    if failed is not None:
        failed.ended, failed.error, failed.reason = now, cause.error_type, cause.text


def refuse(attempt: Attempt, cause: Cause, response: Response, now: float) -> None:
    """Note an attempt whose response was dropped for another attempt."""
    attempt.ended, attempt.status, attempt.reason = now, response.status, cause.text
    if response.call_status > 0:
        attempt.error = CALL_STATUSES[response.call_status].decode()
