"""A hedge: a second attempt of an exchange at another endpoint, while the first one is late. The first head wins.

States:

    watching    the first attempt has its time (HEDGE_AFTER); nothing was sent
    under way   the second attempt has an endpoint; its connection opens, or its response is awaited
    adopted     the second attempt is the attempt of the exchange, which gets everything that comes from it
    over

    from        event                                                   to
    watching    the time is over, and `Hedging` allows it               under way
    watching    the first response, or any end of the first attempt     over
    under way   its response begins, and it is no failure: it has won   adopted; the first attempt is dropped
    under way   the first attempt fails, so this one is its retry       adopted
    under way   the first response begins: it has lost                  over; its connection is dropped
    under way   it fails, or its response is a failure                  over; the first attempt goes on
    under way   the exchange ends                                       over; its connection is dropped

An attempt that is dropped is no failure of its endpoint. Of HTTP/2 its stream is reset (CANCEL); of HTTP/1.1 its
connection is closed.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Response
from sidecars.ambassador.http2 import grpc
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy import retry
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.upstream.upstream_side import Hedge, UpstreamSide

WON: Final = "won"  # the app got its response
LOST: Final = "lost"  # the first attempt was faster
FAILED: Final = "failed"  # it failed before the first attempt had a response
ABANDONED: Final = "abandoned"  # the exchange ended without a response
UNPAID: Final = "unpaid"  # it did not begin, for want of a budget

_WATCHING: Final = "watching"
_UNDER_WAY: Final = "under way"
_ADOPTED: Final = "adopted"
_OVER: Final = "over"

monotonic: Final = time.monotonic


class HedgeOwner(ABC):
    """The hedging of one upstream, as far as a hedge uses it."""

    @abstractmethod
    def on_head(self, endpoint: Endpoint | None, seconds: float) -> None:
        """Note that a first attempt has its response after this time."""

    @abstractmethod
    def on_late(self, endpoint: Endpoint | None, seconds: float) -> None:
        """Note that a hedge has won: the response of the first attempt would have taken more than this time."""

    @abstractmethod
    def on_no_head(self, seconds: float) -> None:
        """Note that a first attempt has ended without a response after this time."""

    @abstractmethod
    def on_end(self, outcome: str) -> None:
        """Count a hedge that is not under way any more."""


class SecondAttempt(Hedge):
    """One hedge. Its exchange owns it, and `Hedging` while it watches."""

    def __init__(self, owner: HedgeOwner, exchange: Exchange, now: float) -> None:
        self.request = exchange.request
        self.exchange = exchange
        self.watched_since = now
        self.state = _WATCHING
        self.over = False  # True if a connection that opens is not wanted any more
        self.started = 0.0
        self.endpoint: Endpoint | None = None
        self.connection: UpstreamSide | None = None
        self._owner = owner
        self._is_blocked = False  # True if the endpoint does not take more of the request at present

    @property
    def is_watching(self) -> bool:
        """True if it may begin."""
        return self.state == _WATCHING and self.exchange.hedge is self and not self.exchange.over

    def begin(self, endpoint: Endpoint, now: float) -> None:
        """Begin the attempt: take a connection to this endpoint, or open one."""
        self.state = _UNDER_WAY
        self.endpoint = endpoint
        self.started = now
        endpoint.begin_attempt(is_retry=False)
        pool = self.exchange.upstream.pool
        connection = pool.take(endpoint, self.request, now, retry.ANY_AGE)
        if connection is not None:
            self.on_connected(connection)
        else:
            pool.open(endpoint, self)

    # -- for the pool ---------------------------------------------------------------------------------------------

    def on_connected(self, connection: UpstreamSide) -> None:
        exchange = self.exchange
        if self.state == _ADOPTED:
            if exchange.over:
                connection.drop()
            else:
                exchange.on_connected(connection)
            return
        self.connection = connection
        if self.request.is_grpc and not connection.tells_unprocessed:
            self._fail(local_replies.NEEDS_HTTP2)
            return
        exchange.send(connection, self)

    def on_connect_failed(self, cause: Cause) -> None:
        if self.state != _ADOPTED:
            self._fail(cause)
        elif not self.exchange.over:
            self.exchange.on_connect_failed(cause)

    # -- for the exchange -----------------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        exchange = self.exchange
        self._owner.on_head(exchange.endpoint, now - exchange.attempt_started)
        self._end(LOST)

    def cancel(self) -> None:
        self._owner.on_no_head(monotonic() - self.exchange.attempt_started)
        self._end(ABANDONED)

    def take_over(self, endpoint: Endpoint, cause: Cause) -> bool:
        exchange = self.exchange
        self._owner.on_no_head(monotonic() - exchange.attempt_started)
        if self.state != _UNDER_WAY:
            return False
        exchange.failures += ((endpoint.label, cause),)
        exchange.tried += (endpoint,)
        self._become_attempt()
        return True

    # -- outcomes -------------------------------------------------------------------------------------------------

    def _win(self, now: float) -> None:
        exchange = self.exchange
        self._owner.on_late(exchange.endpoint, now - exchange.attempt_started)
        self._become_attempt()

    def _become_attempt(self) -> None:
        exchange, connection, endpoint = self.exchange, self.connection, self.endpoint
        assert endpoint is not None  # noqa: S101 - it is under way
        self.state = _ADOPTED
        self._owner.on_end(WON)
        exchange.hedge = None
        exchange.hedged = WON
        exchange.leave_attempt()
        exchange.endpoint, exchange.connection, exchange.attempt_started = endpoint, connection, self.started
        if exchange.upstream.access_log is not None:
            exchange.label = endpoint.label
        if connection is None:
            return
        exchange.is_on_used_connection = connection.has_served
        if self._is_blocked:
            exchange.block()
        if exchange.client.is_full:
            connection.pause_reading()

    def _fail(self, cause: Cause) -> None:
        """End it because of a failure, for which the endpoint is to blame unless the cause says otherwise."""
        endpoint, connection = self.endpoint, self.connection
        if endpoint is not None:
            balancer, now = self.exchange.upstream.balancer, monotonic()
            is_race = connection is not None and connection.has_served and cause is local_replies.CONNECTION_CLOSED
            if is_race or cause.own_fault or cause.unprocessed:
                balancer.on_inconclusive(endpoint, now)
            else:
                balancer.on_failure(endpoint, self.started, now, cause.text, unreachable=connection is None)
        self._leave(FAILED)

    def _end(self, outcome: str) -> None:
        """End it because it is not needed any more."""
        if self.state == _UNDER_WAY and self.endpoint is not None:
            self._leave(outcome)
        elif self.exchange.hedge is self:
            self.exchange.hedge = None
        self.state = _OVER
        self.over = True

    def _leave(self, outcome: str) -> None:
        """Let go of the endpoint and of the connection."""
        exchange = self.exchange
        endpoint, connection = self.endpoint, self.connection
        self.endpoint = self.connection = None
        self.state = _OVER
        self.over = True
        self._owner.on_end(outcome)
        exchange.hedged = outcome
        if exchange.hedge is self:
            exchange.hedge = None
        if connection is not None:
            connection.drop()
        if endpoint is not None:
            endpoint.end_attempt()

    def _is_failure(self, response: Response) -> bool:
        """Return True if the first attempt may do better."""
        status = response.status
        if self.request.is_grpc and status == 200 and response.call_status >= 0:
            status = grpc.outcome_class(response.call_status)
        return status >= 500 or status == 429 or status in self.exchange.upstream.settings.retry_on.statuses

    # -- the response ---------------------------------------------------------------------------------------------

    def accept(self, response: Response, now: float) -> bool:
        exchange, endpoint = self.exchange, self.endpoint
        if self.state == _UNDER_WAY and endpoint is not None:
            if exchange.over or exchange.status:  # a defect kept the first attempt from ending this one
                self._end(ABANDONED)
                return False
            if self._is_failure(response):
                wait = retry.retry_after(response.value(b"retry-after"), time.time())
                exchange.upstream.balancer.on_response(endpoint, response.status, self.started, now, wait)
                self._leave(FAILED)
                return False
            self._win(now)
        return self.state == _ADOPTED and exchange.accept(response, now)

    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        self.exchange.respond_whole(response, body, trailers, now)

    def respond(self, response: Response) -> None:
        self.exchange.respond(response)

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        self.exchange.pass_on(pieces)

    def end(self, trailers: Sequence[Field], now: float) -> None:
        self.exchange.end(trailers, now)

    def interim(self, response: Response) -> None:
        if self.state == _ADOPTED:
            self.exchange.interim(response)

    def switch(self, response: Response, surplus: bytes) -> None:  # noqa: ARG002 - nothing of it is wanted
        self.lose(local_replies.malformed_response("101 was not asked for"))

    def release(self) -> bool:
        return self.exchange.release()

    def lose(self, cause: Cause) -> None:
        if self.state == _ADOPTED:
            self.exchange.lose(cause)
        elif self.state == _UNDER_WAY:
            self._fail(cause)

    def fail(self, error: Exception) -> None:
        if self.state == _ADOPTED:
            self.exchange.fail(error)
            return
        self.exchange.upstream.defects.note(error)
        if self.state == _UNDER_WAY:
            self._fail(local_replies.DEFECT)

    def block(self) -> None:
        self._is_blocked = True
        if self.state == _ADOPTED:
            self.exchange.block()

    def unblock(self) -> None:
        self._is_blocked = False
        if self.state == _ADOPTED:
            self.exchange.unblock()
