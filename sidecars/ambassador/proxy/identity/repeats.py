"""A second attempt of a request whose credentials were refused: with others, or with another time in its signature."""

from __future__ import annotations

from sidecars.ambassador.http import local_replies
from sidecars.ambassador.proxy.exchange import Exchange


def may_repeat(exchange: Exchange) -> bool:
    """Return True if the request may be sent again: it is idempotent, all of it is held, and it is the first time."""
    is_safe = exchange.request.idempotent and exchange.is_held()
    return is_safe and not exchange.is_renewed and exchange.endpoint is not None


def leave(exchange: Exchange, status: int) -> None:
    """End the attempt that was refused. The caller begins another one."""
    endpoint = exchange.endpoint
    assert endpoint is not None  # noqa: S101 - `may_repeat` has looked
    exchange.is_renewed = True
    exchange.leave_attempt()
    exchange.failures += ((endpoint.label, local_replies.unwanted_status(status)),)
