"""Observe the exchanges of one upstream: take notes at their events, and make spans, exemplars and log lines of these.

begin   the context of the trace that the request came with, or a new one; its request id, or a new one
end     exported? sampled, or (TRACES_ERRORS) an error, or (TRACES_SLOW) slow: its spans go to the queue, and its
        trace id stands in the histogram of durations as an exemplar
        ACCESS_LOG_FIELDS: the line of the access log
"""

from __future__ import annotations

import random
import time
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint, interval_of
from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.proxy.exchange import Exchange, monotonic
from sidecars.ambassador.proxy.grpc.call import GrpcCall
from sidecars.ambassador.proxy.observed import exchange_spans, ids, trace_context
from sidecars.ambassador.proxy.observed.access_fields import AccessFields
from sidecars.ambassador.proxy.observed.ended import Ended
from sidecars.ambassador.proxy.observed.observation import Attempt, Observation
from sidecars.ambassador.proxy.observed.span_queue import SpanQueue
from sidecars.ambassador.proxy.observed.spans import CALL_STATUSES
from sidecars.ambassador.proxy.observed.trace_context import RANDOM, SAMPLED, TraceContext
from sidecars.ambassador.upstream import access_log
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter, Notes, Observer, UpstreamSide

bits: Final = random.getrandbits  # S311: ids need no secrecy


def observe(upstream: Upstream, queue: SpanQueue | None, settings: UpstreamSettings) -> None:
    """Observe the exchanges of this upstream from now on. `queue` takes their spans, if it exports any.

    The settings are its own, or of a port those that all of its upstreams have in common.
    """
    upstream.observer = ExchangeObserver(upstream, queue if settings.traces == "on" else None, settings)


class ExchangeObserver(Observer):
    """The observer of one upstream, which owns it. The data path makes it if a setting asks for it."""

    def __init__(self, upstream: Upstream, queue: SpanQueue | None, settings: UpstreamSettings) -> None:
        """`queue` takes the spans; None if none are exported. `settings` say what is seen."""
        self._name: bytes = upstream.name.encode()
        self._counters = upstream.counters
        self._queue = queue
        self._traces: bool = settings.traces != "off"
        self._bound: int = trace_context.sampling_bound(settings.traces_ratio)
        self._errors: bool = settings.traces_errors
        self._slow: float = -1.0 if settings.traces_slow is None else settings.traces_slow
        header = settings.request_id_header
        self._id_name: bytes = header.lower().encode() if header else b""
        self._id_prefix: bytes = b"\r\n%b: " % header.encode() if header else b""
        names = settings.access_log_fields
        self._fields: AccessFields | None = None
        if names and settings.access_log != access_log.OFF:
            self._fields = AccessFields(upstream.name, names, all_requests=settings.access_log == access_log.ALL)

    # -- the beginning --------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> ExchangeNotes:
        return ExchangeNotes(self, self._begin(request))

    def _begin(self, request: Request) -> Observation:
        taken = request.taken()
        request_id = lines = b""
        if self._id_name:
            for name, value in taken:
                if name == self._id_name:
                    request_id = request_id or value
                    lines += self._id_prefix + value
            if not request_id:  # an empty field is no id
                request_id = ids.request_id(bits, time.time())
                lines = self._id_prefix + request_id
        if not self._traces:
            return Observation(None, b"", request_id, lines)
        context = trace_context.parse(taken) if taken else None
        if context is None:
            trace_id = ids.trace_id(bits)
            flags = RANDOM | SAMPLED if trace_context.is_in_ratio(trace_id, self._bound) else RANDOM
            context = TraceContext(trace_id, b"", flags)
        seen = Observation(context, ids.span_id(bits), request_id, lines)
        seen.is_sampled = context.flags & SAMPLED != 0
        return seen

    def begin_attempt(self, seen: Observation, attempt: Attempt) -> bytes:
        """Note an attempt, and return the field lines that it gets, each behind a CR LF."""
        seen.begin(attempt)
        context = seen.context
        if context is None:
            return seen.lines
        return trace_context.lines(context, attempt.span_id) + seen.lines

    def new_span_id(self) -> bytes:
        return ids.span_id(bits) if self._traces else b""

    # -- the end --------------------------------------------------------------------------------------------------

    def end(self, ended: Ended) -> None:
        """Take the notes of an exchange that has ended."""
        context = ended.seen.context
        if context is not None and self._is_exported(ended):
            seconds = ended.seconds
            trace_id = context.trace_id.decode()
            self._counters.note_exemplar(interval_of(seconds), trace_id, seconds, time.time())
            if self._queue is not None:
                self._queue.put(*exchange_spans.encode(ended, context, self._name, time.time_ns()))
        if self._fields is not None:
            self._fields.log(ended)

    def _is_exported(self, ended: Ended) -> bool:
        return (
            ended.seen.is_sampled
            or (self._errors and ended.has_failed)
            or (self._slow >= 0.0 and ended.seconds >= self._slow)
        )


class ExchangeNotes(Notes):
    """The notes about one exchange, which owns them."""

    __slots__ = ("_observer", "_seen")

    def __init__(self, observer: ExchangeObserver, seen: Observation) -> None:
        self._observer = observer
        self._seen = seen

    def begin_attempt(self, connection: UpstreamSide, started: float) -> bytes:
        attempt = Attempt(
            connection.endpoint, self._observer.new_span_id(), started, http2=connection.tells_unprocessed
        )
        return self._observer.begin_attempt(self._seen, attempt)

    def fail_attempt(self, endpoint: Endpoint, started: float, cause: Cause, *, is_connected: bool) -> None:
        if not is_connected:
            attempt = Attempt(endpoint, self._observer.new_span_id(), started, http2=endpoint.http2)
            self._observer.begin_attempt(self._seen, attempt)
        failed = self._seen.of(endpoint)
        if failed is not None:
            failed.ended, failed.error, failed.reason = monotonic(), cause.error_type, cause.text

    def accept(self, endpoint: Endpoint | None, response: Response) -> None:
        self._seen.response = response
        self._seen.served_by = self._seen.of(endpoint)

    def refuse(self, cause: Cause, now: float) -> None:
        response, attempt = self._seen.response, self._seen.served_by
        self._seen.response = None
        if attempt is None or response is None:
            return
        attempt.ended, attempt.status, attempt.reason = now, response.status, cause.text
        if response.call_status > 0:
            attempt.error = CALL_STATUSES[response.call_status].decode()

    def add_response(self, size: int) -> None:
        self._seen.response_bytes += size

    def end(self, exchange: ConnectionWaiter, status: int, now: float, cause: Cause | None, *, whole: bool) -> None:
        assert isinstance(exchange, Exchange)  # noqa: S101 - there is no other one
        seen = self._seen
        if cause is not None:
            seen.error = cause.error_type
        if exchange.body is not None:
            seen.request_bytes = exchange.body.total
        call_status = exchange.outcome if isinstance(exchange, GrpcCall) else -1
        self._observer.end(Ended(exchange, seen, status, call_status, now, whole=whole))
