"""One request and its response: tries, retries, and the two bodies that stream through.

Theory of operation. An exchange is begun by its client with a request, and it ends in exactly one of four ways:
`_finish` (a response was delivered), `give_up` (we answered ourselves), `cut` (the response broke off after it had
begun, so the client's connection breaks off, too) or `abandon` (the client is gone). In between there is at most one
*try* at a time (`sidecars.ambassador.proxy.attempts`); it fails through `lost`.

What the request's body has brought so far is `held`, encoded as it goes out, until it is larger than what may be held,
or has been written for a method that cannot be repeated. Only while all of it is held can the request be tried again.

Neither side is read faster than the other one takes: what a peer's transport does not want yet stops the reading here.
Time is told from outside (`sidecars.ambassador.proxy.timeouts`); nothing on the way of a request arms a timer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.bodies import LAST_CHUNK, encode_chunk, encode_last_chunk
from sidecars.ambassador.http.head_rules import CHUNKED, UNTIL_CLOSE
from sidecars.ambassador.http.request_head import Request
from sidecars.ambassador.http.response_head import Response
from sidecars.ambassador.proxy import attempts
from sidecars.ambassador.proxy.tunnel import splice

if TYPE_CHECKING:
    from sidecars.ambassador.balancing.endpoint import Endpoint
    from sidecars.ambassador.http.local_replies import Cause
    from sidecars.ambassador.proxy.client_connection import ClientConnection
    from sidecars.ambassador.upstream.upstream import Upstream
    from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection

_JOINED: Final = 64 * 1024  # bytes of a body that are copied behind its head, to be one write; more does not wait
GONE: Final = 499  # as nginx calls it: the client closed before it had its answer

monotonic: Final = time.monotonic


class Exchange:
    """A request on its way to an endpoint, and the response on its way back."""

    # What most exchanges never come to stands on the class, and costs them nothing.
    connection: UpstreamConnection | None = None
    endpoint: Endpoint | None = None
    response: Response | None = None  # the final one, once its head has been passed on
    held: list[bytes] | None = None  # of the request's body
    held_size = 0
    tried: tuple[Endpoint, ...] = ()
    causes: tuple[tuple[str, Cause], ...] = ()
    complete = True  # whether all of the request has come
    retries = 0
    fresh = False  # whether the race on an idle connection has been forgiven: no idle one again
    reused = False  # whether this try's connection had served before
    written = False  # whether anything of the request was given to a connection
    blocked = False  # whether the upstream does not take more of the request at present
    agreed: tuple[Response, bytes] | None = None  # a 101 that has come before the end of the request, and what followed
    chunking = False  # whether the response's body goes out in chunks
    continued = False  # whether the client has been told to continue
    acknowledged = -1  # bytes on this try's connection, as of the last look; -1: none yet
    moved = False  # True if there was progress since the last look (`sidecars.ambassador.proxy.timeouts`)
    begun = False  # whether it has had its turn
    over = False
    # Only for the access log, where there is one:
    label = ""  # the endpoint that has this try
    answered_at = 0.0  # when the head of its answer came

    def __init__(self, client: ClientConnection, upstream: Upstream, request: Request) -> None:
        self.client = client
        self.upstream = upstream
        self.request = request
        self.started = self.tried_at = self.since = monotonic()
        if request.length:
            self.complete = False
            self.held = []

    def start(self, now: float) -> None:
        """Begin the first try. What went before is no business of the endpoint's."""
        self.begun = True
        self.tried_at = self.since = now
        self.upstream.admission.under_way += 1
        self.upstream.budget.earn()
        self.attempt()

    def attempt(self) -> None:
        """Begin a try. Nothing that goes wrong in it goes wrong elsewhere."""
        try:
            attempts.attempt(self)
        except Exception as error:  # noqa: BLE001 - as said
            self.defect(error)

    def attach(self, connection: UpstreamConnection) -> None:
        """Send the request, as far as it has come, on this connection."""
        self.connection = connection
        connection.exchange = self
        self.reused = connection.served
        self.written = True
        upstream = self.upstream
        if upstream.access is not None:
            self.label = connection.endpoint.label
        host = self.request.host if upstream.preserves_host else None
        head = self.request.head(host or connection.endpoint.host, upstream.credentials)
        if not self.held:
            connection.transport.write(head)
            self.upstream.counters.sent += len(head)
            return
        self.upstream.counters.sent += len(head) + self.held_size
        if self.held_size <= _JOINED:
            connection.transport.write(b"".join((head, *self.held)))
        else:
            connection.transport.writelines((head, *self.held))
        if self.held_size > self.upstream.settings.retry_buffer or not self.request.idempotent:
            self.held = None
        self.client.read_on()

    def lost(self, cause: Cause) -> None:
        """The try has failed: its connection did not open, or is of no more use."""
        if self.response is not None:
            self.cut()
        else:
            attempts.failed(self, cause)

    # -- the request's body ---------------------------------------------------------------------------------------

    def feed(self, pieces: Sequence[bytes], *, done: bool, trailers: Sequence[bytes] = ()) -> None:
        """More of the request's body, and whether that was all."""
        out = list(pieces)
        if self.request.length == CHUNKED:
            out = encode_chunk(pieces)
            if done:
                out.append(encode_last_chunk(trailers))
        self.complete = done
        if done or out:
            self.moved = True
        size = sum(map(len, out))
        if self.held is not None:
            self.held += out
            self.held_size += size
        if self.connection is not None and out:
            self.upstream.counters.sent += size
            self.connection.transport.writelines(out)
            if self.held_size > self.upstream.settings.retry_buffer:
                self.held = None
        if done and self.agreed is not None:
            self.switch(*self.agreed)

    @property
    def wants_no_more(self) -> bool:
        """Whether the client should not be read: the upstream is behind, or there is no connection yet."""
        return self.blocked or (self.connection is None and self.held_size > self.upstream.settings.retry_buffer)

    # -- the response ---------------------------------------------------------------------------------------------

    def interim(self, response: Response) -> None:
        """Pass a 1xx on (RFC 9110 section 15.2), unless the client cannot know it or we have said it already."""
        self.moved = True
        if response.status == 100:
            if self.continued:
                return
            self.continued = True
        if self.request.minor:
            self.client.write(response.interim_head())

    def respond_whole(self, response: Response, body: bytes, now: float) -> None:
        """A response that has come in one piece, as most do."""
        client, request = self.client, self.request
        if client.ended and client.has_left():
            return
        close = client.closes_after(request, complete=self.complete)
        head = response.head(request.minor, close=close)
        if len(body) <= _JOINED:
            client.write(head + body)
        else:
            client.writelines((head, body))
        self._finish(response.status, now, close=close)

    def respond(self, response: Response) -> None:
        """The head of a response whose body follows through `pass_on` and `end`."""
        if self.client.ended and self.client.has_left():
            return
        self.moved = True
        self.response = response
        if self.upstream.access is not None:
            self.answered_at = monotonic()
        minor = self.request.minor
        self.chunking = bool(minor) and response.length in (CHUNKED, UNTIL_CLOSE)
        self.client.write(response.head(minor, close=self._closes()))

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        self.moved = True
        if self.chunking:
            pieces = encode_chunk(pieces)
        if len(pieces) == 1:
            self.client.write(pieces[0])
        elif pieces:
            self.client.writelines(pieces)

    def end(self, trailers: Sequence[bytes], now: float) -> None:
        """The response's body is complete."""
        if self.chunking:
            self.client.write(encode_last_chunk(trailers) if trailers else LAST_CHUNK)
        response = self.response
        assert response is not None  # noqa: S101 - its head came first
        self._finish(response.status, now, close=self._closes() or self.client.must_close)

    def _closes(self) -> bool:
        """Whether the client's connection ends with this response. Decided when its head goes out."""
        response = self.response
        unframed = response is not None and not self.request.minor and response.length in (CHUNKED, UNTIL_CLOSE)
        close = unframed or self.client.closes_after(self.request, complete=self.complete)
        if close:
            self.client.must_close = True
        return close

    def switch(self, response: Response, surplus: bytes) -> None:
        """Take a 101: from now on the two connections are one, and what it carries is none of our business.

        The protocol changes behind the whole request (RFC 9110 section 7.8), so one that comes earlier is kept until
        then, and no more is read from the upstream.
        """
        connection = self.connection
        assert connection is not None  # noqa: S101 - the response came on it
        if not self.complete:
            self.agreed = (response, surplus)
            connection.transport.pause_reading()
            return
        self.over = True
        self._count(101, monotonic())
        connection.exchange = self.connection = self.endpoint = None
        splice(self.client, connection, response.interim_head() + surplus, blocked=self.blocked)

    # -- ends -----------------------------------------------------------------------------------------------------

    def _finish(self, status: int, now: float, *, close: bool) -> None:
        self.over = True
        self._count(status, now)
        self.client.finished(now, close=close)

    def give_up(self, cause: Cause) -> None:
        """Answer ourselves, with what was tried and how it failed."""
        if self.client.ended and self.client.has_left():
            return
        self.over = True
        close = self.client.closes_after(self.request, complete=self.complete) or not self.request.minor
        answer = local_replies.failure_reply(
            cause,
            self.upstream.settings.name,
            self.causes,
            head_only=self.request.is_head,
            close=close,
        )
        self.client.write(answer)
        self.upstream.counters.fail(cause.error_type)
        self.label = ""
        self._count(cause.status, monotonic())
        self.client.loop.call_soon(self._after_own_answer, close)

    def _after_own_answer(self, close: bool) -> None:  # noqa: FBT001 - a callback
        if self.client.exchange is self:
            self.client.finished(monotonic(), close=close)

    def defect(self, error: Exception) -> None:
        """End this exchange after an exception that nobody expected, and nothing else: answer 500, or break it off."""
        self.upstream.defects.note(error)
        try:
            if self.over:
                if self.client.exchange is self:
                    self.client.cut(broken=True)
            elif self.response is not None:
                self.cut()
            else:
                self._leave_undecided()
                self.give_up(local_replies.DEFECT)
        except Exception as another:  # noqa: BLE001 - not even that: what is left is to let go of everything
            self.upstream.defects.note(another)
            self._drop()

    def _drop(self) -> None:
        """Let go of both connections, with as few steps as possible."""
        self.over = True
        self.leave()
        if self.begun:
            self._count(local_replies.DEFECT.status, monotonic(), whole=False)
        if self.client.exchange is self:
            self.client.cut(broken=True)

    def cut(self) -> None:
        """The response broke off: so must the client's connection, in a way that no client takes for an end."""
        response = self.response
        assert response is not None  # noqa: S101 - it has begun
        self.over = True
        self.leave()
        self.upstream.counters.fail("http_response_incomplete")
        self._count(response.status, monotonic(), whole=False)
        framed = self.chunking or response.content_length >= 0
        self.client.cut(broken=not framed)

    def abandon(self, status: int) -> None:
        """The client is gone (GONE), or was refused in the middle of its request: the upstream need not go on."""
        if not self.over:
            self.over = True
            if status != GONE:
                self._leave_undecided()
            elif self.endpoint is not None and self.response is None:
                self.upstream.balancer.on_abandoned(self.endpoint, self.tried_at, monotonic())
            self.leave()
            self._count(status, monotonic(), whole=False)

    def leave(self) -> None:
        """Give up the connection of this try, if there is one, and with it the try."""
        connection, endpoint = self.connection, self.endpoint
        self.connection = self.endpoint = None
        self.acknowledged = -1
        self.agreed = None
        self.reused = False
        if self.blocked:
            self.blocked = False
            self.client.read_on()
        if connection is not None:
            connection.exchange = None
            connection.discard()
        if endpoint is not None:
            self.upstream.leave(endpoint)

    def _leave_undecided(self) -> None:
        """Give up this try, whose end says nothing of the endpoint: if it was the endpoint's trial, the next one is."""
        endpoint = self.endpoint
        self.leave()
        if endpoint is not None:
            self.upstream.balancer.on_inconclusive(endpoint, monotonic())

    def _count(self, status: int, now: float, *, whole: bool = True) -> None:
        upstream = self.upstream
        if self.begun:
            self.begun = False
            upstream.admission.under_way -= 1
        upstream.counters.observe(status, now - self.started)
        if upstream.access is not None:
            try:
                upstream.access.request(self, status, now, whole=whole)
            except Exception as error:  # noqa: BLE001 - a log line is no reason to hold back an answer
                upstream.defects.note(error)
