"""Connections that wait for the same thing, and which of them is the next. No I/O.

Peers take turns: the next peer is the one whose last turn is longest ago, and one that never had any comes before it.
Of one peer the oldest connection is first; or the newest, where an attacker's old ones would hold up a new one.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Generic, TypeVar

MOST_KNOWN = 1024  # peers whose last turn is known; the others count as peers that never had any

T = TypeVar("T")


class _Peer(Generic[T]):
    """The waiting connections of one peer, the newest one last."""

    __slots__ = ("key", "last_turn", "waiting")

    def __init__(self, key: str, last_turn: int) -> None:
        self.key = key
        self.last_turn = last_turn
        self.waiting: dict[T, None] = {}

    def __lt__(self, other: _Peer[T]) -> bool:
        return self.last_turn < other.last_turn


class Turns(Generic[T]):
    """A queue in which peers take turns. Its items are hashable by identity.

    Each step takes O(log n), for n peers with items in the queue.
    """

    def __init__(self, *, newest_first: bool = False) -> None:
        """`newest_first` is the order of the connections of one peer."""
        self._newest_first = newest_first
        self._waiting: dict[str, _Peer[T]] = {}
        self._heap: list[_Peer[T]] = []  # those of `_waiting`, and some that have none waiting any more
        self._last_turns: OrderedDict[str, int] = OrderedDict()  # the oldest one first
        self._turn = self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: str, newcomer: T) -> None:
        """Let this connection of the peer with this key wait."""
        peer = self._waiting.get(key)
        if peer is None:
            peer = self._waiting[key] = _Peer(key, self._last_turns.get(key, 0))
            self._push(peer)
        peer.waiting[newcomer] = None
        self._count += 1

    def next(self) -> T:
        """Remove and return the next one. One must wait."""
        peer = heapq.heappop(self._heap)
        while not peer.waiting:
            peer = heapq.heappop(self._heap)
        chosen = next(reversed(peer.waiting) if self._newest_first else iter(peer.waiting))
        del peer.waiting[chosen]
        self._count -= 1
        self._turn += 1
        peer.last_turn = self._last_turns[peer.key] = self._turn
        self._last_turns.move_to_end(peer.key)
        if len(self._last_turns) > MOST_KNOWN:
            self._last_turns.popitem(last=False)
        if peer.waiting:
            heapq.heappush(self._heap, peer)
        else:
            del self._waiting[peer.key]
        return chosen

    def discard(self, key: str, waiting: T) -> None:
        """Let this connection wait no more. It may be none of those that wait."""
        peer = self._waiting.get(key)
        if peer is not None and waiting in peer.waiting:
            del peer.waiting[waiting]
            self._count -= 1
            if not peer.waiting:
                del self._waiting[key]

    def _push(self, peer: _Peer[T]) -> None:
        heapq.heappush(self._heap, peer)
        if len(self._heap) > 2 * len(self._waiting) + 64:  # most of them have none waiting
            self._heap = list(self._waiting.values())
            heapq.heapify(self._heap)
