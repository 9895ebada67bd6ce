"""Requests and connections of the app that are not passed on: what is answered, counted and logged.

Nothing that follows a refused request on its connection can be believed, so the connection ends with the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.head_rules import HTTP2
from sidecars.ambassador.proxy.tunnel import drop_unread

if TYPE_CHECKING:
    from sidecars.ambassador.http.local_replies import Cause
    from sidecars.ambassador.proxy.client_connection import ClientConnection


def turn_away(client: ClientConnection, cause: Cause) -> None:
    """Answer a new connection before there is a request. A descriptor of the reserve is given back at once."""
    upstream = client.upstream
    client.write(local_replies.failure_reply(cause, upstream.settings.name, (), head_only=False, close=True))
    upstream.counters.fail(cause.error_type)
    upstream.counters.observe(cause.status, 0.0)
    if cause.own_fault:
        drop_unread(client.transport)
        client.close()
    else:
        client.linger()


def refuse(client: ClientConnection, status: int, reason: str, protocol: str = "") -> None:
    """Answer a request that is not passed on, and end the connection.

    `protocol` is what the client speaks, where it is not HTTP/1.
    """
    upstream, exchange = client.upstream, client.exchange
    if protocol:
        upstream.foreign(protocol)
    client.exchange = client.body = None
    client.buffer = b""
    if exchange is None:
        upstream.counters.observe(status, 0.0)
        if upstream.access is not None:
            upstream.access.refused(status, reason)
    elif exchange.over:
        client.linger()  # it has been answered already
        return
    else:
        begun = exchange.response is not None
        exchange.abandon(status)
        if begun:
            client.cut(broken=True)
            return
    client.write(
        local_replies.http2_goaway(reason) if protocol == HTTP2 else local_replies.rejection_reply(status, reason)
    )
    client.linger()


def end_defect(client: ClientConnection, error: Exception) -> None:
    """End the exchange that failed in an unforeseen way, or answer a request that has not become one."""
    if client.exchange is not None:
        client.exchange.defect(error)
        return
    client.upstream.defects.note(error)
    if not client.lingers:
        client.upstream.counters.fail(local_replies.DEFECT.error_type)
        refuse(client, local_replies.DEFECT.status, local_replies.DEFECT.text)
