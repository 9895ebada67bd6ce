"""The choice of the requests that are copied for a mirror, and the limit of copies under way.

The share is exact and not to be foreseen: of each hundred requests in a row exactly so many are chosen as MIRROR says,
and chance decides which (selection sampling: Knuth, The Art of Computer Programming, volume 2, section 3.4.2). A plain
counter would always choose the same of an app's requests that come in a fixed order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from sidecars.ambassador.config.beside_settings import MirrorTarget
from sidecars.ambassador.proxy.beside.copied_request import CopyRules, is_longer
from sidecars.ambassador.proxy.beside.mirror_copy import (
    BODY,
    LIMIT,
    MEMORY,
    OUTCOMES,
    UPGRADE,
    CopyBody,
    CopyOwner,
    MirrorCopy,
)
from sidecars.ambassador.proxy.exchange import Exchange
from sidecars.ambassador.upstream.upstream import Upstream

_BLOCK: Final = 100  # requests of which exactly the share is chosen


class Share:
    """Chooses exactly so many of each hundred requests as its percentage says."""

    __slots__ = ("_chosen", "_left", "_percent", "_rand")

    def __init__(self, percent: int, rand: Callable[[], float]) -> None:
        self._percent = percent
        self._rand = rand
        self._left = _BLOCK  # requests of this hundred that are still to come
        self._chosen = percent  # of these, those that are still to be chosen

    def takes(self) -> bool:
        """Return True if the next request is chosen."""
        is_chosen = self._rand() * self._left < self._chosen
        self._chosen -= is_chosen
        self._left -= 1
        if not self._left:
            self._left, self._chosen = _BLOCK, self._percent
        return is_chosen


class Mirror(CopyOwner):
    """The copies of one upstream's requests. Its `Companions` own it."""

    def __init__(self, upstream: Upstream, target: MirrorTarget, other: Upstream) -> None:
        """`other` is the upstream that gets the copies."""
        self.other = other
        own, others = upstream.request_parser.edits, other.request_parser.edits
        self.rules = CopyRules(own, others, upstream.settings.mirror_mark, upstream.name)
        self.counts: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        self._share = Share(target.percent, random.random)
        self._limit = upstream.settings.mirror_limit
        self._copies: dict[MirrorCopy, None] = {}

    def count(self, outcome: str) -> None:
        self.counts[outcome] += 1

    def on_over(self, copy: MirrorCopy) -> None:
        self._copies.pop(copy, None)

    @property
    def under_way(self) -> int:
        """The number of copies, with those whose body still comes."""
        return len(self._copies)

    def note(self, exchange: Exchange) -> None:
        """Copy the request of an exchange that starts, if it is chosen and may be copied."""
        if not self._share.takes():
            return
        request, other, body = exchange.request, self.other, exchange.body
        reason = ""
        if request.upgrade:
            reason = UPGRADE
        elif len(self._copies) >= self._limit:
            reason = LIMIT
        elif other.memory.is_short:
            reason = MEMORY
        elif is_longer(request.length, other.settings.retry_buffer):
            reason = BODY
        if reason:
            self.counts[reason] += 1
            return
        copy = MirrorCopy(self, request, exchange.client.peer_host() if other.hash_key else "")
        self._copies[copy] = None
        if body is None:
            copy.send_soon()
            return
        exchange.copy = CopyBody(copy)
        copy.add(body.held or (), body.trailers, done=body.is_complete)

    def tick(self, now: float) -> None:
        for copy in list(self._copies):
            try:
                copy.tick(now)
            except Exception as error:  # noqa: BLE001 - the others go on
                self.other.defects.note(error)
                copy.abandon()

    def close(self) -> None:
        for copy in list(self._copies):
            copy.abandon()
