"""One request and its response: its attempts, and the two bodies that stream through.

The way of a request: `ClientConnection` parses its head and begins an exchange; admission starts it; an attempt gets an
`UpstreamSide` to an endpoint, on which it is sent. The response comes by `ResponseReceiver`, and leaves by `AppSide`.

Its states are those of `timeouts`. It ends in exactly one way, after which it is `over`:

    _finish    a response was delivered
    give_up    a local reply was delivered
    cut        the response broke off after it had begun, so the app's connection breaks off, too
    abandon    the app is gone, or its request was rejected in the middle
    _switch    a 101 response: the two connections are a tunnel
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy import timeouts
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.sending import SendingExchange
from sidecars.ambassador.proxy.tunnel import splice
from sidecars.ambassador.upstream.upstream import Upstream

GONE: Final = 499  # nginx's status: the client closed before it had its response

monotonic: Final = time.monotonic


class Exchange(SendingExchange):
    """A request on its way to an endpoint, and its response on the way back. Its client's connection owns it."""

    # Defaults that most exchanges keep stand on the class: they cost nothing.
    status = 0  # of a response that streams through, once its head has been passed on; 0 before
    _response_state = ""  # of such a response
    response_at = 0.0  # the time when it was passed on, for the access log, if there is one
    _is_started = False  # True while admission counts it
    refusal: Cause | None = None  # the local reply to a request that no upstream gets (`routed`)
    _agreed: tuple[Response, bytes] | None = None  # a 101 before the end of the request, and the bytes behind it
    _is_continued = False  # True if the client has been told to continue

    def __init__(self, client: AppSide, upstream: Upstream, request: Request) -> None:
        now = monotonic()
        super().__init__(client, upstream, request, now)
        if upstream.deadline_field is not None:
            self.deadline = upstream.deadline_field.deadline(request, now)

    def start(self, now: float) -> None:
        """Begin the first attempt: admission has let it pass."""
        if self.refusal is not None:  # there is nothing to wait for
            self.give_up(self.refusal)
            return
        self._is_started = True
        self.attempt_started = now  # the time in the admission queue does not count for the endpoint
        self.progress.restart(now)
        self.upstream.admission.count_start()
        self.upstream.budget.earn()
        if self.upstream.companion is not None:
            self.upstream.companion.on_start(self, now)
        self.begin_attempt()

    # -- the response ---------------------------------------------------------------------------------------------

    def on_attempt_end(self) -> None:
        self._agreed = None
        super().on_attempt_end()

    def on_request_end(self) -> None:
        if self._agreed is not None:
            self._switch(*self._agreed)

    def release(self) -> bool:
        self.release_attempt()
        return self.is_complete and not self._is_blocked and not self.request.body_is_unusual

    def lose(self, cause: Cause) -> None:
        if self.status:
            self.cut(cause)
        else:
            self.fail_attempt(cause)

    def interim(self, response: Response) -> None:
        """Pass a 1xx on (RFC 9110 section 15.2), unless the client does not know 1xx, or has had a 100 already."""
        self.progress.note()
        if response.status == 100:
            if self._is_continued:
                return
            self._is_continued = True
        self.client.interim(self.request, response)

    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        client = self.client
        if client.has_left():
            return
        if self.notes is not None:
            self.notes.add_response(len(body))
        client.respond_whole(self.request, response, body, trailers, complete=self.is_complete)
        self._finish(response.status, now)

    def respond(self, response: Response) -> None:
        if self.client.has_left():
            return
        self.progress.note()
        if self.upstream.access_log is not None:
            self.response_at = monotonic()
        self.status = response.status
        self.upstream.admission.count_stream()
        self._response_state = timeouts.RECEIVING if response.content_length >= 0 else timeouts.STREAMING
        self.client.respond(self.request, response, complete=self.is_complete)

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        self.progress.note()
        if self.status:
            if self.notes is not None:
                self.notes.add_response(sum(map(len, pieces)))
            self.client.pass_on(pieces)

    def end(self, trailers: Sequence[Field], now: float) -> None:
        if self.status:
            self.client.end(self.request, trailers, complete=self.is_complete)
            self._finish(self.status, now)

    def pause_response(self) -> None:
        """Read no more of the response: the app does not take it."""
        connection = self.connection
        if connection is not None:
            connection.pause_reading()

    def resume_response(self) -> None:
        """Read on: the app takes more, which is progress."""
        self.progress.note()
        connection = self.connection
        if connection is not None and self._agreed is None:
            connection.resume_reading()

    def switch(self, response: Response, surplus: bytes) -> None:
        endpoint = self.endpoint
        if endpoint is not None:
            self.upstream.balancer.on_response(endpoint, 101, self.attempt_started, monotonic())
        self._switch(response, surplus)

    def _switch(self, response: Response, surplus: bytes) -> None:
        """Make the two connections a tunnel, behind the whole request (RFC 9110 section 7.8).

        A 101 that comes earlier is kept until then, and no more is read from the upstream.
        """
        if not self.is_complete:
            self._agreed = (response, surplus)
            self.hold_head(len(surplus))
            self.pause_response()
            return
        self.over = True
        self._count(101, monotonic())
        connection = self.switch_attempt()
        first = response.interim_head() + surplus
        app, there = self.client.hand_over(), connection.hand_over()
        splice(self.upstream, app, there, connection.endpoint, first, is_full=self._is_blocked)

    # -- time -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        if self.status:
            return self._response_state
        if self.connection is None:
            return timeouts.SENDING if self.holds else timeouts.CONNECTING
        if self._is_blocked:
            return timeouts.BLOCKED
        return timeouts.AWAITING if self.is_complete else timeouts.SENDING

    def tick(self, now: float) -> None:
        """End the exchange, or its attempt, if a peer has been silent for too long or its whole time is over."""
        if self.over:
            return
        if 0.0 < self.deadline <= now and not self.status:
            self.abandon_attempt(has_response=False)
            self.give_up(local_replies.DEADLINE)
            return
        settings = self.upstream.settings
        if settings.total_timeout is not None and now - self.started >= settings.total_timeout:
            self._expire(now)
            return
        connection = self.connection if self.request.length else None
        silent = self.progress.silent_for(now, -1 if connection is None else connection.taken())
        if not silent:
            return
        state = self.state
        if silent >= timeouts.limit_of(state, settings):
            self._time_out(state, now)
        elif state == timeouts.SENDING:
            if self.request.expects_continue and not self._is_continued and silent >= timeouts.CONTINUE_AFTER:
                self._is_continued = True
                self.client.tell_to_continue()
        elif state in (timeouts.BLOCKED, timeouts.AWAITING) and self.is_attempt_late(now):
            self.lose(local_replies.RESPONSE_TIMEOUT)

    def _time_out(self, state: str, now: float) -> None:
        if state == timeouts.SENDING:
            self.client.reject(408, "the rest of the request did not come in time")
        elif not self.status:
            self._expire(now)
        elif not self.client.is_full:  # the client's connection ends itself if the app does not take the response
            self.cut(local_replies.RESPONSE_TIMEOUT)

    def _expire(self, now: float) -> None:
        """End because the whole time is over; there is no further attempt."""
        if self.status:
            self.cut(local_replies.RESPONSE_TIMEOUT)
        else:
            self.give_up(self.expire_attempt(now, is_request_sent=self.is_complete or self._is_blocked))

    # -- ends -----------------------------------------------------------------------------------------------------

    def _finish(self, status: int, now: float) -> None:
        self.over = True
        self._count(status, now)
        self.client.finish(now)

    def give_up(self, cause: Cause) -> None:
        """End with a local reply, which lists the attempts and their causes."""
        if self.client.has_left():
            return
        self.over = True
        self.client.reply(self.request, cause, self.failures, complete=self.is_complete)
        self.label = ""
        self._count(cause.status, monotonic(), cause=cause)
        self.upstream.loop.call_soon(self._finish_local_reply)

    def _finish_local_reply(self) -> None:
        if self.client.serves(self):
            self.client.finish(monotonic())

    def cut(self, cause: Cause) -> None:
        """End because the response, which had begun, broke off: the app's response must break off, too."""
        self.over = True
        self.leave_attempt()
        self.upstream.counters.count_error("http_response_incomplete")
        self._count(self.status, monotonic(), whole=False, cause=cause)
        self.client.cut(cause)

    def abandon(self, status: int) -> None:
        """End because the client is gone (GONE), or its request was rejected in the middle (any other status)."""
        if self.over:
            return
        self.over = True
        if status == GONE:
            self.abandon_attempt(has_response=self.status != 0)
        else:
            self.leave_attempt_inconclusive()
        self._count(status, monotonic(), whole=False)

    def fail(self, error: Exception) -> None:
        """End this exchange alone, after an unexpected exception: respond with 500, or break off."""
        self.upstream.defects.note(error)
        try:
            if self.over:
                if self.client.serves(self):
                    self.client.reset()
            elif self.status:
                self.cut(local_replies.DEFECT)
            else:
                self.leave_attempt_inconclusive()
                self.give_up(local_replies.DEFECT)
        except Exception as another:  # noqa: BLE001 - not even that: let go of both connections in few steps
            self.upstream.defects.note(another)
            self.over = True
            self.release_memory()
            self.leave_attempt()
            if self._is_started:
                self._count(local_replies.DEFECT.status, monotonic(), whole=False, cause=local_replies.DEFECT)
            if self.client.serves(self):
                self.client.reset()

    def _count(self, status: int, now: float, *, whole: bool = True, cause: Cause | None = None) -> None:
        """Count and log the end. `cause`: of a local reply, or of a response that broke off."""
        upstream = self.upstream
        self.release_memory()
        if self._is_started:
            self._is_started = False
            upstream.admission.count_end(streams=self.status != 0)
        upstream.counters.count_response(status, now - self.started)
        try:
            if upstream.access_log is not None:
                upstream.access_log.request(self, status, now, whole=whole)
            if self.notes is not None:
                self.notes.end(self, status, now, cause, whole=whole)
        except Exception as error:  # noqa: BLE001 - notes and log lines are no reason to hold back a response
            upstream.defects.note(error)
