"""Choose the idle connections that make room for newcomers, where connections do not report each step. No I/O.

The budget of a server (`budget`) is told of each request. On a path where that would cost too much, the owner looks at
its connections only when there are too many, and has several chosen by one look.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def longest_idle(idle: Iterable[tuple[float, str, T]], most: int) -> list[T]:
    """Return up to `most` connections, in the order in which they are to be closed.

    `idle` are the idle connections, each with the time since when it is idle and the key of its peer. Each one that is
    chosen is the oldest of the peer that then has most.
    """
    by_peer: dict[str, list[tuple[float, T]]] = defaultdict(list)
    for since, peer, connection in idle:
        by_peer[peer].append((since, connection))
    ranking = []
    for peer, of_peer in by_peer.items():
        of_peer.sort(key=lambda pair: pair[0], reverse=True)  # the oldest is the last
        ranking.append((-len(of_peer), of_peer[-1][0], peer))
    heapq.heapify(ranking)
    chosen: list[T] = []
    while ranking and len(chosen) < most:
        _, _, peer = heapq.heappop(ranking)
        of_peer = by_peer[peer]
        chosen.append(of_peer.pop()[1])
        if of_peer:
            heapq.heappush(ranking, (-len(of_peer), of_peer[-1][0], peer))
    return chosen
