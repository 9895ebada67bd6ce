"""The attempts of an exchange: each chooses an endpoint, and takes or opens a connection to it.

There is one attempt at a time, but for a hedge (`beside.hedge`). Another one, or the end, follows a failure. States:

    none         before the first attempt, also while it waits for the first answer of DNS, and after the last one
    connecting   an endpoint is chosen, and a connection to it opens
    connected    the request is sent, as far as it has come, and the response is awaited or read
    pausing      the last attempt failed, and the next one begins after a pause

    from         event                                       to
    none         `begin_attempt`                             connected, if an idle connection is there; else connecting
    connecting   the connection opens                        connected
    connecting   it does not open                            pausing, connecting, connected or none, as `retry` decides
    connected    a failure, or a response that is repeated   pausing, connecting, connected or none, as `retry` decides
    connected    `release_attempt`: the response is complete         none; the connection becomes idle
    connected    `switch_attempt`: a 101 response                    none; the connection is a tunnel's
    any          `leave_attempt`: the exchange ends early            none; the connection is closed
"""

from __future__ import annotations

import random
import time
from abc import abstractmethod
from typing import Final

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.setting_types import CONNECT, RESET, TIMEOUT
from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.proxy import retry
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter, Hedge, Notes, ResponseReceiver, UpstreamSide

monotonic: Final = time.monotonic


