"""Who keeps the other one waiting for too long, in an exchange.

Nothing on the way of a request arms a timer: each exchange is looked at now and then, with the time. One that has moved
since the last look begins its time anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecars.ambassador import answers, retry, tries
from sidecars.ambassador.kinds import TIMEOUT

if TYPE_CHECKING:
    from sidecars.ambassador.downstream import Client
    from sidecars.ambassador.exchange import Exchange

_LINGER: Final = 2.0  # seconds that a connection stays open for an app to read its last answer
_CONTINUE_AFTER: Final = 1.0  # seconds after which a client that expects 100-continue is told so by us


def watch(client: Client, now: float) -> None:
    """End a connection of the app that has been silent, or has taken nothing, for too long."""
    limit = client.upstream.settings.idle_timeout
    unsent = client.transport.get_write_buffer_size()
    if unsent != client.unsent:
        client.unsent, client.taken = unsent, now
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
    """End the exchange, or its try, where somebody has been silent for too long."""
    if exchange.moved:
        exchange.moved = False
        exchange.since = now
        return
    if exchange.connection is None or exchange.over:
        return
    silent = now - exchange.since
    settings = exchange.upstream.settings
    if exchange.response is None and not (exchange.complete or exchange.blocked):
        _await_client(exchange, silent)
    elif exchange.response is None:
        if silent >= settings.timeout or _is_late(exchange, now):
            exchange.lost(answers.SILENT)
    elif exchange.response.announced >= 0 and not exchange.client.write_paused:
        if silent >= settings.timeout:
            exchange.cut()
    elif exchange.client.ended and silent >= settings.idle_timeout:
        exchange.cut()


def _is_late(exchange: Exchange, now: float) -> bool:
    """Whether this try has had its time and another endpoint may be asked instead; if not, it may go on."""
    limit = exchange.upstream.settings.try_timeout
    return (
        limit is not None
        and now - exchange.tried_at >= limit
        and tries.verdict(exchange, TIMEOUT) == retry.RETRY
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
        exchange.client.refuse(408, "the rest of the request did not come in time")
