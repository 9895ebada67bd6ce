"""The interfaces between an exchange and the carrier of its attempt to an endpoint, in any protocol.

    exchange ── UpstreamSide: request, body, pause, drop ──▶ HTTP/1.1: the connection itself (`upstream_connection`)
    exchange ◀── ResponseReceiver: head, pieces, end, loss ──  HTTP/2: one object for each stream

Bodies are plain pieces here. Whoever implements `UpstreamSide` writes heads, chunks, frames and trailers in its
protocol. mypyc calls the methods of these abstract classes directly.

An exchange is of one kind, a class, and has *parts*, which are None unless a setting asks for them. Here are the
abstract classes of the parts: `Hedge`, `BodyCopy`, `Notes`, and of the upstream's objects that make them or act for
them: `Companion` (`proxy/beside`), `Observer` (`proxy/observed`), `Identity` (`proxy/identity`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.transport.streams import Transport


class ResponseReceiver(ABC):
    """The exchange that waits for a response, as far as its upstream side uses it."""

    request: Request

    @abstractmethod
    def accept(self, response: Response, now: float) -> bool:
        """Report a final response's status to the balancer; return False if another attempt is made instead of it."""

    @abstractmethod
    def respond_whole(self, response: Response, body: bytes, trailers: Sequence[Field], now: float) -> None:
        """Pass on a response that came in one piece. Its upstream side is released already."""

    @abstractmethod
    def respond(self, response: Response) -> None:
        """Pass on the head of a response whose body follows through `pass_on` and `end`."""

    @abstractmethod
    def pass_on(self, pieces: Sequence[bytes]) -> None:
        """Pass on pieces of the response's body."""

    @abstractmethod
    def end(self, trailers: Sequence[Field], now: float) -> None:
        """End the response. Its upstream side is released already."""

    @abstractmethod
    def interim(self, response: Response) -> None:
        """Pass on a 1xx response."""

    @abstractmethod
    def switch(self, response: Response, surplus: bytes) -> None:
        """Take a 101 response, and the bytes behind it: the connection becomes one end of a tunnel."""

    @abstractmethod
    def release(self) -> bool:
        """Let go of the upstream side, whose response is complete.

        Return True if the request leaves nothing on it: all of it was sent, and the upstream owes nothing to it.
        """

    @abstractmethod
    def lose(self, cause: Cause) -> None:
        """Let go of the upstream side, which failed. `cause.unprocessed` is True if another attempt is always safe."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End the exchange after an unexpected exception."""

    @abstractmethod
    def block(self) -> None:
        """Send no more of the request for the time being: the endpoint does not take it."""

    @abstractmethod
    def unblock(self) -> None:
        """Send on: the endpoint takes more of the request."""


class UpstreamSide(ABC):
    """The carrier of one attempt to its endpoint: a connection of HTTP/1.1, or a stream of HTTP/2.

    The exchange that it serves owns it from `begin` until the exchange calls `drop` or `hand_over`, or until it has
    called the exchange's `release` or `lose`. It calls `block` when the endpoint takes no more, and `unblock`.
    """

    __slots__ = ("endpoint", "has_served", "tells_unprocessed")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # True if the peer can tell that it has not processed a request: then the body is kept whatever the method is.
        self.tells_unprocessed = False
        # True if its connection had served an exchange before. Only where a connection that closes may not have seen
        # the request (HTTP/1.1): a stream of HTTP/2 is told so, and has False.
        self.has_served = False

    @abstractmethod
    def begin(  # noqa: PLR0913 - what one write carries
        self,
        exchange: ResponseReceiver,
        authority: bytes,
        credentials: bytes,
        pieces: Sequence[bytes],
        size: int,
        trailers: Sequence[Field],
        *,
        done: bool,
    ) -> None:
        """Serve this exchange from now on: send its request's head, and its body as far as it has come.

        - `authority`: the value of Host, or `:authority`.
        - `credentials`: a field line (`Name: value`) behind a CR LF, b"" for none.
        - `pieces`, `size`: the body so far, and its bytes.
        - `trailers`: if `done`.
        - `done`: True if that is all of the request.
        """

    @abstractmethod
    def send(self, pieces: Sequence[bytes], size: int, trailers: Sequence[Field], *, done: bool) -> None:
        """Send more of the body: pieces with this size together; `done` is True if that is its end."""

    @abstractmethod
    def taken(self) -> int:
        """Return a number that grows while the endpoint takes bytes of this request's body: that is progress."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Pass on no more of the response for the time being: the app does not take it."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Pass on more of the response."""

    @abstractmethod
    def read_small(self) -> None:
        """Read few bytes at a time until memory is not short any more."""

    @abstractmethod
    def drop(self) -> None:
        """End it in the middle of the exchange, which lets go of it: nothing of the response matters any more."""

    @abstractmethod
    def hand_over(self) -> Transport:
        """Return the transport, which is a tunnel's from now on. Called after `switch` alone."""


