"""The companion of an upstream: its hedging and its mirror, as far as the settings ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sidecars.ambassador.proxy.beside.hedging import Hedging
from sidecars.ambassador.proxy.beside.mirror import Mirror
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.upstream.upstream import Upstream
from sidecars.ambassador.upstream.upstream_side import Companion, ConnectionWaiter


class Companions(Companion):
    """The hedges and copies of one upstream, which owns it."""

    def __init__(self, upstream: Upstream, hedging: Hedging | None, mirror: Mirror | None) -> None:
        self._upstream = upstream
        self.hedging = hedging
        self.mirror = mirror

    def on_start(self, exchange: ConnectionWaiter, now: float) -> None:
        own = cast("Exchange", exchange)
        if own.is_copy:
            return
        try:
            if self.mirror is not None:
                self.mirror.note(own)
            if self.hedging is not None:
                self.hedging.watch(own, now)
        except Exception as error:  # noqa: BLE001 - the exchange goes on
            self._upstream.defects.note(error)

    def tick(self, now: float) -> None:
        if self.mirror is not None:
            self.mirror.tick(now)
        if self.hedging is not None:
            self.hedging.tick(now)

    def close(self) -> None:
        if self.mirror is not None:
            self.mirror.close()
        if self.hedging is not None:
            self.hedging.close()

    def counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        if self.hedging is not None:
            found["hedges"] = self.hedging.counts
        if self.mirror is not None:
            found["copies"] = self.mirror.counts
        return found

    def status(self) -> dict[str, object]:
        found: dict[str, object] = {}
        if self.hedging is not None:
            found["hedges"] = self.hedging.status()
        if self.mirror is not None:
            found["mirror"] = {
                "upstream": self.mirror.other.name,
                "under_way": self.mirror.under_way,
                **self.mirror.counts,
            }
        return found


def attach(upstreams: Sequence[Upstream], now: float) -> None:
    """Give those upstreams a companion whose settings ask for one."""
    by_name = {upstream.name: upstream for upstream in upstreams}
    for upstream in upstreams:
        after, target = upstream.settings.hedge_after, upstream.settings.mirror
        if not after and target is None:
            continue
        hedging = Hedging(upstream, after, now) if after else None
        mirror = Mirror(upstream, target, by_name[target.name]) if target is not None else None
        upstream.companion = Companions(upstream, hedging, mirror)
