"""Time-outs of connections and exchanges: every state of each has an end.

Nothing on the way of a request arms a timer: each connection of the app is looked at now and then, with the time. A
time-out counts from the last *progress*, which bytes of a body are, and an interim response; bytes that only frame
something (a head that is not complete, the size of a chunk, a trailer) are none. What a peer takes of that which waits
for it is progress, too: TCP tells how much it has acknowledged.

A connection of the app (`watch`):

    state                                     ended by
    idle, between requests                    IDLE_TIMEOUT: it is closed
    in a request's head                       IDLE_TIMEOUT from its first byte: 408
    takes nothing of what is written to it    IDLE_TIMEOUT: it is reset
    lingers after its last answer             2 s
    closed by the app during an exchange      at once, the next look at the latest (`disconnects`)

An exchange (`look`); TOTAL_TIMEOUT, where it is set, ends each of these states too:

    waits for its turn, for a connection to   TIMEOUT for all tries together: 504; CONNECT_TIMEOUT ends a try whose
    open, or to try again                     connection does not open
    the app owes the rest of its body         IDLE_TIMEOUT: 408; after 1 s it is told to continue if it expects that
    the upstream takes nothing of the body    TIMEOUT: 504
    the upstream owes the head of its answer  TIMEOUT for all tries together: 504; TRY_TIMEOUT ends a try that may be
                                              repeated elsewhere
    the body has an announced length          TIMEOUT: the app's connection breaks off
    the body is chunked or ends by close      STREAM_IDLE_TIMEOUT: likewise
    101 has come before the request's end     IDLE_TIMEOUT, as for a body that the app owes

A connection to an endpoint, of HTTP:

    opens, the TLS handshake included         CONNECT_TIMEOUT
    serves an exchange                        with the exchange's try
    idle                                      IDLE_TIMEOUT, or what the upstream's Keep-Alive says

A tunnel (`sidecars.ambassador.proxy.tunnel`, `sidecars.ambassador.proxy.tcp_connection`):

    looks for an endpoint                     CONNECT_TIMEOUT for each try; none begins after TIMEOUT
    both ends open                            TCP_KEEPALIVE, where a host is gone; else it may be silent
    one end closed or lost, the other stalls  IDLE_TIMEOUT: both are reset
    closed by the app                         at once, the next look at the latest

Every TCP connection, of both sides: a host that is gone without a word is noticed by TCP keepalive while nothing is
under way to it. With data under way an exchange has the time-outs above, and a tunnel is broken off when nothing is
acknowledged for twice TCP_KEEPALIVE (`sidecars.ambassador.transport.tcp_keepalive`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.proxy import attempts, refusals, retry
from sidecars.ambassador.setting_types import TIMEOUT
from sidecars.ambassador.transport import tcp_keepalive

if TYPE_CHECKING:
    from sidecars.ambassador.proxy.client_connection import ClientConnection
    from sidecars.ambassador.proxy.exchange import Exchange
    from sidecars.ambassador.upstream.upstream_connection import UpstreamConnection

_LINGER: Final = 2.0  # seconds that a connection stays open for an app to read its last answer
_CONTINUE_AFTER: Final = 1.0  # seconds after which a client that expects 100-continue is told so by us


def watch(client: ClientConnection, now: float) -> None:
    """End a connection of the app that has been silent, or has taken nothing, for too long."""
    limit = client.upstream.settings.idle_timeout
    unsent = client.transport.get_write_buffer_size()
    acknowledged = _acknowledged(client.transport) if unsent else client.acknowledged
    if unsent != client.unsent or acknowledged != client.acknowledged:
        client.unsent, client.acknowledged, client.taken = unsent, acknowledged, now
    elif unsent and now - client.taken >= limit:
        client.abort()
        return
    if client.exchange is not None:
        if not ((client.ended or client.unread) and client.has_left()):
            look(client.exchange, now)
    elif client.lingers:
        if not unsent and now - max(client.since, client.taken) >= _LINGER:
            client.transport.abort()
    elif now - client.since >= limit and not client.write_paused:
        client.time_out()


def look(exchange: Exchange, now: float) -> None:
    """End the exchange, or its try, if somebody has been silent for too long or its whole time is over."""
    if exchange.over:
        return
    settings = exchange.upstream.settings
    if settings.total_timeout is not None and now - exchange.started >= settings.total_timeout:
        _expire(exchange, now)
        return
    if exchange.request.length and exchange.connection is not None and _has_taken(exchange, exchange.connection):
        exchange.moved = True
    if exchange.moved:
        exchange.moved = False
        exchange.since = now
        return
    silent = now - exchange.since
    response, connected = exchange.response, exchange.connection is not None
    if response is not None:
        limit = settings.timeout if response.content_length >= 0 else settings.stream_idle_timeout
        if silent >= limit and not exchange.client.write_paused:  # `watch` ends what the app does not take
            exchange.cut()
    elif connected and not (exchange.complete or exchange.blocked):
        _await_client(exchange, silent)
    elif silent >= settings.timeout:
        _expire(exchange, now)
    elif connected and _is_late(exchange, now):
        exchange.lost(local_replies.RESPONSE_TIMEOUT)


def _has_taken(exchange: Exchange, connection: UpstreamConnection) -> bool:
    """Return True if the upstream has taken anything of the request since the last look, however little."""
    before, exchange.acknowledged = exchange.acknowledged, _acknowledged(connection.transport)
    return before >= 0 and exchange.acknowledged != before


def _acknowledged(transport: Any) -> int:
    count: int = tcp_keepalive.acknowledged(transport.get_extra_info("socket"))
    return count


def _expire(exchange: Exchange, now: float) -> None:
    """End the exchange because its time is over; it is not tried again."""
    if exchange.response is not None:
        exchange.cut()
        return
    endpoint = exchange.endpoint
    cause = local_replies.RESPONSE_TIMEOUT
    if endpoint is not None:
        balancer = exchange.upstream.balancer
        if exchange.connection is None:  # what becomes of it is told when it has opened, or not
            cause = local_replies.CONNECT_TIMEOUT
        elif exchange.complete or exchange.blocked:
            balancer.on_failure(endpoint, exchange.tried_at, now)
        else:
            balancer.on_inconclusive(endpoint, now)
        exchange.causes += ((endpoint.label, cause),)
        exchange.leave()
    exchange.give_up(cause)


def _is_late(exchange: Exchange, now: float) -> bool:
    """Return True if this try has had its time and another endpoint may be asked instead; if not, it may go on."""
    limit = exchange.upstream.settings.try_timeout
    return (
        limit is not None
        and now - exchange.tried_at >= limit
        and attempts.verdict(exchange, TIMEOUT) == retry.RETRY
        and exchange.upstream.budget.saved >= 1
        and exchange.endpoint is not None
        and exchange.upstream.has_untried((*exchange.tried, exchange.endpoint))
    )


def _await_client(exchange: Exchange, silent: float) -> None:
    """The app owes us the rest of its request, or waits for a 100 that the upstream does not give."""
    if exchange.request.expects_continue and not exchange.continued and silent >= _CONTINUE_AFTER:
        exchange.continued = True
        exchange.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    elif silent >= exchange.upstream.settings.idle_timeout:
        refusals.refuse(exchange.client, 408, "the rest of the request did not come in time")
