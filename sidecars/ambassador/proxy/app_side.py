"""The app's side of an exchange: the operations of an exchange on the app, in any protocol.

    HTTP/1.1   the app's connection itself, since it serves one exchange at a time (`client_connection`)
    HTTP/2     one object for each stream

Bodies are plain pieces here. Whoever implements this class writes heads, chunks, frames and trailers in its protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.messages import Request, Response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.proxy.tunnel import Handover
from sidecars.ambassador.upstream.access_log import Failures


class AppSide(ABC):
    """The app, as far as one exchange uses it.

    A response is written by one of three ways, and then left by `finish`:

        respond, pass_on …, end   a response whose body streams through
        respond_whole             a response that came in one piece
        reply                     a response of the ambassador's own

    `complete` is True if all of the request has come.
    """

    __slots__ = ("is_full",)

    def __init__(self) -> None:
        self.is_full = False  # True if the app takes no more of this response at present

    # -- the request ----------------------------------------------------------------------------------------------

    @abstractmethod
    def peer_host(self) -> str:
        """Return the host of the app; "" if it has none, as with a unix socket."""

    def turn_key(self) -> object:
        """Return the connection of the app: those that wait for the upstream take turns by it."""
        return self

    @abstractmethod
    def serves(self, exchange: object) -> bool:
        """Return True if this is the exchange under way."""

    @abstractmethod
    def has_left(self) -> bool:
        """Return True, and end the exchange, if the app has closed its connection after EOF.

        Call it before a response is written.
        """

    @abstractmethod
    def read_on(self) -> None:
        """Read the request's body if the exchange takes more of it (`Exchange.takes_no_more`), else pause."""

    @abstractmethod
    def reject(self, status: int, reason: str) -> None:
        """End the exchange because of its request: respond with an error, or break off a response that has begun."""

    # -- the response ---------------------------------------------------------------------------------------------

    @abstractmethod
    def tell_to_continue(self) -> None:
        """Write a 100 response of our own."""

    @abstractmethod
    def interim(self, request: Request, response: Response) -> None:
        """Write a 1xx response, unless the client's version does not know any."""

    @abstractmethod
    def respond_whole(
        self, request: Request, response: Response, body: bytes, trailers: Sequence[Field], *, complete: bool
    ) -> None:
        """Write a response that came in one piece."""

    @abstractmethod
    def respond(self, request: Request, response: Response, *, complete: bool) -> None:
        """Write the head of a response whose body follows through `pass_on` and `end`."""

    @abstractmethod
    def pass_on(self, pieces: Sequence[bytes]) -> None:
        """Write pieces of the body."""

    @abstractmethod
    def end(self, request: Request, trailers: Sequence[Field], *, complete: bool) -> None:
        """Write the end of the body."""

    @abstractmethod
    def reply(self, request: Request, cause: Cause, failures: Failures, *, complete: bool) -> None:
        """Write a response of our own, and count its cause. `failures`: the attempts that failed, in their order."""

    @abstractmethod
    def finish(self, now: float) -> None:
        """Leave the exchange, whose response is written. HTTP/1.1: begin the next request, or close."""

    @abstractmethod
    def cut(self, cause: Cause) -> None:
        """End a response that has begun so that the app cannot take its part for a whole one, and leave."""

    @abstractmethod
    def reset(self) -> None:
        """End the response at once, however far it is, and leave the exchange: something unexpected has happened."""

    @abstractmethod
    def hand_over(self) -> Handover:
        """Give up the connection, which becomes the app's end of a tunnel. Only a request with Upgrade leads here."""
