"""The tries of an exchange: choose an endpoint, take or open a connection to it, and decide what follows a failure.

An exchange has at most one try at a time. `attempt` begins one; `failed`, `repeats` or the exchange's end ends it.
What may be repeated is the policy's (`sidecars.ambassador.proxy.retry`), for how long the deadlines'.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.http.response_head import Response
from sidecars.ambassador.proxy import retry
from sidecars.ambassador.proxy.tunnel import peer_host
from sidecars.ambassador.setting_types import CONNECT, RESET, TIMEOUT

if TYPE_CHECKING:
    from sidecars.ambassador.http.local_replies import Cause
    from sidecars.ambassador.proxy.exchange import Exchange

monotonic: Final = time.monotonic


def attempt(exchange: Exchange) -> None:
    """Begin a try: the first one, or another one after a failure."""
    if exchange.over:
        return
    again = bool(exchange.causes)
    if again:
        exchange.tried_at = monotonic()
        exchange.label = ""
    upstream, request = exchange.upstream, exchange.request
    key = upstream.hash_key(request.after_host, peer_host(exchange.client.transport)) if upstream.hash_key else b""
    endpoint = upstream.balancer.choose(exchange.tried_at, exchange.tried, key)
    if endpoint is None:
        exchange.give_up(local_replies.NO_ADDRESS)
        return
    exchange.endpoint = endpoint
    endpoint.begin_attempt(is_retry=again)
    idle = endpoint.idle
    while idle and not exchange.fresh and (request.idempotent or exchange.tried_at - idle[-1].since < retry.FRESH):
        connection = idle.pop()
        if not connection.transport.is_closing():
            exchange.attach(connection)
            return
    if upstream.pending >= upstream.settings.max_pending:
        upstream.balancer.on_inconclusive(endpoint, exchange.tried_at)
        exchange.leave()
        exchange.give_up(local_replies.TOO_MANY_PENDING)
        return
    upstream.open(endpoint, exchange)


def failed(exchange: Exchange, cause: Cause) -> None:
    """End a try that failed before its response began: try again, or answer with the cause."""
    upstream, endpoint = exchange.upstream, exchange.endpoint
    assert endpoint is not None  # noqa: S101 - a try has an endpoint
    opened = exchange.connection is not None
    reason = CONNECT if not opened else TIMEOUT if cause is local_replies.RESPONSE_TIMEOUT else RESET
    raced = exchange.reused and cause is local_replies.CONNECTION_CLOSED
    outcome = verdict(exchange, reason, closed=cause is local_replies.CONNECTION_CLOSED)
    exchange.leave()
    now = monotonic()
    if raced or cause.own_fault:
        upstream.balancer.on_inconclusive(endpoint, now)
    else:
        upstream.balancer.on_failure(endpoint, exchange.tried_at, now, unreachable=not opened)
    exchange.causes += ((endpoint.label, cause),)
    if outcome == retry.FORGIVEN:
        exchange.fresh = True
        upstream.counters.races += 1
        attempt(exchange)
        return
    exchange.tried += (endpoint,)
    if outcome == retry.GIVE_UP or not upstream.budget.spend():
        exchange.give_up(cause)
        return
    _again(exchange, 0.0 if upstream.has_untried(exchange.tried) else _pause(exchange))


def repeats(exchange: Exchange, response: Response, retry_after: float) -> bool:
    """Begin another try instead of passing this response on, and return True; return False if it is to be passed on.

    The next try goes to another endpoint if there is one. `retry_after`: seconds that the response asks to wait.
    """
    upstream, endpoint = exchange.upstream, exchange.endpoint
    if endpoint is None or verdict(exchange, response.status) != retry.RETRY:
        return False
    tried = (*exchange.tried, endpoint)
    wait = 0.0 if upstream.has_untried(tried) else max(_pause(exchange), retry_after)
    if wait > retry.LONGEST_WAIT or not upstream.budget.spend():
        return False
    exchange.leave()
    exchange.causes += ((endpoint.label, local_replies.unwanted_status(response.status)),)
    exchange.tried = tried
    _again(exchange, wait)
    return True


def verdict(exchange: Exchange, reason: str | int, *, closed: bool = False) -> str:
    """Return what the retry policy says of a try that failed for this reason: FORGIVEN, RETRY or GIVE_UP."""
    settings = exchange.upstream.settings
    request = exchange.request
    return retry.verdict(
        retry.Failed(
            reason=reason,
            idempotent=request.idempotent,
            written=exchange.written,
            held=not request.length or exchange.held is not None,
            reused=exchange.reused,
            closed=closed,
            redone=exchange.fresh,
            retries=exchange.retries,
        ),
        settings.retries,
        settings.retry_on,
    )


def _pause(exchange: Exchange) -> float:
    return retry.pause(exchange.retries + 1, random.random())  # noqa: S311 - to spread


def _again(exchange: Exchange, wait: float) -> None:
    exchange.retries += 1
    exchange.upstream.counters.retries += 1
    if wait:
        exchange.client.loop.call_later(wait, exchange.attempt)
    else:
        attempt(exchange)