class AttemptingExchange(ConnectionWaiter):
    """The part of an exchange that makes its attempts. Only the current attempt has an endpoint and a connection."""

    # Defaults that most exchanges keep stand on the class: they cost nothing.
    over = False
    deadline = 0.0  # when nobody wants its response any more; 0 if it has no deadline
    connection: UpstreamSide | None = None
    endpoint: Endpoint | None = None
    retries = 0  # attempts that were counted as retries
    repeats = 0  # attempts that were repeated without being counted: the endpoint had not processed them
    failures: tuple[tuple[str, Cause], ...] = ()  # the attempts that failed: the endpoint, and the cause
    label = ""  # the endpoint of the current attempt, for the access log, if there is one
    hedge: Hedge | None = None  # a second attempt beside the first one, with HEDGE_AFTER
    hedged = ""  # for the access log: the outcome of the hedge
    notes: Notes | None = None  # what is observed of it; None if nobody observes
    is_copy = False  # True for a copy that goes to a mirror
    tried: tuple[Endpoint, ...] = ()
    _is_race_forgiven = False  # True if the race on an idle connection was lost once: no idle one is taken again
    is_on_used_connection = False  # True if the current attempt's connection had served an exchange before
    _is_written = False  # True if anything of the request was given to a connection

    def __init__(self, client: AppSide, upstream: Upstream, request: Request, now: float) -> None:
        self.client = client
        self.upstream = upstream
        self.request = request
        self.attempt_started = now
        if upstream.observer is not None:
            self.notes = upstream.observer.begin(request)

    # -- of the whole exchange ------------------------------------------------------------------------------------

    @abstractmethod
    def is_held(self) -> bool:
        """Return True if all of the request that has come so far is held."""

    @abstractmethod
    def send(self, connection: UpstreamSide, receiver: ResponseReceiver) -> None:
        """Send the request, as far as it has come. The response is for the receiver: the exchange, or its hedge."""

    @abstractmethod
    def on_attempt_end(self) -> None:
        """Reset the state that belongs to the connection of the attempt, which is about to be closed."""

    @abstractmethod
    def give_up(self, cause: Cause) -> None:
        """End with a local reply."""

    # -- beginning ------------------------------------------------------------------------------------------------

    def begin_attempt(self) -> None:
        """Begin an attempt. An exception in it ends the exchange, and nothing else."""
        try:
            self._begin_attempt()
        except Exception as error:  # noqa: BLE001 - any defect ends this exchange alone
            self.fail(error)

    def _begin_attempt(self) -> None:
        if self.over or (self.upstream.identity is not None and not self.upstream.identity.admits(self)):
            return
        upstream, request = self.upstream, self.request
        is_retry = bool(self.failures)
        if is_retry:
            self.attempt_started = monotonic()
            self.label = ""
        started = self.attempt_started
        key = upstream.hash_key(request.lines(), self.client.peer_host()) if upstream.hash_key else b""
        endpoint = upstream.balancer.choose(started, self.tried, key)
        if endpoint is None:
            refusal = upstream.await_address(self, self.begin_after_wait)
            if refusal is not None:
                self.give_up(refusal)
            return
        self.endpoint = endpoint
        endpoint.begin_attempt(is_retry=is_retry)
        pool = upstream.pool
        if not self._is_race_forgiven:
            connection = pool.take(endpoint, request, started, retry.ANY_AGE if request.idempotent else retry.FRESH)
            if connection is not None:
                self.on_connected(connection)
                return
        if pool.opening >= upstream.settings.max_pending:
            self.leave_attempt_inconclusive()
            self.give_up(local_replies.TOO_MANY_PENDING)
            return
        pool.open(endpoint, self)

    def begin_after_wait(self) -> None:
        """Begin an attempt that has waited, for DNS or for credentials. The endpoint is not to blame for that time."""
        self.attempt_started = monotonic()
        self.begin_attempt()

    def on_connected(self, connection: UpstreamSide) -> None:
        self.connection = connection
        if self.request.is_grpc and not connection.tells_unprocessed:  # no server of gRPC speaks HTTP/1.1
            self.leave_attempt_inconclusive()
            self.give_up(local_replies.NEEDS_HTTP2)
            return
        self.is_on_used_connection = connection.has_served
        self._is_written = True
        if self.upstream.access_log is not None:
            self.label = connection.endpoint.label
        self.send(connection, self)

    def on_connect_failed(self, cause: Cause) -> None:
        self.fail_attempt(cause)

    def may_go_elsewhere(self) -> bool:
        is_repeatable = self.is_held() and self.repeats < retry.MOST_REPEATS
        return is_repeatable and self.upstream.has_untried((*self.tried, self.endpoint))

    # -- outcomes -------------------------------------------------------------------------------------------------

    def fail_attempt(self, cause: Cause) -> None:
        """End an attempt that failed before its response began: try again, or give up."""
        upstream, endpoint = self.upstream, self.endpoint
        assert endpoint is not None  # noqa: S101 - an attempt has an endpoint
        is_connected = self.connection is not None
        if self.notes is not None:
            self.notes.fail_attempt(endpoint, self.attempt_started, cause, is_connected=is_connected)
        is_closed = cause is local_replies.CONNECTION_CLOSED
        reason = CONNECT if not is_connected else TIMEOUT if cause is local_replies.RESPONSE_TIMEOUT else RESET
        is_race = self.is_on_used_connection and is_closed
        verdict = self._judge(reason, closed=is_closed, unprocessed=cause.unprocessed)
        hedge, self.hedge = self.hedge, None
        self.leave_attempt()
        now = monotonic()
        if is_race or cause.own_fault or cause.unprocessed:
            upstream.balancer.on_inconclusive(endpoint, now)
        else:
            upstream.balancer.on_failure(endpoint, self.attempt_started, now, cause.text, unreachable=not is_connected)
        if hedge is not None and hedge.take_over(endpoint, cause):
            return
        self.failures += ((endpoint.label, cause),)
        if verdict == retry.FORGIVEN:
            self._is_race_forgiven = True
            upstream.counters.count_race()
            self.begin_attempt()
            return
        self.tried += (endpoint,)
        if verdict == retry.UNPROCESSED:
            self.repeats += 1
            upstream.counters.count_unprocessed()
            self.begin_attempt()
            return
        if verdict == retry.GIVE_UP or not upstream.budget.spend():
            self.give_up(cause)
            return
        self._begin_after(0.0 if upstream.has_untried(self.tried) else self._pause())

    def accept(self, response: Response, now: float) -> bool:
        notes = self.notes
        if notes is None:
            return self._accept(response, now)
        failed = len(self.failures)
        notes.accept(self.endpoint, response)
        is_accepted = self._accept(response, now)
        if not is_accepted and len(self.failures) > failed:
            notes.refuse(self.failures[failed][1], now)
        return is_accepted

    def _accept(self, response: Response, now: float) -> bool:
        """Report the response's status to the balancer; return False if another attempt is made instead of it."""
        endpoint, status = self.endpoint, response.status
        if endpoint is None:
            return True
        if status < 429:
            if self.hedge is not None:
                self.hedge.settle(now)
            self.upstream.balancer.on_response(endpoint, status, self.attempt_started, now)
            return self.upstream.identity is None or not self.upstream.identity.renews(self, response)
        connection = self.connection
        try:
            retry_after = retry.retry_after(response.value(b"retry-after"), time.time())
            self.upstream.balancer.on_response(endpoint, status, self.attempt_started, now, retry_after)
            if self._repeats(endpoint, status, retry_after):
                return False
        except Exception as error:  # noqa: BLE001 - the app still gets its response
            self.upstream.defects.note(error)
            return self.connection is connection
        if self.hedge is not None:
            self.hedge.settle(now)
        return True

    def _repeats(self, endpoint: Endpoint, status: int, retry_after: float) -> bool:
        """Begin another attempt, elsewhere if possible, and return True; False: the response is to be passed on."""
        upstream = self.upstream
        hedge, cause = self.hedge, local_replies.unwanted_status(status)
        if hedge and status in upstream.settings.retry_on.statuses and hedge.take_over(endpoint, cause):
            return True
        if self._judge(status) != retry.RETRY:
            return False
        tried = (*self.tried, endpoint)
        wait = 0.0 if upstream.has_untried(tried) else max(self._pause(), retry_after)
        if wait > retry.MAX_WAIT or not upstream.budget.spend():
            return False
        self.leave_attempt()
        self.failures += ((endpoint.label, cause),)
        self.tried = tried
        self._begin_after(wait)
        return True

    def is_attempt_late(self, now: float) -> bool:
        """Return True if this attempt has had its time and another endpoint may be tried."""
        limit = self.upstream.settings.try_timeout
        return (
            limit is not None
            and now - self.attempt_started >= limit
            and self.endpoint is not None
            and self._judge(TIMEOUT) == retry.RETRY
            and self.upstream.budget.saved >= 1
            and self.upstream.has_untried((*self.tried, self.endpoint))
        )

    def expire_attempt(self, now: float, *, is_request_sent: bool) -> Cause:
        """End the attempt at the end of the exchange's time; `is_request_sent`: the endpoint is to blame for it."""
        endpoint = self.endpoint
        if endpoint is None:
            return local_replies.NO_ADDRESS_IN_TIME if self.upstream.awaits_dns else local_replies.RESPONSE_TIMEOUT
        cause = local_replies.RESPONSE_TIMEOUT
        balancer = self.upstream.balancer
        if self.connection is None:  # the pool reports whether it opens
            cause = local_replies.CONNECT_TIMEOUT
        elif is_request_sent:
            balancer.on_failure(endpoint, self.attempt_started, now, cause.text)
        else:
            balancer.on_inconclusive(endpoint, now)
        if self.notes is not None:
            self.notes.fail_attempt(endpoint, self.attempt_started, cause, is_connected=self.connection is not None)
        self.failures += ((endpoint.label, cause),)
        self.leave_attempt()
        return cause

    def abandon_attempt(self, *, has_response: bool) -> None:
        """End the attempt because the app has left."""
        if self.endpoint is not None and not has_response:
            self.upstream.balancer.on_abandoned(self.endpoint, self.attempt_started, monotonic())
        self.leave_attempt()

    # -- ends -----------------------------------------------------------------------------------------------------

    def release_attempt(self) -> None:
        """End the attempt, whose response is complete. The connection knows where it goes."""
        self.connection = None
        endpoint = self.endpoint
        if endpoint is not None:
            endpoint.end_attempt()
            self.endpoint = None

    def switch_attempt(self) -> UpstreamSide:
        """End the attempt with a 101 response, and return the connection.

        The endpoint counts the attempt as pending until the tunnel ends.
        """
        connection = self.connection
        assert connection is not None  # noqa: S101 - the response came on it
        self.connection = self.endpoint = None
        return connection

    def leave_attempt(self) -> None:
        """End the attempt, if there is one, and close its connection."""
        connection, endpoint = self.connection, self.endpoint
        self.connection = self.endpoint = None
        self.is_on_used_connection = False
        hedge, self.hedge = self.hedge, None
        if hedge is not None:
            hedge.cancel()
        self.on_attempt_end()
        if connection is not None:
            connection.drop()
        if endpoint is not None:
            endpoint.end_attempt()

    def leave_attempt_inconclusive(self) -> None:
        """End the attempt without a judgement of the endpoint. If it was the trial, the next attempt is the trial."""
        endpoint = self.endpoint
        self.leave_attempt()
        if endpoint is not None:
            self.upstream.balancer.on_inconclusive(endpoint, monotonic())

    # -- the policy -----------------------------------------------------------------------------------------------

    def _judge(self, reason: str | int, *, closed: bool = False, unprocessed: bool = False) -> str:
        """Return the verdict of the retry policy on an attempt that failed for this reason."""
        settings = self.upstream.settings
        return retry.verdict(
            retry.FailedAttempt(
                reason=reason,
                idempotent=self.request.idempotent,
                written=self._is_written,
                held=self.is_held(),
                reused=self.is_on_used_connection,
                closed=closed,
                race_forgiven=self._is_race_forgiven,
                retries=self.retries,
                unprocessed=unprocessed,
                repeats=self.repeats,
            ),
            0 if self.is_copy else settings.retries,
            settings.retry_on,
        )

    def _pause(self) -> float:
        return retry.pause(self.retries + 1, random.random())  # noqa: S311 - to spread

    def _begin_after(self, seconds: float) -> None:
        self.retries += 1
        self.upstream.counters.count_retry()
        if seconds:
            self.upstream.loop.call_later(seconds, self.begin_attempt)
        else:
            self.begin_attempt()
