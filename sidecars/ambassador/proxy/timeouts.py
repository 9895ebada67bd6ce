"""Time-outs of connections and exchanges: every state of each has an end. No I/O; time is passed in.

No request arms a timer: the registry of the upstream's clients ticks each connection of the app about once a second,
with the time. A time-out counts from the last *progress*: bytes of a body, or an interim response. Bytes that only
frame something (a head that is not complete, the size of a chunk, a trailer) are no progress. Bytes that a peer takes
are progress, too: TCP counts those that it has acknowledged.

A connection of the app (`client_connection`):

    state                                     ended by
    idle, between requests                    IDLE_TIMEOUT: it is closed
    in a request's head                       IDLE_TIMEOUT from its first byte: 408
    takes none of the bytes written to it     IDLE_TIMEOUT: it is reset
    lingers after its last response           2 s
    closed by the app during an exchange      at once, the next tick at the latest (`disconnects`)

A connection of the app that speaks HTTP/2 (`http2_connection`), beside those of its streams' exchanges:

    has no stream                             IDLE_TIMEOUT: GOAWAY, and it is closed
    in the preface, or in a stream's head     IDLE_TIMEOUT: GOAWAY, and it is closed
    takes none of the bytes written to it     IDLE_TIMEOUT: it is reset
    a stream has no window for its bytes      IDLE_TIMEOUT without any taken: the stream is reset (CANCEL)
    drains                                    the app's answer to a PING, or 1 s; then its last stream
    lingers after GOAWAY                      2 s
    closed by the app during exchanges        at once, the next tick at the latest (`disconnects`)

Where the table below says that the app's connection breaks off, a stream of HTTP/2 is reset, and no other one.

An exchange (`exchange`); TOTAL_TIMEOUT, if it is set, ends each of these states too:

    CONNECTING   waits for admission, for     TIMEOUT for all attempts together: 504; CONNECT_TIMEOUT ends an attempt
    the first answer of DNS, a connection,    whose connection does not open
    or another attempt
    SENDING      the app owes the rest of     IDLE_TIMEOUT: 408; after 1 s it is told to continue if it expects that.
    its body                                  A 101 that has come before the request's end waits in this state
    BLOCKED      the upstream takes nothing   TIMEOUT: 504
    of the body
    AWAITING     the upstream owes the head   TIMEOUT for all attempts together: 504; TRY_TIMEOUT ends an attempt that
    of its response                           may be repeated elsewhere
    RECEIVING    the response's body has a    TIMEOUT: the app's connection breaks off
    Content-Length
    STREAMING    the response's body is       STREAM_IDLE_TIMEOUT: the app's connection breaks off
    chunked, or ends by close

A connection to an endpoint, of HTTP:

    opens, the TLS handshake included         CONNECT_TIMEOUT
    serves an exchange                        with the exchange's attempt
    idle                                      IDLE_TIMEOUT, or less if the upstream's Keep-Alive asks for it
    of HTTP/2, owes SETTINGS or the rest of   TIMEOUT: GOAWAY, and its requests are lost
    a head

A tunnel (`tunnel`, `tcp`):

    waits for the first answer of DNS         TIMEOUT
    looks for an endpoint                     CONNECT_TIMEOUT for each attempt; none begins after TIMEOUT
    both ends open                            TUNNEL_IDLE_TIMEOUT, if it is set: both are reset; TCP_KEEPALIVE, if a
                                              host is gone; else it may be silent
    one end closed or lost, the other stalls  IDLE_TIMEOUT: both are reset
    closed by the app                         at once, the next tick at the latest

Every TCP connection, of both sides: TCP keepalive notices a host that is gone without a word while nothing is under way
to it. With data under way an exchange has the time-outs above, and a tunnel, or a connection of HTTP/2 to an endpoint,
is reset if nothing is acknowledged for twice TCP_KEEPALIVE (`sidecars.ambassador.transport.tcp_keepalive`).
"""

from __future__ import annotations

from typing import Final

from sidecars.ambassador.config.upstream_settings import UpstreamSettings
from sidecars.ambassador.transport.streams import Transport
from sidecars.ambassador.transport.tcp_keepalive import acknowledged

LINGER: Final = 2.0  # seconds that a connection stays open for an app to read its last response
CONTINUE_AFTER: Final = 1.0  # seconds after which the ambassador itself tells a client to continue that expects it

# The states of an exchange.
CONNECTING: Final = "connecting"
SENDING: Final = "sending"
BLOCKED: Final = "blocked"
AWAITING: Final = "awaiting"
RECEIVING: Final = "receiving"
STREAMING: Final = "streaming"


def limit_of(state: str, settings: UpstreamSettings) -> float:
    """Return the seconds without progress that end an exchange in this state."""
    if state == SENDING:
        return settings.idle_timeout
    return settings.stream_idle_timeout if state == STREAMING else settings.timeout


class Delivery:
    """The bytes that were written to the app and that it has not taken. Its connection owns it, and ticks it."""

    __slots__ = ("_acknowledged", "_unsent", "changed_at")

    def __init__(self) -> None:
        self._unsent = 0  # bytes that waited in this process at the last tick
        self._acknowledged = 0  # bytes that the app's host had acknowledged then
        self.changed_at = 0.0  # when one of these changed last

    def tick(self, transport: Transport, now: float) -> int:
        """Note how much the app has taken; return the number of bytes that wait in this process."""
        unsent = transport.get_write_buffer_size()
        count = self._acknowledged
        if unsent:
            count = acknowledged(transport.get_extra_info("socket"))
        if unsent != self._unsent or count != self._acknowledged:
            self._unsent, self._acknowledged, self.changed_at = unsent, count, now
        return unsent

    def restart(self) -> None:
        """Begin anew: the app takes more."""
        self._unsent = 0


class Progress:
    """The time of the last progress of an exchange, which owns it."""

    __slots__ = ("_has_moved", "_taken", "since")

    def __init__(self, now: float) -> None:
        self.since = now  # when the last progress was noticed
        self._has_moved = False  # True if there was progress since the last tick
        self._taken = -1  # by the endpoint of the attempt, as of the last tick; -1: nothing known yet

    def note(self) -> None:
        """Note progress, which the next tick notices."""
        self._has_moved = True

    def restart(self, now: float) -> None:
        self.since = now

    def forget_connection(self) -> None:
        """Count the bytes that are taken anew: the attempt has another upstream side, or none."""
        self._taken = -1

    def silent_for(self, now: float, taken: int) -> float:
        """Return the seconds without progress. `taken`: a number that grows if the endpoint takes bytes; -1: none."""
        if taken >= 0:
            before, self._taken = self._taken, taken
            if before >= 0 and taken != before:
                self._has_moved = True
        if self._has_moved:
            self._has_moved = False
            self.since = now
        return now - self.since
