"""The common part of the identities: credentials that a keeper fetches, and exchanges that wait for them."""

from __future__ import annotations

import time
from typing import Final

from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.proxy.identity.keeper import Keeper
from sidecars.ambassador.upstream.upstream_side import Identity

monotonic: Final = time.monotonic


class KeptIdentity(Identity):
    """An identity with a keeper, which it owns."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self.keeper = keeper

    def has_credentials(self, exchange: Exchange) -> bool:
        """Return True if credentials are in force. If not, the exchange waits for them, or has ended."""
        now = monotonic()
        if now < self.keeper.ends:
            return True
        refusal = self.keeper.wait(exchange, exchange.begin_after_wait, now)
        if refusal is not None:
            exchange.give_up(refusal)
        return False

    def tick(self, now: float) -> None:
        self.keeper.tick(now)

    def close(self) -> None:
        self.keeper.close()
