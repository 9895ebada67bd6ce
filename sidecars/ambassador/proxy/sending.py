"""The request of an exchange: each attempt sends it as far as it has come, and its body streams behind it.

The body is held for another attempt (`request_body`). It counts for the memory until the exchange is over.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy import timeouts
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.attempts import AttemptingExchange
from sidecars.ambassador.proxy.request_body import RequestBody
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import BodyCopy, ResponseReceiver, UpstreamSide

monotonic: Final = time.monotonic


class SendingExchange(AttemptingExchange):
    """The part of an exchange that sends its request."""

    # Defaults that most exchanges keep stand on the class: they cost nothing.
    body: RequestBody | None = None  # None if the request has none
    copy: BodyCopy | None = None  # for a mirror, if there is a body
    _held = 0  # bytes of a large head, and behind a 101, as they count for the memory
    _is_blocked = False  # True if the upstream does not take more of the request at present

    def __init__(self, client: AppSide, upstream: Upstream, request: Request, now: float) -> None:
        super().__init__(client, upstream, request, now)
        self.started = now
        self.progress: timeouts.Progress = timeouts.Progress(now)
        if request.length:
            self.body = RequestBody(upstream.settings.retry_buffer, upstream.memory)

    @abstractmethod
    def on_request_end(self) -> None:
        """Note that all of the request has come, after its head."""

    @property
    def is_complete(self) -> bool:
        """True if all of the request has come."""
        return self.body is None or self.body.is_complete

    def is_held(self) -> bool:
        return self.body is None or self.body.held is not None

    def send(self, connection: UpstreamSide, receiver: ResponseReceiver) -> None:
        upstream = self.upstream
        authority = (self.request.host if upstream.preserves_host else None) or connection.endpoint.host
        credentials = upstream.lines_of(self.request, self.deadline, self.started)
        if self.notes is not None:
            started = self.attempt_started if receiver is self else monotonic()  # or it is a hedge, which begins now
            credentials += self.notes.begin_attempt(connection, started)
        if upstream.identity is not None:
            connection = upstream.identity.carry(self, connection, authority)
            credentials += upstream.identity.line
        body = self.body
        if body is None:
            connection.begin(receiver, authority, credentials, (), 0, (), done=True)
            return
        held: Sequence[bytes] = body.held or ()
        connection.begin(receiver, authority, credentials, held, body.size, body.trailers, done=body.is_complete)
        if held:
            body.note_written(repeatable=self.request.idempotent or connection.tells_unprocessed)
            self.client.read_on()

    def feed(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        """Take more of the request's body; `done` is True if that was all."""
        body = self.body
        assert body is not None  # noqa: S101 - a request that is fed has a body
        body.add(pieces, trailers, done=done)
        if self.copy is not None:
            self.copy.add(pieces, trailers, done=done)
        if done or pieces:
            self.progress.note()
            connection = self.connection
            if connection is not None:
                connection.send(pieces, body.added, trailers, done=done)
                body.note_written(repeatable=True)
            elif self.holds:
                self.begin_after_wait()
        if done:
            self.on_request_end()

    # -- flow control ---------------------------------------------------------------------------------------------

    @property
    def takes_no_more(self) -> bool:
        """True if the client should not be read: the upstream is behind, or there is no connection yet."""
        waits = self.body is not None and self.body.is_too_large and self.connection is None
        return self._is_blocked or waits

    def block(self) -> None:
        self._is_blocked = True
        self.client.read_on()

    def unblock(self) -> None:
        self._is_blocked = False
        self.progress.note()
        self.client.read_on()

    def on_attempt_end(self) -> None:
        self.progress.forget_connection()
        if self._is_blocked:
            self._is_blocked = False
            self.client.read_on()

    # -- memory ---------------------------------------------------------------------------------------------------

    def hold_head(self, size: int) -> None:
        """Count a large head for the memory, until the end."""
        self._held += self.upstream.memory.hold_head(size)

    def release_memory(self) -> None:
        """Hold nothing any more: the exchange is over."""
        held, self._held = self._held, 0
        if held:
            self.upstream.memory.change(-held)
        if self.body is not None:
            self.body.drop()
            if self.copy is not None:
                self.copy.leave()
