"""The writing half of an app's connection: it writes responses, and closes the connection in the ways that HTTP needs.

A connection that closes behind a response which the app may not have read yet *lingers*: it sends EOF, and drops for a
moment the bytes that still come, since closing with unread bytes would take the response back (RFC 9112 section 9.6).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.local_replies import Cause
from sidecars.ambassador.http.request_head import Request
from sidecars.ambassador.proxy.timeouts import Delivery
from sidecars.ambassador.proxy.tunnel import Handover
from sidecars.ambassador.transport.streams import Transport, discard_unread, reset
from sidecars.ambassador.upstream.access_log import Failures
from sidecars.ambassador.upstream.buffer_memory import Untaken
from sidecars.ambassador.upstream.upstream import Upstream

monotonic: Final = time.monotonic


class ResponseWriter(ABC):
    """The half of the app's connection that an exchange uses. The whole, `ClientConnection`, derives from it."""

    __slots__ = (
        "delivery",
        "ended",
        "is_full",
        "lingers",
        "since",
        "transport",
        "untaken",
        "upstream",
    )

    transport: Transport  # from `connection_made` on

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.since = 0.0  # when it began to wait for a request, or to linger
        self.lingers = False  # True if nothing that still comes matters
        self.ended = False  # True after EOF: the app sends no more
        self.is_full = False  # True if the app takes no more at present
        self.delivery: Delivery = Delivery()
        self.untaken: Untaken = Untaken(upstream.memory)

    # -- of the reading half --------------------------------------------------------------------------------------

    @abstractmethod
    def serves(self, exchange: object) -> bool:
        """Return True if this is the exchange under way."""

    @abstractmethod
    def closes_after(self, request: Request, *, complete: bool) -> bool:
        """Return True if the connection ends after the response to this request. `complete`: all of it has come."""

    @abstractmethod
    def finish(self, now: float, *, close: bool) -> None:
        """Leave the exchange, whose response is written: begin the next request, or close."""

    @abstractmethod
    def read_on(self) -> None:
        """Read from the app if there is room for its bytes, else pause."""

    @abstractmethod
    def reject(self, status: int, reason: str, protocol: str = "") -> None:
        """Respond to the request under way with an error of its own, and close."""

    @abstractmethod
    def leave(self) -> None:
        """Leave the exchange, and drop the bytes that were read."""

    @abstractmethod
    def has_left(self) -> bool:
        """Return True, and end the exchange, if the app has closed its connection after EOF.

        Call it before a response is written.
        """

    @abstractmethod
    def hand_over(self) -> Handover:
        """Give up the connection, which becomes the app's end of a tunnel."""

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        size = len(data)
        self.upstream.counters.count_delivered(size)
        self.untaken.note_write(size)
        self.transport.write(data)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        size = sum(map(len, pieces))
        self.upstream.counters.count_delivered(size)
        self.untaken.note_write(size)
        self.transport.writelines(pieces)

    def write_local_reply(self, cause: Cause, failures: Failures, *, head_only: bool, close: bool) -> None:
        """Write a response of our own, and count its cause. `failures` are the attempts that failed, in their order."""
        name = self.upstream.name
        self.write(local_replies.failure_reply(cause, name, failures, head_only=head_only, close=close))
        self.upstream.counters.count_error(cause.error_type)

    # -- ends -----------------------------------------------------------------------------------------------------

    def break_off(self, *, by_reset: bool) -> None:
        """Close so that the app cannot take the delivered part for a whole response.

        `by_reset` is True if an orderly end would look like one: the response's length was not announced.
        """
        self.leave()
        self.lingers = True
        if by_reset:
            reset(self.transport)
        else:
            self.transport.close()

    def close(self) -> None:
        """Close behind the bytes that are written."""
        self.lingers = True
        self.transport.close()

    def linger(self) -> None:
        """Close behind the bytes that are written, and drop for a moment those that still come."""
        self.leave()
        self.lingers = True
        self.since = monotonic()
        self.transport.resume_reading()
        if self.ended or self.transport.is_closing():
            self.transport.close()
        else:
            self.transport.write_eof()

    def turn_away(self, cause: Cause) -> None:
        """Send a response before there is a request, and close. A descriptor of the reserve is given back at once."""
        self.write_local_reply(cause, (), head_only=False, close=True)
        self.upstream.counters.count_response(cause.status, 0.0)
        if cause.own_fault:
            discard_unread(self.transport)
            self.close()
        else:
            self.linger()
