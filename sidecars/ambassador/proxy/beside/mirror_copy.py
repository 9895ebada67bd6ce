"""One copy of a request on its way to the mirror: the app's side of an exchange that nobody waits for.

States:

    from         event                                                      to
    collecting   the body is complete                                       sending, in the next turn of the loop
    collecting   the body is too large, memory is short, the app leaves     over: nothing was sent
    sending      its exchange ends in any way; TIMEOUT; this process ends   over
    sending      more than 1 MiB of the response's body has come            over: it would take the time of others

The exchange is one of the mirror's upstream: its endpoints, time-outs, credentials and counters are used, and nothing
of the app's upstream is touched. It is not retried. Its response is read and dropped, so that its connection can serve
the next copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http.head_rules import CHUNKED
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy.app_side import AppSide
from sidecars.ambassador.proxy.beside.copied_request import CopiedRequest, CopyRules
from sidecars.ambassador.proxy.exchange import GONE, Exchange
from sidecars.ambassador.proxy.grpc.call import new_exchange
from sidecars.ambassador.proxy.request_body import RequestBody
from sidecars.ambassador.proxy.tunnel import Handover
from sidecars.ambassador.upstream.access_log import Failures
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import BodyCopy

SENT: Final = "sent"
BODY: Final = "body"  # its body is larger than RETRY_BUFFER of the mirror's upstream
MEMORY: Final = "memory"  # memory is short
LIMIT: Final = "limit"  # MIRROR_LIMIT copies are under way
UPGRADE: Final = "upgrade"  # it asks for another protocol
UNFINISHED: Final = "unfinished"  # the exchange ended before all of its body had come
_MOST_DROPPED: Final = 1024 * 1024  # bytes of a response's body
OUTCOMES: Final = (SENT, BODY, MEMORY, LIMIT, UPGRADE, UNFINISHED)


class CopyOwner(ABC):
    """The mirror, as far as a copy uses it."""

    other: Upstream  # that of the mirror
    rules: CopyRules

    @abstractmethod
    def count(self, outcome: str) -> None:
        """Count a copy that was sent, or why it was not."""

    @abstractmethod
    def on_over(self, copy: MirrorCopy) -> None:
        """Forget a copy that is over."""


class CopyBody(BodyCopy):
    """The body of a copy while it comes, for the exchange that is copied."""

    def __init__(self, copy: MirrorCopy) -> None:
        self._copy = copy

    def add(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        self._copy.add(pieces, trailers, done=done)

    def leave(self) -> None:
        self._copy.drop(UNFINISHED)


class MirrorCopy(AppSide):
    """One copy. The mirror owns it."""

    __slots__ = ("_body", "_dropped", "_host", "_is_over", "_owner", "_request", "_waits", "exchange")

    def __init__(self, owner: CopyOwner, request: Request, peer_host: str) -> None:
        """`peer_host` is that of the app, for a mirror that balances by it."""
        super().__init__()
        self.exchange: Exchange | None = None  # that of the mirror's upstream
        self._owner = owner
        self._request = request
        self._host = peer_host
        self._dropped = 0  # bytes of the response's body
        self._is_over = False
        self._waits = False  # True if it is whole, and is sent in the next turn
        self._body: RequestBody | None = None
        if request.length:
            self._body = RequestBody(owner.other.settings.retry_buffer, owner.other.memory)

    # -- collecting -----------------------------------------------------------------------------------------------

    def add(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        """Take a part of the body. An exception in it ends the copy alone."""
        body = self._body
        if self._is_over or self._waits or body is None:
            return
        try:
            body.add(pieces, trailers, done=done)
            if body.is_too_large:
                self.drop(BODY if body.size > self._owner.other.settings.retry_buffer else MEMORY)
            elif done:
                self.send_soon()
        except Exception as error:  # noqa: BLE001 - the app's exchange goes on
            self._owner.other.defects.note(error)
            self.drop(UNFINISHED)

    def send_soon(self) -> None:
        """Send it in the next turn of the loop: the original goes first."""
        self._waits = True
        self._owner.other.loop.call_soon(self._send)

    def drop(self, reason: str) -> None:
        """End it before it was sent, unless it is whole."""
        if not self._is_over and not self._waits:
            self._owner.count(reason)
            self._leave()

    def _send(self) -> None:
        if self._is_over:
            return
        owner, other, body = self._owner, self._owner.other, self._body
        try:
            request = CopiedRequest(self._request, owner.rules)
            if body is not None and request.length != CHUNKED:  # what was signed in chunks was announced with them
                request.announce(body.size)
            exchange = self.exchange = new_exchange(self, other, request)
            exchange.is_copy = True
            if body is not None:
                held, trailers = body.held or [], body.trailers
                self._body = None
                body.drop()
                exchange.feed(held, trailers, done=True)
            owner.count(SENT)
            if other.admission.admit(exchange):
                exchange.start(exchange.started)
        except Exception as error:  # noqa: BLE001 - it ends no more than this copy
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        exchange = self.exchange
        if exchange is not None and not exchange.over:
            exchange.fail(error)
        else:
            self._owner.other.defects.note(error)
        self._leave()

    # -- life -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Apply the time-outs of the exchange. TIMEOUT ends the response, too, however it streams."""
        exchange = self.exchange
        if exchange is None:
            return
        exchange.tick(now)
        if not exchange.over and now - exchange.started >= self._owner.other.settings.timeout:
            self.abandon()

    def abandon(self) -> None:
        """End it at once."""
        exchange = self.exchange
        if exchange is not None:
            exchange.abandon(GONE)
        self._leave()

    def _leave(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        body, self._body = self._body, None
        if body is not None:
            body.drop()
        self._owner.on_over(self)

    # -- for the exchange: nobody is there ------------------------------------------------------------------------

    def peer_host(self) -> str:
        return self._host

    def turn_key(self) -> object:
        return self._owner  # all copies together are one client of the mirror's upstream

    def serves(self, exchange: object) -> bool:
        return self.exchange is exchange and not self._is_over

    def has_left(self) -> bool:
        return False

    def read_on(self) -> None:
        """Do nothing: the whole request is there."""

    def reject(self, status: int, reason: str) -> None:  # noqa: ARG002 - nobody is told
        exchange = self.exchange
        if exchange is not None:
            exchange.abandon(status)
        self._leave()

    def tell_to_continue(self) -> None:
        """Drop it."""

    def interim(self, request: Request, response: Response) -> None:
        """Drop it."""

    def respond_whole(
        self, request: Request, response: Response, body: bytes, trailers: Sequence[Field], *, complete: bool
    ) -> None:
        """Drop it."""

    def respond(self, request: Request, response: Response, *, complete: bool) -> None:
        """Drop it."""

    def pass_on(self, pieces: Sequence[bytes]) -> None:
        """Drop it. End the copy if it is too much."""
        before, self._dropped = self._dropped, self._dropped + sum(map(len, pieces))
        if before <= _MOST_DROPPED < self._dropped:
            self._owner.other.loop.call_soon(self.abandon)  # not in the middle of what the connection reads

    def end(self, request: Request, trailers: Sequence[Field], *, complete: bool) -> None:
        """Drop it."""

    def reply(self, request: Request, cause: Cause, failures: Failures, *, complete: bool) -> None:  # noqa: ARG002 - the copy has no client
        self._owner.other.counters.count_error(cause.error_type)

    def finish(self, now: float) -> None:  # noqa: ARG002 - there is no next request
        self._leave()

    def cut(self, cause: Cause) -> None:  # noqa: ARG002 - nobody is told
        self._leave()

    def reset(self) -> None:
        self._leave()

    def hand_over(self) -> Handover:
        raise NotImplementedError("a copy asks for no other protocol")