class ConnectionWaiter(ResponseReceiver):
    """An exchange that waits for an upstream side. It gets one, or the cause why there is none."""

    over: bool  # True if it has ended, maybe while it waited
    holds = False  # True while the body is awaited, because it is to be signed
    is_renewed = False  # True if an attempt was repeated with new credentials

    @abstractmethod
    def on_connected(self, connection: UpstreamSide) -> None: ...

    @abstractmethod
    def on_connect_failed(self, cause: Cause) -> None: ...

    def may_go_elsewhere(self) -> bool:
        """Return True if another endpoint is tried when `on_connect_failed` says that this one has no room."""
        return False


class Hedge(ConnectionWaiter):
    """A second attempt of an exchange, or the wait for the time when it may begin. Its exchange has at most one."""

    @abstractmethod
    def settle(self, now: float) -> None:
        """End it: the first attempt has its response."""

    @abstractmethod
    def cancel(self) -> None:
        """End it: the exchange is over without a response."""

    @abstractmethod
    def take_over(self, endpoint: Endpoint, cause: Cause) -> bool:
        """Become the exchange's attempt instead of the one at this endpoint, which has failed, and return True.

        Return False if it has not begun: then it never will.
        """


class BodyCopy(ABC):
    """A copy of a request whose body still comes."""

    @abstractmethod
    def add(self, pieces: Sequence[bytes], trailers: Sequence[Field], *, done: bool) -> None:
        """Add pieces of the body. `done` is True if that was all."""

    @abstractmethod
    def leave(self) -> None:
        """End it, unless the body is complete: the exchange is over."""


class Notes(ABC):
    """The notes about one exchange, which owns them. The exchange calls them at its events; they change nothing."""

    __slots__ = ()

    @abstractmethod
    def begin_attempt(self, connection: UpstreamSide, started: float) -> bytes:
        """Note an attempt that has a connection. Return the field lines that it gets, each behind a CR LF."""

    @abstractmethod
    def fail_attempt(self, endpoint: Endpoint, started: float, cause: Cause, *, is_connected: bool) -> None:
        """Note that an attempt has failed before its response. One that got no connection was not noted before."""

    @abstractmethod
    def accept(self, endpoint: Endpoint | None, response: Response) -> None:
        """Note the final response of the attempt at this endpoint. If it is not passed on, `refuse` follows."""

    @abstractmethod
    def refuse(self, cause: Cause, now: float) -> None:
        """Note that the last response was dropped for another attempt."""

    @abstractmethod
    def add_response(self, size: int) -> None:
        """Count so many bytes of the response's body."""

    @abstractmethod
    def end(self, exchange: ConnectionWaiter, status: int, now: float, cause: Cause | None, *, whole: bool) -> None:
        """Note the end. `cause`: of a local reply, or of a response that broke off."""


class Observer(ABC):
    """Makes the notes about the exchanges of one upstream, which owns it."""

    @abstractmethod
    def begin(self, request: Request) -> Notes:
        """Return the notes about an exchange that begins."""


class Companion(ABC):
    """Work beside the exchanges of one upstream: hedges and copies. It never delays them, and ends none."""

    @abstractmethod
    def on_start(self, exchange: ConnectionWaiter, now: float) -> None:
        """Note an exchange whose first attempt begins next."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Apply time-outs. Called five times a second."""

    @abstractmethod
    def close(self) -> None:
        """End all that is under way."""

    @abstractmethod
    def counts(self) -> dict[str, dict[str, int]]:
        """Return the counts: for "hedges" and "copies" the numbers by their outcome."""

    @abstractmethod
    def status(self) -> dict[str, object]:
        """Return the part of `/status`."""


class Identity(ABC):
    """The identity of this process for endpoints with AUTH. The upstream owns it; see `proxy.identity`."""

    __slots__ = ("line",)

    def __init__(self) -> None:
        self.line = b""  # field lines of the request that `carry` was called for, each behind a CR LF

    @abstractmethod
    def admits(self, exchange: ConnectionWaiter) -> bool:
        """Return True if an attempt may begin. If not, the exchange begins another one later, or has ended.

        With `holds` it begins another one whenever more of its body has come.
        """

    @abstractmethod
    def carry(self, exchange: ConnectionWaiter, connection: UpstreamSide, authority: bytes) -> UpstreamSide:
        """Make `line` for the exchange's request. Return the upstream side to send it on: this one, or one around it.

        `authority`: the value of Host that is sent.
        """

    @abstractmethod
    def renews(self, exchange: ConnectionWaiter, response: Response) -> bool:
        """Note a final response whose status is below 429. Return True if another attempt is made instead of it."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Renew credentials in time. Called five times a second."""

    @abstractmethod
    def close(self) -> None:
        """Stop what is under way."""
