"""A token in each request to an upstream (AUTH=gcp, azure, oauth2), instead of the app's `Authorization` (RFC 6750).

A 401 says that the endpoint does not accept the token. Then a new one is fetched, once in a minute at most, and the
request that got the 401 is sent again with it, once, if it is idempotent and all of it is held. Any other request's 401
goes to the app.
"""

from __future__ import annotations

import time
from typing import Final

from sidecars.ambassador.http.messages import Response
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.identity import repeats
from sidecars.ambassador.proxy.identity.kept_identity import KeptIdentity
from sidecars.ambassador.upstream.upstream_side import ConnectionWaiter, UpstreamSide

monotonic: Final = time.monotonic


class TokenIdentity(KeptIdentity):
    """The identity of one upstream, which owns it."""

    def admits(self, exchange: ConnectionWaiter) -> bool:
        assert isinstance(exchange, Exchange)  # noqa: S101 - there is no other one
        return not exchange.over and self.has_credentials(exchange)

    def carry(self, _exchange: ConnectionWaiter, connection: UpstreamSide, _authority: bytes) -> UpstreamSide:
        current = self.keeper.current
        self.line = current.line if current is not None else b""
        return connection

    def renews(self, exchange: ConnectionWaiter, response: Response) -> bool:
        if response.status != 401:
            return False
        assert isinstance(exchange, Exchange)  # noqa: S101 - there is no other one
        keeper = self.keeper
        if exchange.is_renewed or not keeper.reject(exchange.attempt_started, monotonic()):
            return False
        if not repeats.may_repeat(exchange):
            return False
        repeats.leave(exchange, response.status)
        if not keeper.is_fetching or keeper.wait(exchange, exchange.begin_attempt, monotonic()) is not None:
            exchange.upstream.loop.call_soon(exchange.begin_attempt)
        return True
