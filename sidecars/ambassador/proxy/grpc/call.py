"""One call of gRPC: an exchange whose time, repeats, outcome and end follow gRPC's rules (`http2.grpc`).

    time       `grpc-timeout` is the deadline, from the head of the request on, over all attempts; each attempt is told
    the rest of it. Without it a call has no total limit, and its streams may be quiet for days
    repeats    by the status that an endpoint answers before any message (GRPC_RETRY_ON), after the pause that it asks
               for (`grpc-retry-pushback-ms`); calls of the methods in GRPC_IDEMPOTENT after a failure, too
    outcome    the status at the end of the response tells of the endpoint, the time to its head is its latency
    end        a response that breaks off after its head gets trailers with a status, not a reset

Time-outs by the state of the exchange (`timeouts` has those of all others):

    CONNECTING             TIMEOUT, as for any request: status 14
    SENDING, AWAITING      none; TRY_TIMEOUT ends an attempt that may be repeated elsewhere
    BLOCKED                STREAM_IDLE_TIMEOUT, while the endpoint opens no window: 14
    RECEIVING, STREAMING   MAX_STREAM_AGE, and DRAIN_TIMEOUT after DNS has removed the endpoint: 14
    any                    the deadline: 4; TOTAL_TIMEOUT, if it is set: 14
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.encoder import encode_field
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy import timeouts
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import ResponseReceiver, UpstreamSide

_JITTER: Final = 0.2  # of MAX_STREAM_AGE, so that streams that began together do not end together (gRFC A9)

monotonic: Final = time.monotonic


def new_exchange(client: AppSide, upstream: Upstream, request: Request) -> Exchange:
    """Return the exchange of a request, of the kind that its rules need: a call of gRPC, or any other one."""
    return GrpcCall(client, upstream, request) if request.is_grpc else Exchange(client, upstream, request)


class GrpcCall(Exchange):
    """One call. The stream of its app's connection owns it."""

    outcome = grpc.UNKNOWN  # the status with which it ended
    _age = 0.0  # seconds after which its stream is too old; 0: never
    _head_at = 0.0  # when the head of its response came
    _served_by: Endpoint | None = None  # the endpoint of that response

    def __init__(self, client: AppSide, upstream: Upstream, request: Request) -> None:
        super().__init__(client, upstream, request)
        timeout = grpc.parse_timeout(request.grpc_timeout) if request.grpc_timeout else None
        self.timeout: float = -1.0 if timeout is None else timeout  # seconds; below 0: it has no deadline
        if timeout is not None:
            self.deadline = self.started + timeout
        if upstream.idempotent_methods is not None and request.target in upstream.idempotent_methods:
            request.idempotent = True
        if upstream.settings.max_stream_age is not None:
            self._age = upstream.settings.max_stream_age * (1.0 + _JITTER * (random.random() - 0.5))  # noqa: S311 - to spread

    # -- attempts -------------------------------------------------------------------------------------------------

    def send(self, connection: UpstreamSide, receiver: ResponseReceiver) -> None:
        request = self.request
        fields = b""
        if self.timeout >= 0.0:
            left = self.started + self.timeout - monotonic()
            fields = encode_field(b"grpc-timeout", grpc.format_timeout(left))
        previous = self.retries + self.repeats + (receiver is not self)  # a hedge is the second attempt
        if previous and not request.value(b"grpc-previous-rpc-attempts"):
            fields += encode_field(b"grpc-previous-rpc-attempts", b"%d" % previous)
        request.attempt_fields = fields
        super().send(connection, receiver)

    def _accept(self, response: Response, now: float) -> bool:
        endpoint, status = self.endpoint, response.call_status
        if endpoint is None or response.status != 200:
            return super()._accept(response, now)
        if status < 0:
            if self.hedge is not None:
                self.hedge.settle(now)
            self.upstream.balancer.on_call_head(endpoint, self.attempt_started, now)
            self._served_by = endpoint
            return True
        self.upstream.balancer.on_response(endpoint, grpc.outcome_class(status), self.attempt_started, now)
        if self._repeats_after(endpoint, status, response.pushback, now):
            return False
        if self.hedge is not None:
            self.hedge.settle(now)
        return True

    def _repeats_after(self, endpoint: Endpoint, status: int, pushback: float, now: float) -> bool:
        """Begin another attempt and return True, or return False if the response is to be passed on."""
        upstream = self.upstream
        settings = upstream.settings
        if status not in settings.grpc_retry_on.statuses or pushback == grpc.NEVER:
            return False
        hedge, cause = self.hedge, local_replies.unwanted_call_status(status)
        if hedge is not None and hedge.take_over(endpoint, cause):
            return True
        if not self.is_held() or self.is_copy or self.retries >= settings.retries:
            return False
        tried = (*self.tried, endpoint)
        wait = pushback
        if wait < 0.0:
            wait = 0.0 if upstream.has_untried(tried) else self._pause()
        time_left = settings.timeout if self.timeout < 0.0 else self.started + self.timeout - now
        if wait >= time_left or not upstream.budget.spend():
            return False
        self.leave_attempt()
        self.failures += ((endpoint.label, cause),)
        self.tried = tried
        self._begin_after(wait)
        return True

    # -- the response ---------------------------------------------------------------------------------------------

    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        if response.call_status >= 0:
            self.outcome = response.call_status
        super().respond_whole(response, body, trailers, now)

    def respond(self, response: Response) -> None:
        self._head_at = monotonic()
        super().respond(response)

    def end(self, trailers: Sequence[Field], now: float) -> None:
        self.outcome = grpc.status_in(trailers, self.status)
        endpoint = self._served_by
        if endpoint is not None:
            outcome = grpc.outcome_class(self.outcome)
            self.upstream.balancer.on_call_end(endpoint, outcome, self.attempt_started, now)
        super().end(trailers, now)

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        if self.over:
            return
        total = self.upstream.settings.total_timeout
        if 0.0 <= self.timeout <= now - self.started:
            self._end_by(local_replies.DEADLINE, now)
        elif total is not None and now - self.started >= total:
            self._end_by(local_replies.RESPONSE_TIMEOUT, now)
        elif self.status:
            self._tick_stream(now)
        else:
            self._tick_attempt(now)

    def _tick_stream(self, now: float) -> None:
        endpoint = self.endpoint
        if endpoint is not None and endpoint.removed and now - endpoint.removed_at >= self.upstream.drain_timeout:
            self.cut(local_replies.MOVED)
        elif self._age and now - self._head_at >= self._age:
            self.cut(local_replies.TOO_OLD)

    def _tick_attempt(self, now: float) -> None:
        settings = self.upstream.settings
        connection = self.connection if self.request.length else None
        silent = self.progress.silent_for(now, -1 if connection is None else connection.taken())
        state = self.state
        if state == timeouts.CONNECTING:
            if silent >= settings.timeout:
                self._end_by(local_replies.RESPONSE_TIMEOUT, now)
        elif state == timeouts.BLOCKED and silent >= settings.stream_idle_timeout:
            self._end_by(local_replies.RESPONSE_TIMEOUT, now)
        elif state in (timeouts.BLOCKED, timeouts.AWAITING) and silent and self.is_attempt_late(now):
            self.lose(local_replies.RESPONSE_TIMEOUT)

    def _end_by(self, cause: Cause, now: float) -> None:
        """End because of time; there is no further attempt."""
        if self.status:
            self.cut(cause)
            return
        found = self.expire_attempt(now, is_request_sent=self.is_complete or self._is_blocked)
        self.give_up(found if cause is local_replies.RESPONSE_TIMEOUT else cause)

    # -- ends -----------------------------------------------------------------------------------------------------

    def give_up(self, cause: Cause) -> None:
        self.outcome = local_replies.call_status(cause)
        super().give_up(cause)

    def cut(self, cause: Cause) -> None:
        self.outcome = local_replies.call_status_of_end(cause)
        super().cut(cause)

    def abandon(self, status: int) -> None:
        if self.over:
            return
        if status != GONE:
            self.outcome = grpc.status_of_reply(status)
        elif self.timeout >= 0.0 and grpc.is_timeout(monotonic() - self.started, self.timeout):
            self.outcome = grpc.DEADLINE_EXCEEDED
            self._blame_for_timeout()
        else:
            self.outcome = grpc.CANCELLED
        super().abandon(status)

    def _blame_for_timeout(self) -> None:
        """End the attempt of a client that has cancelled at its deadline: it wins the race against our clock."""
        endpoint = self.endpoint
        if endpoint is not None and self.connection is not None and not self.status:
            self.leave_attempt()
            text = local_replies.DEADLINE.text
            self.upstream.balancer.on_failure(endpoint, self.attempt_started, monotonic(), text)

    def _count(self, status: int, now: float, *, whole: bool = True, cause: Cause | None = None) -> None:
        self.upstream.counters.count_call(self.outcome)
        super()._count(status, now, whole=whole, cause=cause)
